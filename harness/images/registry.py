"""What a registry says of a reference, asked through the engine with the user's own credentials."""

from __future__ import annotations

from docker.errors import APIError

from harness.errors import NoEngineError, NoImageError
from harness.runtimes.dialects import DIALECTS
from harness.runtimes.engine import ENGINE_ERRORS, Engine, explain

REFUSED = ("no basic auth credentials", "unauthorized", "denied", "authentication required")
MISSING = ("manifest unknown", "name unknown", "name invalid", "repository name not known")
UNREACHABLE = ("dial tcp", "no such host", "connection refused", "timeout", "certificate", "eof")


def require_asking(engine: Engine) -> None:
    """Raise NoEngineError where the engine answers for itself and asks no registry."""
    if engine.kind != "docker":
        raise NoEngineError(
            f"{DIALECTS[engine.kind].spoken} asks no registry for a digest on anybody's behalf",
            "run it where Docker is, or write into the catalog what "
            "skopeo inspect --format '{{.Digest}}' docker://REFERENCE tells",
        )


def registry_digest(engine: Engine, reference: str) -> str:
    """The digest that the registry serves `reference` by. Raises NoImageError, which says why not.

    Of an image for several processors it is the index's, which is the same on each of them.
    """
    try:
        told = engine.client.api.inspect_distribution(reference)
        return str(told["Descriptor"]["digest"])
    except ENGINE_ERRORS as error:
        raise _explained(reference, error) from error


def _explained(reference: str, error: Exception) -> NoImageError:
    said = explain(error)
    status = error.status_code if isinstance(error, APIError) else None
    text = said.lower()
    registry = reference.partition("/")[0] if "/" in reference else ""
    if status in (401, 403) or any(sign in text for sign in REFUSED):
        return NoImageError(
            f"the registry refuses to tell of {reference}: {said}",
            f"docker login {registry}".strip() + "; some registries say so of a missing image, too",
        )
    if any(sign in text for sign in MISSING):
        return NoImageError(
            f"the registry has no image {reference}: {said}", "correct its reference in the catalog"
        )
    if any(sign in text for sign in UNREACHABLE):
        return NoImageError(
            f"the registry of {reference} cannot be reached: {said}",
            "check the network, or ask from a machine that reaches it",
        )
    return NoImageError(
        f"the engine cannot ask for {reference}: {said}", "docker pull says more of it"
    )
