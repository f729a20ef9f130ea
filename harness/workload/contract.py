"""What the host and the workload agree on: arguments, the spec, event lines, timing files.

The standard library alone, Python 3.8 syntax: the host imports this module, and so does the
code that runs inside images this project did not build.

The workload is started as ``python3 WORKLOAD_DIR --spec FILE --data DIR --out DIR
[--weights DIR]``. It runs the phases in ``PHASES`` one after the other, each in a process of its
own, and exits with the first failing phase's code (128 + signal number where a signal ended it).
"""

import json

CONTRACT_VERSION = 1

PHASES = ("train", "infer")
EVENT_PREFIX = ":::harness "
"""Starts each event line on stdout; one JSON object follows it on the same line."""

FRAMEWORKS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "tf32", "mixed_float16", "mixed_bfloat16")
WEIGHTS = ("random", "imagenet")
CHECKPOINTS = ("none", "best_val_accuracy")
MODELS = ("model-a", "model-b", "model-b-2021")
MEASURES = ("full", "quick")
FIT = "fit"
"""A measure beside those of a matrix: a few steps, to see whether the batch fits memory."""

DEVICES = ("gpu", "cpu")
MODEL_FILE = "model.h5"
"""The trained model inside ``--out`` while the phases run; removed at the end.

HDF5, which every Keras reads. Keras before 3.6 goes through a ``.keras`` archive again and again
for its many variables: model B loads in 4 s from this, and took 61 s (3.3) or 21 min (2.15).
"""

EXIT_BAD_SPEC = 2
"""Exit code of a workload that refuses its spec or its arguments; nothing has been started."""

MIN_BLOCK_S = 1.0
"""A block of steps shorter than this says too little to be counted."""

IMAGE_SIDE = 32
CHANNELS = 3
CLASSES = 10


def timing_file(phase):
    # type: (str) -> str
    """Name of the file, inside ``--out``, that `phase` leaves behind when it has finished."""
    return "timing-%s.json" % phase


def event_line(event):
    # type: (dict[str, object]) -> str
    """One event as the line that carries it, without the newline."""
    return EVENT_PREFIX + json.dumps(event, separators=(",", ":"))


def parse_event(line):
    # type: (str) -> dict[str, object] | None
    """The event in a line of output, or None where the line is anything else."""
    if not line.startswith(EVENT_PREFIX):
        return None
    try:
        event = json.loads(line[len(EVENT_PREFIX) :])
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None
