#!/usr/bin/env bash
# Builds targets of the Dockerfile without Docker and checks each image; the checks are in check.sh.
#
#   tests/image/build.sh [cpu] [gpu] [tpu]     by hand, as root on Debian 12 with
#                                              `apt-get install buildah debootstrap golang-go`; default: all
#
# Skips a target if the disk is too small for it, and says so. The exit code is 1 if a target failed. Proves that each
# instruction of the Dockerfile does its work on the target's Debian. Does not prove that Docker's own builder agrees, that
# the published images are what debootstrap and Go make here, or anything of a GPU, a TPU or a cluster.
set -euo pipefail
cd "$(dirname "$0")/../.."
export BUILDAH_ISOLATION=chroot
[ $# -gt 0 ] || set -- cpu gpu tpu
for target; do
  [[ $target =~ ^(cpu|gpu|tpu)$ ]] || { echo "expected the targets cpu, gpu or tpu, received '$target'" >&2; exit 2; }
done
[ "$(id -u)" = 0 ] || { echo "expected root, because debootstrap and chroot need it: sudo $0 $*" >&2; exit 2; }
for tool in buildah debootstrap go; do
  command -v $tool > /dev/null || { echo "$tool is missing: apt-get install buildah debootstrap golang-go" >&2; exit 2; }
done

commit() {  # a folder as an image with one layer
  local container
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$1" / > /dev/null
  buildah commit --quiet --rm "$container" "$2" > /dev/null
  rm -rf "$1"
}

debian() {  # stands in for debian:$1-slim, with this machine's certificates where it has some of its own
  local folder
  buildah inspect "docker.io/library/debian:$1-slim" > /dev/null 2>&1 && return
  folder=$(mktemp -d)
  debootstrap --variant=minbase "$1" "$folder" > /dev/null
  rm -rf "$folder"/var/lib/apt/lists/* "$folder"/var/cache/apt/archives/*.deb
  cp -r /usr/local/share/ca-certificates "$folder/usr/local/share/"
  [[ ! -f /etc/pip.conf ]] || cp /etc/pip.conf "$folder/etc/"
  mkdir "$folder/etc/uv"
  echo 'system-certs = true' > "$folder/etc/uv/uv.toml"
  commit "$folder" "docker.io/library/debian:$1-slim"
}

beam() {  # stands in for Beam's image of the Dockerfile, with boot built from the module of the same version
  local image folder
  image=$(grep -o 'apache/beam_python[^ ]*' Dockerfile)
  buildah inspect "docker.io/$image" > /dev/null 2>&1 && return
  folder=$(mktemp -d)
  mkdir -p "$folder/opt/apache/beam"
  # The checksum database is not reachable everywhere.
  CGO_ENABLED=0 GONOSUMDB=github.com/apache/beam GOBIN="$folder/bin" \
    go install "github.com/apache/beam/sdks/v2/python/container@v${image##*:}"
  mv "$folder/bin/container" "$folder/opt/apache/beam/boot"
  touch "$folder/opt/apache/beam/LICENSE" "$folder/opt/apache/beam/NOTICE"
  rmdir "$folder/bin"
  commit "$folder" "docker.io/$image"
}

build() {  # target, Debian's release
  local start=$SECONDS container image=localhost/tfx-photo-pipeline:$1 status=0
  debian "$2"
  beam
  if ! buildah build --pull-never --target "$1" --build-arg COMMIT="$(git rev-parse HEAD)" --build-arg DEBIAN="$2" \
    --tag "$image" .; then
    summary+=("$1: the build FAILED")
    failed=1
    return
  fi
  summary+=("$1: built in $((SECONDS - start)) s, $(buildah images --format '{{.Size}}' "$image")")
  container=$(buildah from --pull-never "$image")
  tests/image/check.sh "$1" "$container" || status=1
  buildah rm "$container" > /dev/null
  if [ "$status" = 0 ]; then
    summary+=("$1: all checks passed")
  else
    summary+=("$1: a check FAILED")
    failed=1
  fi
}

failed=0
summary=()
for target; do
  # cpu and tpu used 10 to 12 GB, gpu 34 GB.
  case $target in cpu) debian=bookworm needed=15 ;; gpu) debian=bookworm needed=35 ;; tpu) debian=trixie needed=15 ;; esac
  free=$(df --output=avail --block-size=G "${TMPDIR:-/var/tmp}" /var/lib | tail -n +2 | tr -dc '0-9\n' | sort -n | head -1)
  if [ "$free" -lt "$needed" ]; then
    summary+=("$target: skipped, because it needs $needed GB of disk and $free GB are free")
  else
    build "$target" "$debian"
  fi
done
printf '== %s\n' "${summary[@]}"
exit "$failed"
