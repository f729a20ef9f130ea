# TensorFlow and Keras for the CPU, every package pinned by the file named in REQUIREMENTS.
# The build context is put together by `harness images build`.
ARG BASE=python:3.11.10-slim-bookworm@sha256:5148c0e4bbb64271bca1d3322360ebf4bfb7564507ae32dd639322e4952a6b16

FROM ${BASE} AS build
ARG REQUIREMENTS
# Certificates of the building machine, for networks that inspect TLS; they stay in this stage.
COPY certs/ /tmp/certs/
COPY requirements/${REQUIREMENTS} /tmp/requirements.txt
RUN python3 -m venv /opt/harness \
    && if [ -s /tmp/certs/ca.crt ]; then export PIP_CERT=/tmp/certs/ca.crt; fi \
    && /opt/harness/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements.txt

FROM ${BASE}
COPY --from=build /opt/harness /opt/harness
ENV PATH=/opt/harness/bin:/usr/local/bin:/usr/bin:/bin
USER 1000:1000
WORKDIR /tmp
