"""A matrix as Kubernetes Jobs: one for each case, and a ConfigMap that holds what they run."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import __version__
from harness.errors import InputError
from harness.export.naming import dns_name
from harness.export.pod import Room, pod
from harness.export.scripts import script
from harness.export.source import Source, refuse_what_local_lacks, served_image
from harness.export.yaml_text import document
from harness.model import Case

MOST_IN_CONFIG_MAP = 1 << 20
"""Bytes that a ConfigMap may hold."""

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_SELECTOR = r"[A-Za-z0-9./_-]{1,253}=[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_QUANTITY = r"[0-9]+(\.[0-9]+)?(m|[kKMGT]i?)?"


@dataclass(frozen=True)
class Cluster:
    """Where the Jobs run, and on what.

    `image` replaces the framework's own; `nodes` are labels that a node must have, such as
    ``nvidia.com/gpu.product=NVIDIA-L4``; `cpus` and `memory` are what each Job is granted at least.
    """

    namespace: str | None = None
    image: str | None = None
    nodes: tuple[tuple[str, str], ...] = ()
    cpus: str = "4"
    memory: str = "16Gi"
    claim: str | None = None


def cluster(
    namespace: str | None,
    image: str | None,
    nodes: Sequence[str],
    cpus: str,
    memory: str,
    claim: str | None,
) -> Cluster:
    """From the options' texts, checked. Raises InputError."""
    for option, name in (("--namespace", namespace), ("--claim", claim)):
        if name is not None and not re.fullmatch(_LABEL, name):
            raise InputError(
                f"{option} {name!r} is no name that Kubernetes takes",
                "write lower case letters, digits and -, at most 63",
            )
    wrong = next((text for text in nodes if not re.fullmatch(_SELECTOR, text)), None)
    if wrong is not None:
        raise InputError(
            f"--node {wrong!r} is not of the form LABEL=VALUE",
            "write for instance --node nvidia.com/gpu.product=NVIDIA-L4",
        )
    for option, amount in (("--cpus", cpus), ("--memory", memory)):
        if not re.fullmatch(_QUANTITY, amount):
            raise InputError(
                f"{option} {amount!r} is no quantity of Kubernetes", "write such as 4, or 16Gi"
            )
    if image is not None and not re.fullmatch(r"[^\s]+", image):
        raise InputError(f"--image {image!r} is no image")
    pairs = [text.partition("=") for text in nodes]
    return Cluster(
        namespace, image, tuple((key, value) for key, _, value in pairs), cpus, memory, claim
    )


def jobs(of: Source, on: Cluster) -> str:
    """The ConfigMap and a Job for each case, as several YAML documents. Raises InputError."""
    refuse_what_local_lacks(of.cases, "in a pod")
    if on.image is not None and len(of.frameworks) > 1:
        raise InputError(
            f"--image is one image, and the cases need one for each of {', '.join(of.frameworks)}",
            f"export them one by one: --only framework={of.frameworks[0]}",
        )
    image_of = {
        framework: on.image or served_image(framework, "--image") for framework in of.frameworks
    }
    salt = _digest(_objects(of, on, image_of, ""))
    config, *of_cases = _objects(of, on, image_of, salt)
    documents = [document(config, _comment(of, on, salt)), *map(document, of_cases)]
    return "---\n".join(documents)


def _objects(
    of: Source, on: Cluster, image_of: Mapping[str, str], salt: str
) -> list[dict[str, Any]]:
    """All that is made, the ConfigMap first; `salt` tells its names from another export's."""
    made = [_job(of, on, case, image_of[case.framework], salt) for case in of.cases]
    return [_config_map(of, on, salt), *made]


def _digest(objects: Sequence[Mapping[str, Any]]) -> str:
    """Of whatever differs: two exports of a matrix, for two GPUs, stand beside each other."""
    return hashlib.sha256(json.dumps(objects, sort_keys=True).encode()).hexdigest()


def _config_name(salt: str) -> str:
    return dns_name("matrix", salt)


def _label(salt: str) -> str:
    return salt[:16]


def _metadata(
    on: Cluster, name: str, of: Source, salt: str, case: Case | None = None
) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name}
    if on.namespace is not None:
        found["namespace"] = on.namespace
    found["labels"] = _labels(salt)
    if case is not None:
        found["annotations"] = {"harness/case": case.id, "harness/matrix-sha256": of.sha256}
    return found


def _labels(salt: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "harness",
        "app.kubernetes.io/version": __version__,
        "harness/matrix": _label(salt),
    }


def _config_map(of: Source, on: Cluster, salt: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(on, _config_name(salt), of, salt),
        "immutable": True,
        "data": {
            "matrix.yaml": of.text,
            "setup.sh": script("setup.sh"),
            "run.sh": script("run.sh"),
        },
    }
    held = sum(len(text.encode()) for text in found["data"].values())
    if of.wheel is not None:
        wheel = of.wheel.read_bytes()
        held += len(wheel)
        found["binaryData"] = {of.wheel.name: base64.b64encode(wheel).decode()}
    if held > MOST_IN_CONFIG_MAP:
        raise InputError(
            f"what the pods run is {held} bytes, and a ConfigMap holds {MOST_IN_CONFIG_MAP}",
            "name the wheel by its address: --harness https://…"
            if of.wheel is not None
            else "split the matrix",
        )
    return found


def _job(of: Source, on: Cluster, case: Case, image: str, salt: str) -> dict[str, Any]:
    name = dns_name(case.id, salt)
    room = Room(name, image, _config_name(salt), on.cpus, on.memory, on.claim, dict(on.nodes))
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(on, name, of, salt, case),
        "spec": {
            # A case that failed is a result: started again, it would be measured twice.
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "template": {
                "metadata": {"labels": _labels(salt)},
                "spec": pod(of, case, room),
            },
        },
    }


def _comment(of: Source, on: Cluster, salt: str) -> list[str]:
    there = "" if on.namespace is None else f" --namespace {on.namespace}"
    config, first = _config_name(salt), dns_name(of.cases[0].id, salt)
    label = f"harness/matrix={_label(salt)}"
    fetched = (
        [
            "Bring the results back from each Job's log, where they stand as an archive at its end",
            "(while its pod is there, and the node has not cut its log off):",
            "",
            f"  kubectl logs{there} job/{first} -c measure |",
            "    sed -n '/^-----BEGIN HARNESS/,/^-----END HARNESS/{/^-----/d;p}' |",
            "    base64 -d | tar -xz -C results",
        ]
        if on.claim is None
        else [f"The results are in the volume {on.claim}, a folder for each Job."]
    )
    return [
        f"The matrix {of.name} for Kubernetes, a Job for each of its {len(of.cases)} cases. Made",
        f"by harness export kubernetes, version {__version__}.",
        f"The matrix is the ConfigMap {config}. Its SHA-256, which every run.json of it",
        f"has too (matrix_sha256), is {of.sha256}.",
        "",
        "A case runs in the image of its framework itself (runtime local), since no engine runs in",
        "a pod; an init container installs the harness beside it, for which it reaches the package",
        "index. Each asks for one GPU, and the cluster decides which: --node LABEL=VALUE chooses a",
        "model. Jobs that share a node disturb each other; cases that saw it are marked disturbed.",
        "",
        f"  kubectl create{there} -f FILE   # not apply: it copies all into an annotation",
        f"  kubectl get jobs{there} -l {label}",
        *fetched,
        f"  kubectl delete{there} job,configmap -l {label}",
        "",
        "A Job is Failed where its case did not complete, which is a result and is never repeated",
        "by itself. No price is in here: give yours to harness report --price.",
    ]
