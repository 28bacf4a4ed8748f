#!/usr/bin/env bash
# Builds a target of the Dockerfile without Docker, looks into the image, and trains the sample in it.
#
#   tests/image/build.sh [cpu|gpu|tpu]     by hand, as root on Debian 12 with `apt-get install buildah debootstrap`
#
# Proves that each instruction of the Dockerfile does its work on the target's Debian, and what is seen below of the
# image. Does not prove that Docker's own builder agrees, that the published debian image is what debootstrap makes
# here, or anything of a GPU, a TPU or a cluster.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:-cpu}
debian=bookworm
[ "$target" != tpu ] || debian=trixie
image=localhost/tfx-photo-pipeline:$target
export BUILDAH_ISOLATION=chroot

base() {  # stands in for debian:$debian-slim, with this machine's certificates where it has some of its own
  local folder container
  folder=$(mktemp -d)
  debootstrap --variant=minbase $debian "$folder" > /dev/null
  rm -rf "$folder"/var/lib/apt/lists/* "$folder"/var/cache/apt/archives/*.deb
  cp -r /usr/local/share/ca-certificates "$folder/usr/local/share/"
  [[ ! -f /etc/pip.conf ]] || cp /etc/pip.conf "$folder/etc/"
  mkdir "$folder/etc/uv"
  echo 'system-certs = true' > "$folder/etc/uv/uv.toml"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$folder" / > /dev/null
  buildah commit --quiet --rm "$container" "docker.io/library/debian:$debian-slim" > /dev/null
  rm -rf "$folder"
}

inside() { buildah run --user 1000 --env TPU_SKIP_MDS_QUERY=1 "$container" -- "$@"; }

buildah inspect "docker.io/library/debian:$debian-slim" > /dev/null 2>&1 || base
time buildah build --pull-never --target "$target" --build-arg COMMIT="$(git rev-parse HEAD)" \
  --build-arg DEBIAN="$debian" --tag "$image" .
buildah images "$image"

container=$(buildah from --pull-never "$image")
trap 'buildah rm "$container" > /dev/null' EXIT
inside sh -ec '
  test "$(id -u)" = 1000 && test "$(pwd)" = /home/pipeline && test -z "$(ls)"
  for left in "command -v cc" "command -v g++" "command -v uv" "python -m pytest --version" "touch /opt/pipeline/x"; do
    if $left 2> /dev/null; then echo "expected to fail: $left" >&2; exit 1; fi
  done
  touch /gcs/x /minio/x /s3/x
  du -sm /opt/pipeline
  du -smx / 2> /dev/null || true'
inside python -c 'import pipeline, sys; print(sys.version, pipeline.__file__)'
inside python -m tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor --helpshort | tail -5
buildah add --quiet --chown 1000 "$container" local_runner.py /home/pipeline/ > /dev/null
inside python local_runner.py --devices
inside python local_runner.py --set trainer.epochs=1 --set evaluator.min_accuracy=0.1 --set evaluator.min_class_recall=0
if [ "$target" = tpu ]; then
  status=0
  inside python -m trainer.tpu_check --models mlp convnet | tee /dev/stderr | grep -q "^4 of 5 checks passed" || status=1
  [ "$status" = 0 ] || { echo "expected that only the check of the devices fails, because no TPU is here" >&2; exit 1; }
fi
