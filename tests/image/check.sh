#!/usr/bin/env bash
# Looks into an image, and trains the sample in it. build.sh calls it with the target and a container made from the image.
set -euo pipefail
target=$1 container=$2
sample=(python local_runner.py --set trainer.epochs=1 --set evaluator.min_accuracy=0.1 --set evaluator.min_class_recall=0)
# The host's name is one that resolves: Beam's workers connect to it.
inside() { buildah run --user 1000 --hostname localhost --env TPU_SKIP_MDS_QUERY=1 "$container" -- "$@"; }

inside sh -ec '
  test "$(id -u)" = 1000 && test "$(pwd)" = /home/pipeline && test -z "$(ls)"
  for left in "command -v cc" "command -v g++" "command -v uv" "python -m pytest --version" "touch /opt/pipeline/x"; do
    if $left 2> /dev/null; then echo "expected to fail: $left" >&2; exit 1; fi
  done
  touch /gcs/x /minio/x /s3/x
  du -sm --apparent-size /opt/pipeline'
inside python -c 'import pipeline, sys; print(sys.version, pipeline.__file__)'
inside python -m tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor --helpshort | tail -5
buildah add --quiet --chown 1000 "$container" local_runner.py /home/pipeline/ > /dev/null
inside python local_runner.py --devices
inside "${sample[@]}"
case $target in
  cpu)  # the whole pipeline again; each worker is started by boot, as in a worker pool on a cluster
    inside sh -ec '
      setsid /opt/apache/beam/boot --worker_pool > pool.log 2>&1 &
      pool=$!
      python -m apache_beam.runners.portability.local_job_service_main --port 8099 > jobs.log 2>&1 &
      trap "kill -TERM -$pool $!" EXIT
      until grep -q "Listening for beam jobs" jobs.log; do sleep 1; done
      no_proxy=127.0.0.1,localhost "$@" --output portable --set beam.runner=PortableRunner \
        --set "beam.args=[--job_endpoint=127.0.0.1:8099, --environment_type=EXTERNAL, --environment_config=127.0.0.1:50000]"
      grep -c "^Starting worker with command .*/opt/apache/beam/boot" pool.log' sh "${sample[@]}" ;;
  gpu)  # any library stands in for the driver's, to show that TensorFlow looks where a cluster mounts it
    buildah run --user 0 "$container" -- install -D /lib/x86_64-linux-gnu/libm.so.6 /usr/local/nvidia/lib64/libcuda.so.1
    inside python - < tests/image/cuda_libraries.py
    inside sh -ec 'ldd /opt/pipeline/lib/python3*/site-packages/nvidia/*/lib/*.so* > ldd.txt 2>&1; ! grep "not found" ldd.txt' ;;
  tpu)  # exits with 1, because no TPU is here
    report=$(inside python -m trainer.tpu_check --models mlp convnet) || true
    echo "$report"
    if ! grep -q "^FAILED  devices" <<< "$report" || ! grep -q "^4 of 5 checks passed" <<< "$report"; then
      echo "expected that only the check of the devices fails" >&2
      exit 1
    fi ;;
esac
