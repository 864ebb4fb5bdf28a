# The initializer's image. Two targets, for Docker's classic builder, BuildKit and podman:
#   native   the initializer alone
#   (last)   the same with Kit's CLI beside it, for KIT_ENGINE=kit
# The classic builder builds every stage above its target, so the stage that names KIT_BASE_IMAGE comes after `native`.
ARG PYTHON_IMAGE=python:3.13-slim
ARG KIT_BASE_IMAGE=ghcr.io/kitops-ml/kitops:v1.7.0

FROM ${PYTHON_IMAGE} AS build
# Where packages come from, when it is not where pip looks by itself; nothing of these stays in the image.
ARG PIP_INDEX_URL
ARG PIP_CERT
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
COPY constraints/image.txt constraints/image-build.txt /build/constraints/
RUN python3 -m venv --without-pip /opt/kit-initializer \
 && python3 -m venv --without-pip /build/tools \
 && python3 -m pip --python /opt/kit-initializer/bin/python install --require-hashes --only-binary :all: \
      --requirement /build/constraints/image.txt \
 && python3 -m pip --python /build/tools/bin/python install --require-hashes --only-binary :all: \
      --requirement /build/constraints/image-build.txt
COPY initializer /build/initializer
RUN cd /build/initializer && /build/tools/bin/hatchling build -t wheel \
 && python3 -m pip --python /opt/kit-initializer/bin/python install --no-deps --no-index \
      /build/initializer/dist/kit_initializer-*.whl

# Removes what is never loaded, and gathers Python, its libraries and CA certificates in /image.
RUN python3 /build/initializer/image/assemble.py /opt/kit-initializer /image

# No base: a whole Debian with Python weighs more than everything here. There is no shell and no package manager.
FROM scratch AS native
COPY --from=build /image /
COPY --from=build /opt/kit-initializer /opt/kit-initializer
ENV PATH=/opt/kit-initializer/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# A number, because `runAsNonRoot` cannot judge a name; group 0, because that is what OpenShift gives to any uid.
USER 1001:0
ENTRYPOINT ["/opt/kit-initializer/bin/kit-initializer"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kit-initializer" \
      org.opencontainers.image.description="KServe storage initializer for Kit ModelKits (kit://)" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM ${KIT_BASE_IMAGE} AS kit

FROM native
COPY --from=kit /usr/local/bin/kit /usr/local/bin/kit
