from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.campaign import run
from harness.errors import InputError
from harness.model import Record, Status
from harness.results.reading import Run, read_run
from harness.results.schema import record_schema
from tests.unit.runs import completing, prepared

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
ONE = "axes: {model: [model-a], dataset: [synthetic]}\nrepeats: 2\n"


@pytest.fixture
def fresh(tmp_path: Path) -> Run:
    made, _ = prepared(ONE, lambda spec: completing(), tmp_path)
    return read_run(run(made, lambda event: None).folder)


def test_a_torn_last_line_is_not_read_and_hides_nothing(fresh: Run) -> None:
    journal = fresh.path / "records.jsonl"
    with journal.open("a", encoding="utf-8") as file:
        file.write('{"schema_version":1,"run_id"')
    assert read_run(fresh.path).records == fresh.records


def test_the_last_record_of_a_case_and_repeat_stands(fresh: Run) -> None:
    again = fresh.records[0].model_copy(update={"attempt": 2, "status": Status.OOM})
    with (fresh.path / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write(again.model_dump_json() + "\n")
    standing = read_run(fresh.path).standing()
    assert len(standing) == 2
    assert standing[again.case_id, 1].status is Status.OOM


def test_a_damaged_line_is_named(fresh: Run) -> None:
    journal = fresh.path / "records.jsonl"
    journal.write_text("{}\n" + journal.read_text("utf-8"), "utf-8")
    with pytest.raises(InputError, match=r"records\.jsonl:1 is no record"):
        read_run(fresh.path)


def test_a_later_version_is_refused_with_the_next_step(fresh: Run) -> None:
    journal = fresh.path / "records.jsonl"
    journal.write_text(json.dumps({"schema_version": 99}) + "\n", "utf-8")
    with pytest.raises(InputError, match="later harness") as refused:
        read_run(fresh.path)
    assert "update" in refused.value.next_step


def test_a_run_file_that_is_damaged_is_named(fresh: Run) -> None:
    (fresh.path / "run.json").write_text("{", "utf-8")
    with pytest.raises(InputError, match=r"run\.json cannot be read"):
        read_run(fresh.path)


def test_a_run_of_each_schema_version_can_still_be_read() -> None:
    """A real run on TensorFlow 2.17.0 in a container, as it was written then."""
    old = read_run(FIXTURES / "run-v1")
    (record,) = old.records
    assert record.schema_version == 1
    assert record.status is Status.OK
    assert record.timing.total_execution_s == pytest.approx(
        sum(
            getattr(record.timing, part) or 0.0
            for part in ("train_s", "validation_s", "checkpoint_s")
        )
    )


def test_the_schema_in_docs_is_that_of_the_code() -> None:
    written = json.loads((ROOT / "docs" / "record.schema.json").read_text("utf-8"))
    assert written == record_schema()


def test_records_come_back_as_they_were(fresh: Run) -> None:
    for record in fresh.records:
        assert Record.model_validate_json(record.model_dump_json()) == record
