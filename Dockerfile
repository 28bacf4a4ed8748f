# The pipeline's images, one for each target: cpu (default), gpu and tpu. docs/images.md describes them.

# Debian's release. The packages of tpu need trixie, those of cpu and gpu need bookworm.
ARG DEBIAN=bookworm

FROM debian:${DEBIAN}-slim AS base
# No version is pinned, because Debian removes a package's old version when it publishes a fix.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/*

FROM base AS build
# The compiler is for pyfarmhash, which has no wheel.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements/uv.txt requirements/
RUN python3 -m venv /opt/uv \
 && /opt/uv/bin/pip install --no-cache-dir --require-hashes -r requirements/uv.txt \
 && python3 -m venv --without-pip /opt/pipeline
ENV PATH=/opt/uv/bin:$PATH VIRTUAL_ENV=/opt/pipeline UV_PYTHON_DOWNLOADS=never UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1

# TensorFlow's headers compile custom operations, which no node has. Some packages contain their tests.
FROM build AS cpu-packages
COPY requirements/cpu.txt requirements/
RUN uv pip sync --require-hashes requirements/cpu.txt \
 && rm -r /opt/pipeline/lib/python3*/site-packages/tensorflow/include \
 && find /opt/pipeline -type d -name tests -prune -exec rm -r {} +

FROM build AS gpu-packages
COPY requirements/lock-old.txt requirements/gpu.txt requirements/
RUN uv pip sync --require-hashes requirements/lock-old.txt requirements/gpu.txt \
 && rm -r /opt/pipeline/lib/python3*/site-packages/tensorflow/include \
 && find /opt/pipeline -type d -name tests -prune -exec rm -r {} +

FROM build AS tpu-packages
RUN . /etc/os-release && { test "$VERSION_CODENAME" = trixie || { echo "expected --build-arg DEBIAN=trixie" >&2; exit 1; }; }
COPY requirements/tpu.txt requirements/
# The import shows that TensorFlow and libtpu fit: with any other libtpu, it aborts. Without a TPU, libtpu would wait for
# Google Cloud's metadata server.
RUN uv pip sync --require-hashes requirements/tpu.txt \
 && TPU_SKIP_MDS_QUERY=1 /opt/pipeline/bin/python -c "import tensorflow"

FROM cpu-packages AS wheel
COPY . .
RUN /opt/pipeline/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist .

FROM tpu-packages AS tpu-wheel
COPY . .
RUN /opt/pipeline/bin/python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir dist .

FROM base AS run
# Kubeflow's launcher writes artifacts to these folders as the container's user.
RUN useradd --uid 1000 --create-home pipeline \
 && install --directory --owner=pipeline /gcs /minio /s3
ENV PATH=/opt/pipeline/bin:$PATH PYTHONUNBUFFERED=1 TF_CPP_MIN_LOG_LEVEL=1
WORKDIR /home/pipeline
# A cluster sets the whole command. This default prints its usage.
CMD ["python", "-m", "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor", "--help"]
ARG COMMIT=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="tfx-photo-pipeline" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.source="$SOURCE"

FROM run AS tpu
COPY --from=tpu-packages /opt/pipeline /opt/pipeline
RUN --mount=type=bind,from=tpu-wheel,source=/build/dist,target=/dist python -m pip install --no-cache-dir --no-deps /dist/*.whl
USER 1000

FROM run AS gpu
# Google Kubernetes Engine mounts the driver's libraries in the first folder. The profiler's CUPTI is in the second.
# TensorFlow does not look there by itself.
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64:/opt/pipeline/lib/python3.11/site-packages/nvidia/cuda_cupti/lib
COPY --from=gpu-packages /opt/pipeline /opt/pipeline
RUN --mount=type=bind,from=wheel,source=/build/dist,target=/dist python -m pip install --no-cache-dir --no-deps /dist/*.whl
USER 1000

FROM run AS cpu
# The version is that of cpu.txt.
COPY --from=apache/beam_python3.11_sdk:2.67.0 /opt/apache/beam/boot /opt/apache/beam/LICENSE /opt/apache/beam/NOTICE /opt/apache/beam/
COPY --from=cpu-packages /opt/pipeline /opt/pipeline
RUN --mount=type=bind,from=wheel,source=/build/dist,target=/dist python -m pip install --no-cache-dir --no-deps /dist/*.whl
USER 1000
# Without it, boot tries to create a virtual environment, which would not contain the packages of /opt/pipeline.
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
# Beam's engines start the image as a worker, with arguments for boot. A cluster's command replaces this entry point.
ENTRYPOINT ["/opt/apache/beam/boot"]
CMD []
