#!/usr/bin/env bash
# install-appr.sh DIR NAME… — installs the genuine App Registry servers, and the client (appr), below DIR.
#
# Each is a virtual environment with the packages as they were published, checked by their hashes, and an import hook
# (appregistry/revive.py) that lets Python 2 code of 2017 run. Its folder is named after all of that: what changes is
# made anew, what is there is kept. A folder without the file `complete` is what an interrupted run left: it goes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/appregistry" && pwd)
dir=$(mkdir -p "$1" && cd "$1" && pwd); shift
python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}

install() { # name version
  local requirements="$here/requirements-$1.txt" digest out site
  digest=$(cat "$requirements" "$here/revive.py" | sha256sum | cut -c1-12)
  out="$dir/$1-$2-$digest"
  if [ ! -e "$out/complete" ]; then
    [ -n "$python" ] || { echo "$1: Python 3.11 is needed to install it" >&2; exit 1; }
    echo "installing $1 $2 (once; kept in $dir)" >&2
    rm -rf "$out"
    "$python" -m venv "$out"
    "$out/bin/python" -m pip --disable-pip-version-check install --quiet --no-compile \
      --no-deps --require-hashes --only-binary :all: --requirement "$requirements"
    site=$("$out/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    cp "$here/revive.py" "$site/apprproxy_revive.py"
    echo 'import apprproxy_revive' >"$site/apprproxy_revive.pth"
    "$out/bin/python" -c "import $1.api.wsgi"
    touch "$out/complete"
  fi
  mkdir -p "$dir/bin"
  ln -sfn "$out/bin/gunicorn" "$dir/bin/$1-gunicorn"
  if [ -x "$out/bin/$1" ]; then ln -sfn "$out/bin/$1" "$dir/bin/$1"; fi
}

for name; do
  case $name in
    appr) install appr 0.7.4 ;;
    cnr)  install cnr 0.2.7.post2 ;;
    *) echo "install-appr.sh: no such package: $name" >&2; exit 2 ;;
  esac
done
