#!/usr/bin/env bash
# install-go.sh DIR NAME… — builds the genuine Go servers and clients of the tests below DIR.
#
# Each tool is a module of its own, because their dependencies disagree with each other, and each binary lies in a
# folder named after its version, so that a newer pin is built and an existing binary is kept. `go install PKG@VERSION`
# is not used: it asks for the list of a module's versions, which not every module proxy can give.
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd); shift

link() { # name binary; `bin` has what is current
  mkdir -p "$dir/bin"
  ln -sfn "$2" "$dir/bin/$1"
}

build() { # name module version package [tags]
  local out="$dir/$1-$3/$1" work
  if [ -x "$out" ]; then link "$1" "$out"; return; fi
  command -v go >/dev/null || { echo "$1: Go is needed to build it (https://go.dev/doc/install)" >&2; exit 1; }
  echo "building $1 $3 (once; kept in $dir)" >&2
  work=$(mktemp -d)
  (
    cd "$work"
    go mod init tool 2>/dev/null
    go mod edit -require "$2@$3"
    CGO_ENABLED=0 GOTOOLCHAIN=local go build -mod=mod -tags "${5:-}" -o "$out.part" "$4" 2>log || { cat log >&2; exit 1; }
    mv "$out.part" "$out"
  )
  rm -rf "$work"
  link "$1" "$out"
}

for name; do
  case $name in
    helm3)    build helm3 helm.sh/helm/v3 v3.21.4 helm.sh/helm/v3/cmd/helm ;;
    helm4)    build helm4 helm.sh/helm/v4 v4.2.4 helm.sh/helm/v4/cmd/helm ;;
    crane)    build crane github.com/google/go-containerregistry v0.21.9 github.com/google/go-containerregistry/cmd/crane ;;
    oras)     build oras oras.land/oras v1.3.3 oras.land/oras/cmd/oras ;;
    regctl)   build regctl github.com/regclient/regclient v0.11.5 github.com/regclient/regclient/cmd/regctl ;;
    olareg)   build olareg github.com/olareg/olareg v0.2.2 github.com/olareg/olareg/cmd/olareg ;;
    registry) build registry github.com/distribution/distribution/v3 v3.1.1 github.com/distribution/distribution/v3/cmd/registry ;;
    containerd2) # what nodes run today, by a name of its own beside Debian's; without what drives containers and disks
      module=github.com/containerd/containerd/v2 tags="no_cri no_btrfs no_devmapper no_zfs"
      build containerd2 $module v2.3.4 $module/cmd/containerd "$tags"
      build ctr2 $module v2.3.4 $module/cmd/ctr "$tags" ;;
    *) echo "install-go.sh: no such tool: $name" >&2; exit 2 ;;
  esac
done
