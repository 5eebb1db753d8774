#!/usr/bin/env bash
# install-appr.sh DIR NAME… — installs the genuine App Registry servers, and the clients (appr, operator-courier), below DIR.
#
# Each is a virtual environment with the packages as they were published, checked by their hashes, and for appr and cnr
# an import hook (appregistry/revive.py) that lets Python 2 code of 2017 run. Its folder is named after all of that: what
# changes is made anew, what is there is kept. A folder without the file `complete` is what an interrupted run left: it
# goes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/appregistry" && pwd)
dir=$(mkdir -p "$1" && cd "$1" && pwd); shift
python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}

install() { # name version finish
  local requirements="$here/requirements-$1.txt" out
  out="$dir/$1-$2-$(cat "$here/requirements-$1"*.txt "$here/revive.py" | sha256sum | cut -c1-12)"
  if [ ! -e "$out/complete" ]; then
    [ -n "$python" ] || { echo "$1: Python 3.11 is needed to install it" >&2; exit 1; }
    echo "installing $1 $2 (once; kept in $dir)" >&2
    rm -rf "$out"
    "$python" -m venv "$out"
    packages "$out" --only-binary :all: --requirement "$requirements"
    "$3" "$1" "$out"
    touch "$out/complete"
  fi
  mkdir -p "$dir/bin"
  if [ -x "$out/bin/gunicorn" ]; then ln -sfn "$out/bin/gunicorn" "$dir/bin/$1-gunicorn"; fi
  if [ -x "$out/bin/$1" ]; then ln -sfn "$out/bin/$1" "$dir/bin/$1"; fi
}

packages() { # environment argument…
  local out=$1; shift
  "$out/bin/python" -m pip --disable-pip-version-check install --quiet --no-compile --no-deps --require-hashes "$@"
}

revive() { # name environment
  local site
  site=$("$2/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  cp "$here/revive.py" "$site/apprproxy_revive.py"
  echo 'import apprproxy_revive' >"$site/apprproxy_revive.pth"
  "$2/bin/python" -c "import $1.api.wsgi"
}

# it was published as source only; what builds it is of the environment itself, where hashes have been checked
from_source() { # name environment
  packages "$2" --no-build-isolation --requirement "$here/requirements-$1-source.txt"
}

for name; do
  case $name in
    appr) install appr 0.7.4 revive ;;
    cnr)  install cnr 0.2.7.post2 revive ;;
    operator-courier) install operator-courier 2.1.11 from_source ;;
    *) echo "install-appr.sh: no such package: $name" >&2; exit 2 ;;
  esac
done
