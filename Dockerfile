# The images of the pipeline's stages, and the one that serves what they made:
#   data    distort, join, merge, compare; no TensorFlow. Also MLflow's server.
#   train   workers, training, evaluation, registration
#   ingest  download: what `data` has, and beside it tensorflow-io's decoders in an environment of their own
#   serve   `mlflow models serve` on the registered model that MODEL_URI names, or that is mounted at /model
# `make images` builds them. Every package is pinned by its hash in requirements.lock; the base image by BASE_IMAGE, which takes a
# digest too.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG UV_VERSION
# The certificates of the system count, so that a company's own can be mounted.
ENV PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_LINK_MODE=copy UV_SYSTEM_CERTS=1
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet --disable-pip-version-check uv==${UV_VERSION}
WORKDIR /build

# What each image needs of requirements.lock. A layer of packages is made anew only where its own list has changed.
FROM build AS locks
ARG TRAIN=train
COPY requirements.lock setup.cfg pyproject.toml README.md LICENSE ./
COPY containers/export_lock.sh containers/
COPY metrifier_core/_version.py metrifier_core/
RUN export_lock() { containers/export_lock.sh /opt/uv/bin/uv "$@"; } \
 && stages="pipelines tracking http s3 gs" \
 && export_lock data.lock $stages tracking-server \
 && export_lock train.lock $stages tfds "$TRAIN" \
 && export_lock serve.lock tracking tflite

FROM build AS data-environment
COPY --from=locks /build/data.lock .
RUN /opt/uv/bin/uv venv --quiet --python python3 /opt/metrifier \
 && /opt/uv/bin/uv pip sync --quiet --compile-bytecode --python /opt/metrifier/bin/python --require-hashes data.lock

# With nothing of the package's own, which lends its decoders to it.
FROM build AS ingest-environment
COPY components/ingest/requirements.lock ingest.lock
RUN /opt/uv/bin/uv venv --quiet --python python3 /opt/ingest \
 && /opt/uv/bin/uv pip sync --quiet --compile-bytecode --python /opt/ingest/bin/python --require-hashes ingest.lock

FROM build AS serve-environment
COPY --from=locks /build/serve.lock .
RUN /opt/uv/bin/uv venv --quiet --python python3 /opt/metrifier \
 && /opt/uv/bin/uv pip sync --quiet --compile-bytecode --python /opt/metrifier/bin/python --require-hashes serve.lock

# The package apart from what it needs: it changes often, and is a small layer of its own.
FROM data-environment AS package
COPY requirements.lock setup.cfg pyproject.toml README.md LICENSE ./
COPY metrifier_core metrifier_core
RUN /opt/uv/bin/uv pip install --quiet --compile-bytecode --python /opt/metrifier/bin/python --target /opt/package --no-deps \
    --build-constraints requirements.lock .

FROM ${BASE_IMAGE} AS base
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin metrifier
# Any user can run it, as some clusters choose one: what a library keeps for itself goes to /tmp.
ENV PATH=/opt/package/bin:/opt/metrifier/bin:${PATH} PYTHONPATH=/opt/package PYTHONUTF8=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 10001
WORKDIR /home/metrifier
LABEL org.opencontainers.image.title="metrifier" org.opencontainers.image.licenses="Apache-2.0"

# What the pipeline's images have in common: a node pulls it once.
FROM base AS common
COPY --from=data-environment /opt/metrifier /opt/metrifier

# What changes often comes last in each: the large layers before it stay as they are, here and in a registry.
FROM common AS data
COPY --from=package /opt/package /opt/package
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"

FROM common AS train
# Copied: podman reuses a layer from its cache even if a mounted file has changed.
COPY --from=locks /build/train.lock /opt/train.lock
USER 0
RUN --mount=type=bind,from=build,source=/opt/uv,target=/opt/uv \
    UV_NO_CACHE=1 UV_LINK_MODE=copy UV_SYSTEM_CERTS=1 /opt/uv/bin/uv pip install --quiet --compile-bytecode \
    --python /opt/metrifier/bin/python --require-hashes --requirements /opt/train.lock
USER 10001
COPY --from=package /opt/package /opt/package
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"

FROM common AS ingest
COPY --from=ingest-environment /opt/ingest /opt/ingest
ENV METRIFIER_INGEST_PYTHON=/opt/ingest/bin/python
COPY --from=package /opt/package /opt/package
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"

# Without the package: a registered model brings its own code.
FROM base AS serve
COPY --from=serve-environment /opt/metrifier /opt/metrifier
ENV MODEL_URI=/model PORT=8080 WORKERS=1
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s \
  CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/ping', timeout=5)"]
# As the first process, MLflow would not hear SIGTERM. Its server is told by the kernel when it ends, and has 5 seconds for the
# requests that are under way.
CMD mlflow models serve --env-manager local --model-uri "$MODEL_URI" \
      --host 0.0.0.0 --port "$PORT" --workers "$WORKERS" \
    & trap 'kill $!; sleep 5' TERM; wait $!
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.version="${VERSION}" org.opencontainers.image.revision="${REVISION}"
