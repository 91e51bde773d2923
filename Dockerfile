# mergewright with all that it needs, for one process: `serve`, `serve --no-worker` or `worker`.
#
#   docker build -t mergewright .
#
# Whoever works (all but `serve --no-worker`) runs commands in bubblewrap, which makes namespaces of its own. Docker's
# defaults forbid that. Such a container needs these three, and nothing more: no capability and never --privileged.
#
#   --security-opt seccomp=unconfined        clone, unshare and mount in a new user namespace
#   --security-opt apparmor=unconfined       mounts in it, where the host has AppArmor
#   --security-opt systempaths=unconfined    a fresh /proc in it, and no further user namespaces below it
#
# The host must allow unprivileged user namespaces (`sysctl kernel.unprivileged_userns_clone` is 1 or missing; on Ubuntu
# `kernel.apparmor_restrict_unprivileged_userns` is 0). Where any of this is missing nothing runs outside a sandbox
# instead: sessions are refused, `/-/readiness` of a `serve` fails by name, and `mergewright doctor` says what to do.

ARG PYTHON=3.12-slim-bookworm

FROM python:${PYTHON} AS build
ENV PATH=/opt/mergewright/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/mergewright
COPY requirements.lock ./
# Only what the lock names, byte for byte, and nothing that would be built here.
RUN pip install --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN pip install --no-deps --no-index --no-build-isolation . \
 && mergewright --version

FROM python:${PYTHON}
RUN apt-get update \
 && apt-get install --yes --no-install-recommends bubblewrap ca-certificates git ripgrep \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin mergewright \
 && install -d -m 0700 -o mergewright -g mergewright /data
COPY --from=build /opt/mergewright /opt/mergewright
ENV PATH=/opt/mergewright/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    MERGEWRIGHT_HOME=/data \
    MERGEWRIGHT_LISTEN=0.0.0.0 \
    MERGEWRIGHT_LOG=json
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8930
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8930/-/liveness', timeout=4)"]
ENTRYPOINT ["mergewright"]
CMD ["serve"]
