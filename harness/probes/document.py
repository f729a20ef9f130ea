"""The table of the rules: ``python -m harness.probes.document`` prints it for docs/."""

from __future__ import annotations

import sys

from harness.probes.rules import MEMORY_KINDS, Rule, rules

HEAD = """# What a log says about memory and other resources

Generated from `harness/probes/rules.toml` by `python -m harness.probes.document`; a test holds the
two equal. The first rule that matches a line decides. The text alone does not decide a case: how
the process ended does (`harness/judge.py`).

| kind | means |
| --- | --- |
| notice | nothing ran short; never changes a status |
| recoverable | an allocator ran short and was done without: `pressure` where the case completes |
| hard | an allocation failed: `oom` where the case ends by it, `pressure` where it is caught |
| uncertain | a suspicion: `oom` where the case fails and no other error follows, else nothing |
| host | the host's memory was short: `oom_host`, or `pressure` where it is caught |
| resource | another resource ran short: the record's `resource`, where the case ends by it |
| hint | the same, but it decides only where a GPU was asked for |
| error | an error of another kind: the cause, where it is the last |
| doubtful | an error of a class that allocators raise too: the cause, where it follows a refusal |
| passed-on | an error that names no cause of its own: what came before it decides |
| aside | the next error follows from an earlier one, and is not the cause |
| harmless | looks like one of these, and is none |

The allocator's name tells whose memory it is. `cpu`, `mklcpu`, `DefaultCPUAllocator` and the pinned
pools (`…host_bfc`) are the host's: TensorFlow's `mklcpu` may take all that the machine has, so what
it was refused the machine lacked. `bfc_cpu_allocator_for_gpu` is a pool of a size that was chosen
(`TF_CPU_BFC_MEM_LIMIT_IN_MB`): it stands for a device's memory, so it is `oom`. Messages that name
no allocator are the host's where the case ran on a CPU.

A case that someone unknown killed (exit code 137) is `failed`, however short memory had been; the
reason tells that too. It is `oom_host` where a memory limit is known to have killed it: the engine
says so, or the kernel in its own words (`kernel-kill`).
"""


def document() -> str:
    """The page, as Markdown."""
    memory = [rule for rule in rules() if rule.kind in MEMORY_KINDS]
    others = [rule for rule in rules() if rule.kind not in MEMORY_KINDS]
    return "\n".join([HEAD, *_section("Memory", memory), "", *_section("Other", others), ""])


def _section(title: str, chosen: list[Rule]) -> list[str]:
    rows = [
        f"| `{rule.id}` | {_meaning(rule)} | {_code(rule.hits[0])} | {_cell(rule.source)} |"
        for rule in chosen
    ]
    heads = ["| rule | kind | example | source |", "| --- | --- | --- | --- |"]
    return [f"## {title}", "", *heads, *rows]


def _meaning(rule: Rule) -> str:
    if rule.resource is not None:
        return f"{'hint' if rule.hint else 'resource'}: {rule.resource}"
    return f"{rule.kind}, told again" if rule.echo else rule.kind


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    """`text` as code in a cell, whatever backticks it holds."""
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{_cell(text.strip())}{space}{fence}"


if __name__ == "__main__":
    sys.stdout.write(document())
