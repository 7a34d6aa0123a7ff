FROM python:3.12-slim-bookworm
ENV LANG=C.UTF-8 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        build-essential ca-certificates curl git libglib2.0-0 libgomp1 libsndfile1 p7zip-full procps unzip zip \
    && rm -rf /var/lib/apt/lists/*
COPY requirements.txt constraints.txt /opt/mleb/base/
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python3 -m pip install -r /opt/mleb/base/requirements.txt -c /opt/mleb/base/constraints.txt
RUN groupadd --gid 1000 agent && useradd --uid 1000 --gid 1000 --home-dir /home/agent --shell /bin/bash agent \
    && mkdir -p /mleb /home/agent /home/data /home/submission /home/code /home/logs \
    && chown agent:agent /home/agent /home/submission /home/code /home/logs
WORKDIR /home
