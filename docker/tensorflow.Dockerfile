# NVIDIA's TensorFlow image for a user other than root. Keras is inside it; nothing is added.
# `harness images build` puts the context together and names the base, which the catalog pins.
ARG BASE
FROM ${BASE}
ENV KERAS_BACKEND=tensorflow
RUN python3 -c 'import keras; print("Keras", keras.__version__, "on", keras.backend.backend())'
USER 1000:1000
WORKDIR /tmp
