"""The results as JUnit XML, which CI systems show."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from harness.model import Case, Record, Status, as_expected
from harness.report.groups import measured
from harness.results.reading import Run


def junit(runs: Sequence[Run]) -> str:
    """A suite for each run, a test for each repeat; an expected failure passes."""
    suites = ElementTree.Element("testsuites")
    for run in measured(runs):
        _suite(suites, run)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True)


def _suite(suites: ElementTree.Element, run: Run) -> None:
    suite = ElementTree.SubElement(suites, "testsuite", name=f"{run.info.machine} {run.path.name}")
    standing = list(run.standing().values())
    measured = {record.case_id for record in standing}
    missing = [case for case in run.info.cases if case.id not in measured]
    for record in standing:
        _test(suite, record)
    for case in missing:
        ElementTree.SubElement(_named(suite, case, 1, 0.0), "skipped", message="not run")
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("time", f"{sum(float(test.get('time', 0)) for test in suite):.3f}")


def _test(suite: ElementTree.Element, record: Record) -> None:
    test = _named(suite, record.case, record.repeat, record.wall_s or 0.0)
    reason = _printable(record.reason)
    if record.status is Status.SKIPPED:
        ElementTree.SubElement(test, "skipped", message=reason)
    elif not as_expected(record.case, record.status):
        expected = " or ".join(status.value for status in record.case.expect)
        message = reason or f"expected {expected}, and it is {record.status.value}"
        ElementTree.SubElement(test, "failure", type=record.status.value, message=message)


def _named(
    suite: ElementTree.Element, case: Case, repeat: int, seconds: float
) -> ElementTree.Element:
    name = case.id + (f" #{repeat}" if repeat > 1 else "")
    return ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"{case.model}.{case.dataset}",
        name=name,
        time=f"{seconds:.3f}",
    )


def _printable(text: str) -> str:
    """XML has no way to write most control characters, and a log's last line may hold some."""
    return "".join(c if c.isprintable() or c in "\t\n" else "?" for c in text)
