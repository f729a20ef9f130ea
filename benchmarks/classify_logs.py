"""How fast a log is classified, and that its size costs no memory.

Aims: 200 MB/s on ordinary log text, 50 MB/s on a log of nothing but near misses, in one process of
plain Python; memory flat. Ours alone, there is no bare tool.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import psutil

from benchmarks import pairs
from benchmarks.pairs import Row
from harness.probes.findings import Findings
from harness.probes.logs import LogWatcher
from harness.workload.contract import event_line

CHUNK, MEGABYTE = 64 << 10, 10**6
ORDINARY_MB_S, NEAR_MB_S, MORE_MB = 200.0, 50.0, 2.0

PREFIX = "2026-11-24 15:03:11.127373: I tensorflow/core/"
ORDINARY = (
    *(
        f"{step}/938 [=====>........................] - ETA: 1:02 - loss: 0.{step}97 - "
        f"accuracy: 0.9{step} - 12ms/step"
        for step in range(100, 190)
    ),
    "epoch 3 of 20: val_loss 0.1243, val_accuracy 0.9412, 1234.5 images/s, learning rate 0.001",
    event_line({"event": "progress", "phase": "train", "step": 120, "steps": 938}).strip(),
    PREFIX
    + "common_runtime/gpu/gpu_device.cc:1928] Created device /job:localhost/replica:0/task:0/"
    "device:GPU:0 with 38371 MB memory:  -> device: 0, name: A100, compute capability: 8.0",
    PREFIX + "platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized to use "
    "available CPU instructions in performance-critical operations.",
    "INFO:train:checkpoint written to /harness/out/checkpoint-00003.keras in 1.3 s",
)
NEAR = (
    PREFIX
    + "common_runtime/bfc_allocator.cc:1046] Bin (256): \tTotal Chunks: 1, Chunks in use: 1. "
    "256B allocated for chunks. 256B in use in bin. 12B client-requested in use in bin.",
    "W1021 15:41:33.939407 hlo_rematerialization.cc:3005] Can't reduce memory use below 2.58GiB by "
    "rematerialization; only reduced to 31.49GiB (33811139404 bytes)",
    "W0000 00:00:1795438795.894524 25460 gemm_fusion_autotuner.cc:900] Autotuning candidate failed "
    "with out of memory error: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 42 bytes",
    "print: my model ran out of memory trying to allocate what it needs, and no MemoryError came",
    "reading /home/me/CUDA out of memory. Tried to allocate/train.csv: OOM when allocating tensors",
    "WARNING:root:ValueError: see No space left on device and Too many open files in the manual",
)
TEXTS = {
    "ordinary log text": (ORDINARY, ORDINARY_MB_S),
    "the same, as a progress bar": (("\r".join(ORDINARY),), None),
    "the same, in colours": (tuple(f"\x1b[32m{line}\x1b[0m" for line in ORDINARY), None),
    "nothing but near misses": (NEAR, NEAR_MB_S),
}


def chunks(lines: tuple[str, ...], size: int) -> Iterator[bytes]:
    """`size` bytes of the lines again and again, cut without regard to them."""
    text = ("\n".join(lines) + "\n").encode()
    around = text * (CHUNK // len(text) + 2)
    for start in range(0, size, CHUNK):
        place = start % len(text)
        yield around[place : place + CHUNK]


def classify(lines: tuple[str, ...], size: int) -> float:
    """MB a second of processor time, in one pass over `size` bytes.

    Raises SystemExit where something is found, since nothing is there.
    """
    watcher, found = LogWatcher(), Findings()
    started = time.process_time()
    for chunk in chunks(lines, size):
        for event in watcher.feed(chunk):
            found.take(event)
    rate = size / (time.process_time() - started) / MEGABYTE
    for event in (*found.memory_events, found.resource):
        if event is not None:
            raise SystemExit(f"found what is not there: {event}")
    return rate


def rate(what: str, measured: list[float], at_least: float | None) -> Row:
    middle = sorted(measured)[len(measured) // 2]
    shown = f"{middle:.0f} MB/s ({min(measured):.0f} to {max(measured):.0f})"
    if at_least is None:
        return Row(what, "", shown, "", "", None)
    return Row(what, "", shown, "", f">= {at_least:g} MB/s", middle >= at_least)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=pairs.at_least_one, default=7)
    parser.add_argument("--megabytes", type=pairs.at_least_one, default=100, help="of each text")
    chosen = parser.parse_args()
    size, process = chosen.megabytes * MEGABYTE, psutil.Process()
    where = pairs.machine()
    for lines, _ in TEXTS.values():
        classify(lines, MEGABYTE)  # nothing is compiled or cached after this
    before = process.memory_info().rss
    rows = [
        rate(what, [classify(lines, size) for _ in range(chosen.times)], at_least)
        for what, (lines, at_least) in TEXTS.items()
    ]
    more = (process.memory_info().rss - before) / MEGABYTE
    rows.append(pairs.figure("memory after all that, more than before", [more], "MB", MORE_MB))
    return pairs.report("classifying logs", where, chosen.times, rows)


if __name__ == "__main__":
    pairs.start(main)
