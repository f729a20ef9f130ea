# A framework and Keras for the CPU, every package pinned by the file named in REQUIREMENTS.
# `harness images build` puts the context together and names the base, which the catalog pins.
ARG BASE

FROM ${BASE} AS build
ARG REQUIREMENTS
# Certificates of the building machine, for networks that inspect TLS, and its own wheels; both
# stay in this stage.
COPY certs/ /tmp/certs/
COPY wheels/ /tmp/wheels/
COPY requirements/${REQUIREMENTS} /tmp/requirements.txt
RUN python3 -m venv /opt/harness \
    && if [ -s /tmp/certs/ca.crt ]; then export PIP_CERT=/tmp/certs/ca.crt; fi \
    && /opt/harness/bin/pip install --no-cache-dir --disable-pip-version-check \
        --find-links /tmp/wheels -r /tmp/requirements.txt

FROM ${BASE}
COPY --from=build /opt/harness /opt/harness
ENV PATH=/opt/harness/bin:/usr/local/bin:/usr/bin:/bin
USER 1000:1000
WORKDIR /tmp
