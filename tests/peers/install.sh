#!/usr/bin/env bash
# install.sh [NAME…] — installs the genuine servers and clients that the tests in this folder run (all of them by default).
#
# They are kept in APPRPROXY_PEERS, by default ~/.cache/apprproxy/peers, with links to the current versions in its `bin`.
# What cannot be installed is one line on standard error, and a failure only where CI=true.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=${APPRPROXY_PEERS:-${XDG_CACHE_HOME:-${HOME:?is not set: say in APPRPROXY_PEERS where to keep them}/.cache}/apprproxy/peers}
mkdir -p "$dir"
missing=0

get_skopeo() {
  command -v skopeo >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing skopeo (by apt-get)" >&2
    { apt-get install -qq -y --no-install-recommends skopeo || { apt-get update -qq && apt-get install -qq -y --no-install-recommends skopeo; }; } \
      >/dev/null 2>&1 </dev/null && return
  fi
  echo "on Debian: apt-get install skopeo" >&2
  return 1
}

# Unpacked and not installed: nothing of it is to run by itself, and root is not needed.
get_containerd() {
  command -v containerd >/dev/null && command -v ctr >/dev/null && return
  local out="$dir/containerd-debian" work
  if [ ! -e "$out/complete" ]; then
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || { echo "only where Debian's packages are" >&2; return 1; }
    echo "installing containerd (its Debian package, kept in $dir)" >&2
    work=$(mktemp -d)
    (
      cd "$work" || exit 1
      apt-get download -qq containerd || { [ "$(id -u)" = 0 ] && apt-get update -qq && apt-get download -qq containerd; } || exit 1
      rm -rf "$out" && dpkg-deb -x containerd_*.deb "$out" && touch "$out/complete"
    ) </dev/null || { rm -rf "$work"; echo "its Debian package cannot be had" >&2; return 1; }
    rm -rf "$work"
  fi
  mkdir -p "$dir/bin" && ln -sfn "$out/usr/bin/containerd" "$out/usr/bin/ctr" "$dir/bin/"
}

one() { # name
  case $1 in
    containerd) get_containerd ;;
    skopeo) get_skopeo ;;
    appr|cnr|operator-courier) bash "$here/install-appr.sh" "$dir" "$1" ;;
    *) bash "$here/install-go.sh" "$dir" "$1" ;;
  esac
}

exec 9>"$dir/.lock"
if command -v flock >/dev/null; then flock 9; fi # two runs at once would build the same things twice
log=$(mktemp)
trap 'rm -f "$log"' EXIT
[ $# -gt 0 ] || set -- olareg oras crane regctl registry helm3 helm4 appr cnr operator-courier skopeo containerd containerd2
for name; do
  : >"$log"
  # what is being built is shown at once, the rest only in so far as it says why there is nothing
  one "$name" 9>&- 2>&1 | tee "$log" | grep --line-buffered -E '^(building|installing) ' >&2
  if [ "${PIPESTATUS[0]}" != 0 ]; then
    why=$(grep -v -E '^(building|installing) ' "$log" | tail -n 1)
    echo "$name: not installed: ${why#"$name": }" >&2
    missing=1
  fi
done
if [ "${CI:-}" = true ]; then exit $missing; fi
