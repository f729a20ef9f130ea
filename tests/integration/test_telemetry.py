"""The sampler and the fingerprint through NVML's real bindings, on a library of the tests' own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.disturbance import disturbance, limited_by
from harness.analysis.telemetry import Sample, summed_up
from harness.model import Disturbed, Telemetry
from harness.probes.telemetry import samples_of
from tests.conftest import lacking

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(__file__).parent / "fake_cards.c"
HEALTHY, THROTTLED, SLICED, FAILING, VANISHING = range(5)

SAMPLE = """
import os, sys, time
from pathlib import Path
from harness.model import Device
from harness.probes.telemetry import Sampler, Subject
device = Device(kind="gpu", uuid="GPU-" + sys.argv[1], vendor="nvidia")
subject = Subject(device, lambda: {os.getpid()}, time.process_time)
sampler = Sampler(subject, Path(sys.argv[2]), hz=50)
sampler.start()
time.sleep(0.6)
sampler.stop()
"""
HARDWARE = """
import json
from harness.host.cards import cuda_version, hardware
from harness.host.gpus import find_gpus
cards = [card.model_dump(mode="json") for card in hardware(find_gpus())]
print(json.dumps({"cards": cards, "cuda": cuda_version()}))
"""


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which NVML shows five pretended cards."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        lacking("a C compiler is needed for the pretended NVML library")
        raise AssertionError
    folder = tmp_path_factory.mktemp("cards")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, LIBRARY], check=True)
    paths = [str(folder), os.environ.get("LD_LIBRARY_PATH", "")]
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(path for path in paths if path)}


RECORD = """
import sys
from pathlib import Path
from harness.campaign import run
from harness.model import Device
from harness.runtimes.scripted import Script
from tests.unit.runs import completing, prepared
from tests.unit.test_campaign import ignore
import dataclasses, json, time

def script(spec):
    began = time.monotonic()
    blocks = [{"steps": 8, "images": 512, "seconds": 0.5, "start": began + 0.4 + 0.5 * n}
              for n in range(2)]
    gpu = {"kind": "gpu", "name": "Pretended Card"}
    made = completing(train={**TRAIN, "blocks": {"train": blocks}, "device": gpu},
                      infer={**INFER, "device": gpu})
    return dataclasses.replace(made, steps=(*made.steps, 2.0))

