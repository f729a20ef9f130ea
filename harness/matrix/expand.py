"""The cases of a matrix, with what its protocol leaves unsaid filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.catalog import protocols
from harness.errors import InputError
from harness.matrix.combine import Draft, combine, excluded
from harness.matrix.schema import Matrix, Settings
from harness.model import Case, Limits


def expand(matrix: Matrix, gpu: tuple[str, ...] = ("auto",)) -> list[Case]:
    """The cases of `matrix`: the combinations of its axes, then those that `include` adds.

    `gpu` is what the command line asked for; an axis, default or entry of the file stands above
    it. Raises InputError where a case has no model or dataset, two cases are the same, or an
    `exclude` or `gpu_only` speaks of no case.
    """
    drafts = combine(matrix, gpu)
    settings: dict[tuple[int, ...], Settings] = {}
    cases = []
    for draft in drafts:
        if draft.entries not in settings:
            added = [matrix.include[number] for number in draft.entries]
            settings[draft.entries] = _merged([matrix, *added])
        _complete(draft, matrix)
        cases.append(_case(draft.choice, settings[draft.entries]))
    out = excluded(matrix, cases)
    kept = [number for number in range(len(cases)) if number not in out]
    if not kept:
        raise InputError(
            f"{matrix.where('exclude')}exclude takes every case away", "leave some of them in"
        )
    _refuse_doubles([(cases[number], drafts[number]) for number in kept], matrix)
    left = [cases[number] for number in kept]
    _refuse_strangers(left, matrix)
    return left


def _merged(layers: Sequence[Settings]) -> Settings:
    """The settings of a case: what stands later wins, variables and tags come together."""
    values: dict[str, Any] = {}
    for name in ("timeout", "stall_timeout", "retries", "expect", "memory_limit"):
        said = [value for layer in layers if (value := getattr(layer, name)) is not None]
        values[name] = said[-1] if said else None
    env = {name: value for layer in layers for name, value in layer.env.items()}
    tags = tuple(dict.fromkeys(tag for layer in layers for tag in layer.tags))
    return Settings.model_construct(**values, env=env, tags=tags)


def _complete(draft: Draft, matrix: Matrix) -> None:
    """Raises InputError where no model or dataset is named, at the entry that forgot it."""
    for needed in ("model", "dataset"):
        if needed in draft.choice:
            continue
        if draft.own:
            raise InputError(
                f"{matrix.where('include', draft.entries[0])}the entry matches no combination of "
                f"the axes, so it is a case of its own, and names no {needed}",
                f"add {needed} to it, or correct the value that should match",
            )
        raise InputError(
            f"{matrix.where('axes')}the matrix names no {needed}",
            f"add {needed}: [...] under axes, or a default",
        )


def _case(choice: Mapping[str, Any], settings: Settings) -> Case:
    protocol_name = choice.get("protocol", "reference")
    protocol = protocols()[protocol_name]
    planned = {
        "batch_size": protocol.batch_size[choice["model"]],
        "precision": protocol.precision,
        "jit": protocol.jit,
        "deterministic": False,
    }
    overrides: dict[str, Any] = {
        name: choice[name] for name, value in planned.items() if choice.get(name, value) != value
    }
    if settings.env:
        overrides["env"] = dict(sorted(settings.env.items()))
    if settings.memory_limit is not None:
        overrides["memory_limit"] = settings.memory_limit
    return Case(
        model=choice["model"],
        dataset=choice["dataset"],
        framework=choice.get("framework", "tensorflow"),
        image=choice.get("image"),
        batch_size=choice.get("batch_size", planned["batch_size"]),
        precision=choice.get("precision", planned["precision"]),
        jit=choice.get("jit", planned["jit"]),
        deterministic=choice.get("deterministic", planned["deterministic"]),
        weights=choice.get("weights", "random"),
        protocol=protocol_name,
        measure=choice.get("measure", "full"),
        overrides=overrides,
        gpu=choice["gpu"],
        limits=_limits(settings),
        expect=settings.expect or (),
        tags=settings.tags,
    )


def _limits(settings: Settings) -> Limits:
    retries = {} if settings.retries is None else {"retries": settings.retries}
    return Limits(timeout_s=settings.timeout, stall_timeout_s=settings.stall_timeout, **retries)


def _refuse_strangers(cases: Sequence[Case], matrix: Matrix) -> None:
    """A `gpu_only` value that no case has would silently do nothing."""
    for name, values in matrix.gpu_only:
        there = {getattr(case, name) for case in cases}
        for number, value in enumerate(values or ()):
            if value not in there:
                raise InputError(
                    f"{matrix.where('gpu_only', name, number)}gpu_only names {name} {value}, "
                    "which no case of the matrix has",
                    f"add it to axes: {name}, or take it out of gpu_only",
                )


def _refuse_doubles(cases: Sequence[tuple[Case, Draft]], matrix: Matrix) -> None:
    seen: set[str] = set()
    for case, draft in cases:
        if case.id in seen:
            entry = draft.entries[-1] if draft.entries else None
            where = "" if entry is None else matrix.where("include", entry)
            raise InputError(
                f"{where}two cases of the matrix are the same: {case.id}",
                "remove the value that stands twice in an axis"
                if entry is None
                else "let the entry match the case that is there, or differ from it",
            )
        seen.add(case.id)
