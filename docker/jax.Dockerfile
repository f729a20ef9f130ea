# Keras added to NVIDIA's JAX image. What the image holds stays as it is, or the build fails.
# `harness images build` puts the context together and names the base, which the catalog pins.
ARG BASE
FROM ${BASE}
ARG REQUIREMENTS
USER 0:0
# Certificates of the building machine, for networks that inspect TLS, are of no use afterwards.
COPY certs/ /tmp/build/certs/
COPY requirements/${REQUIREMENTS} add_packages.py /tmp/build/
ENV KERAS_BACKEND=jax
RUN if [ -s /tmp/build/certs/ca.crt ]; then export PIP_CERT=/tmp/build/certs/ca.crt; fi \
    && python3 /tmp/build/add_packages.py "/tmp/build/${REQUIREMENTS}" \
    && python3 -c 'import keras; print("Keras", keras.__version__, "on", keras.backend.backend())' \
    && rm -r /tmp/build
USER 1000:1000
WORKDIR /tmp