from tests.unit.runs import infer, train
TRAIN, INFER = train(), infer()
matrix = "axes: {model: [model-a], dataset: [synthetic]}\\ndefaults: {protocol: smoke}"
card = Device(kind="gpu", name="Pretended Card", uuid="GPU-" + sys.argv[1], vendor="nvidia")
made, _ = prepared(matrix, script, Path(sys.argv[2]), card)
(record,) = run(made, ignore).records
print(record.model_dump_json())
"""


def recorded(card: int, cards: dict[str, str], folder: Path) -> dict[str, Any]:
    """The record of a scripted case on that card, of whose two seconds it trained one."""
    command = [sys.executable, "-c", RECORD, str(card), str(folder)]
    said = subprocess.run(command, env=cards, check=True, timeout=60, capture_output=True, cwd=ROOT)
    content = json.loads(said.stdout)
    assert isinstance(content, dict)
    return content


def test_the_record_holds_the_energy_of_the_training_blocks(
    cards: dict[str, str], tmp_path: Path
) -> None:
    record = recorded(HEALTHY, cards, tmp_path)
    assert record["status"] == "ok"
    telemetry = record["telemetry"]
    assert telemetry["samples"] >= 8
    assert telemetry["energy_by"] == "counter"
    assert telemetry["energy_j"] == pytest.approx(100, rel=0.15)  # 100 W, one second
    assert telemetry["energy_images"] == 1024
    assert telemetry["sm_mhz"] == 1800
    assert record["limited_by"] == {"power": 1.0}
    # A script has no process of its own on the card: whose those are cannot be told.
    assert record["disturbed"] == "unknown"
    assert "the GPU's processes cannot be seen" in record["disturbed_by"]


def test_the_record_of_a_card_that_vanished(cards: dict[str, str], tmp_path: Path) -> None:
    record = recorded(VANISHING, cards, tmp_path)
    assert record["telemetry"]["card_lost"]
    assert record["telemetry"]["energy_j"] is None


def sampled(card: int, cards: dict[str, str], folder: Path) -> list[Sample]:
    path = folder / "telemetry.csv"
    command = [sys.executable, "-c", SAMPLE, str(card), str(path)]
    subprocess.run(command, env=cards, check=True, timeout=60)
    return list(samples_of(path))


def whole(samples: list[Sample]) -> Telemetry:
    """Their sum, as if all of the time had been training."""
    return summed_up(samples, [(samples[0].t, samples[-1].t)], images=1)


def test_a_healthy_card(cards: dict[str, str], tmp_path: Path) -> None:
    samples = sampled(HEALTHY, cards, tmp_path)
    found = whole(samples)
    assert 10 <= found.samples <= 35
    assert (found.sm_mhz, found.temperature_c_peak, found.power_w) == (1800, 70, 200)
    assert (found.pcie_generation, found.pcie_width) == (4, 16)
    assert found.energy_by == "counter"
    assert found.energy_j == pytest.approx(100 * found.seconds, rel=0.1)
    assert found.memory_used_peak == 1 << 30
    assert limited_by(samples) == {"power": 1.0}
    assert {(s.own, s.foreign) for s in samples} == {(1, 0)}


def test_a_throttled_card_without_a_counter_and_with_a_stranger(
    cards: dict[str, str], tmp_path: Path
) -> None:
    samples = sampled(THROTTLED, cards, tmp_path)
    found = whole(samples)
    assert (found.sm_mhz, found.pcie_width) == (900, 4)
    assert found.energy_by == "power"
    assert found.energy_j == pytest.approx(200 * found.seconds, rel=0.01)
    assert limited_by(samples) == {"thermal": 1.0}
    verdict = disturbance(samples, on_gpu=True)
    assert verdict.disturbed is Disturbed.YES
    assert verdict.reasons[0] == "other processes were on the GPU for 100% of the time"


def test_a_card_in_slices_has_no_energy_of_the_cases_own(
    cards: dict[str, str], tmp_path: Path
) -> None:
    found = whole(sampled(SLICED, cards, tmp_path))
    assert (found.energy_j, found.energy_by, found.power_w) == (None, None, None)
    assert found.sm_mhz == 1800


def test_a_card_that_answers_nothing_leaves_the_host(cards: dict[str, str], tmp_path: Path) -> None:
    samples = sampled(FAILING, cards, tmp_path)
    found = summed_up(samples)
    assert (found.utilisation, found.sm_mhz, found.energy_j) == (None, None, None)
    assert not found.card_lost
    assert found.cpu is not None
    assert limited_by(samples) is None
    assert "the GPU's processes cannot be seen" in (
        disturbance([s.__class__(t=s.t, other_cpu=0) for s in samples], on_gpu=True).reasons
    )


def test_a_card_that_vanishes_is_told_and_ends_nothing(
    cards: dict[str, str], tmp_path: Path
) -> None:
    samples = sampled(VANISHING, cards, tmp_path)
    assert [s.lost for s in samples[:3]] == [False] * 3
    assert all(s.lost for s in samples[3:])
    assert len(samples) >= 10
    assert summed_up(samples).card_lost


def test_a_card_that_is_not_there_leaves_the_host(cards: dict[str, str], tmp_path: Path) -> None:
    found = summed_up(sampled(9, cards, tmp_path))
    assert found.utilisation is None
    assert found.host_memory_used_peak is not None


def test_what_the_fingerprint_tells_of_each_card(cards: dict[str, str]) -> None:
    command = [sys.executable, "-c", HARDWARE]
    said = subprocess.run(command, env=cards, check=True, timeout=60, capture_output=True)
    told = json.loads(said.stdout)
    assert told["cuda"] == "12.8"
    healthy, throttled, sliced, failing, _ = told["cards"]
    assert healthy["power_limit_w"] == 160
    assert healthy["power_range_w"] == [100, 190]
    assert (healthy["vbios"], healthy["pcie_width"], healthy["mig"]) == ("90.06.3f", 16, False)
    assert throttled["mig"] is None
    assert (sliced["mig"], sliced["mig_slices"]) == (True, ["1g.10gb"])
    assert failing["name"] == "Pretended Card"
    assert (failing["power_limit_w"], failing["vbios"], failing["mig"]) == (None, None, None)
    assert all(card["id"].startswith("salted-") for card in told["cards"])
    assert b"2222-3333" not in said.stdout
