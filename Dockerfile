# The gateway as an image: Python, the pinned dependencies and the package, run by a user who can write the cache only.
#
#   docker build -t apprproxy .
#   docker run --read-only --cap-drop ALL --stop-timeout 40 -p 127.0.0.1:8080:8080 -v apprproxy:/var/lib/apprproxy apprproxy
#
# Any base with Python 3.11 or newer and a shell will do: --build-arg BASE=…; pin its digest where builds must repeat.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# What it needs to run, in a virtual environment without pip. Wheels only: nothing foreign is run to install it.
COPY requirements.txt ./
RUN python3 -m venv tools \
 && python3 -m venv --without-pip /opt/apprproxy \
 && tools/bin/pip --python /opt/apprproxy/bin/python install --quiet --only-binary :all: --require-hashes -r requirements.txt

# What builds the package, from the developers' lock file: hatchling and what it needs; pip refuses if one is left out.
COPY tests/requirements.txt lock.txt
RUN sed -n '/^\(hatchling\|packaging\|pathspec\|pluggy\|tomlkit\|trove-classifiers\)==/,/[^\\]$/p' lock.txt >tools.txt \
 && tools/bin/pip install --quiet --only-binary :all: --require-hashes -r tools.txt

COPY pyproject.toml README.md LICENSE ./
COPY apprproxy apprproxy/
RUN tools/bin/pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir dist . \
 && tools/bin/pip --python /opt/apprproxy/bin/python install --quiet --no-deps --no-index dist/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="apprproxy" \
      org.opencontainers.image.description="A verifying, caching gateway in front of App Registry and OCI registries (Helm charts, images, signatures)." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/apprproxy/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    APPRPROXY_CONFIG=/etc/apprproxy/apprproxy.yaml
COPY --from=build /opt/apprproxy /opt/apprproxy
COPY config/image.yaml /etc/apprproxy/apprproxy.yaml
RUN mkdir -p /var/lib/apprproxy \
 && chown 65532:65532 /var/lib/apprproxy \
 && chmod 0700 /var/lib/apprproxy
WORKDIR /var/lib/apprproxy
VOLUME /var/lib/apprproxy
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# Straight to the gateway, whatever proxy the environment names. With server.tls, or another port, give your own check.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15s \
  CMD ["/opt/apprproxy/bin/python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["apprproxy"]
CMD ["serve"]
