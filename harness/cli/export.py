"""``harness export``: a matrix as files that SkyPilot or Kubernetes starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import options
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.export import Source

app = typer.Typer(help="Files for SkyPilot and Kubernetes.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="FILE", help="A matrix file, see matrices/.")]
Harness = Annotated[
    str | None,
    typer.Option(
        "--harness",
        metavar="REQUIREMENT",
        help="What pip installs there as the harness: a pin, the address of a wheel, or a wheel of "
        "this machine. Default: this version from the package index.",
        show_default=False,
    ),
]


@app.command("skypilot")
def skypilot(
    file: File,
    gpus: Annotated[
        str,
        typer.Option(
            "--gpus", metavar="NAME[,...]", help="GPU types, as SkyPilot calls them: L4,A100,H100."
        ),
    ],
    cloud: Annotated[
        str | None,
        typer.Option(
            "--cloud",
            metavar="NAME",
            help="Where to rent: aws, azure, gcp, lambda, nebius, oci or paperspace (machines); "
            "runpod or vast (containers). Default: where SkyPilot finds it cheapest.",
            show_default=False,
        ),
    ] = None,
    image_id: Annotated[
        str | None,
        typer.Option(
            "--image-id",
            metavar="IMAGE",
            help="The machine's image; for a container docker:REFERENCE. Default: SkyPilot's own; "
            "for a container the framework's, by digest.",
            show_default=False,
        ),
    ] = None,
    harness: Harness = None,
    only: options.Only = None,
    skip: options.Skip = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE.yaml",
            help="A folder for a file each, or the file of a single task. Default: print it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write a SkyPilot task for each GPU type. Rents and starts nothing."""
    from harness.export import tasks, write_file, write_folder
    from harness.export.skypilot import remarks, rental

    on = rental(gpus, cloud, image_id)
    made = tasks(_source(file, harness, only, skip), on)
    for remark in remarks(on):
        typer.echo(f"note: {remark}", err=True)
    single = output is None or output.suffix in (".yaml", ".yml")
    if single and len(made) > 1:
        raise InputError(
            f"{len(made)} tasks are a file each, since sky launch takes one task a file",
            "name a folder: --output sky/",
        )
    if output is None:
        typer.echo(made[0].text, nl=False)
    elif single:
        write_file(output, made[0].text)
        typer.echo(f"wrote {output}")
    else:
        for path in write_folder(output, {f"{task.name}.yaml": task.text for task in made}):
            typer.echo(f"wrote {path}")


@app.command("kubernetes")
def kubernetes(
    file: File,
    namespace: Annotated[
        str | None, typer.Option(help="Default: that of the kubectl context.", show_default=False)
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            help="The image that cases run in, best by digest. Default: the framework's.",
            show_default=False,
        ),
    ] = None,
    node: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LABEL=VALUE",
            help="A label that the node must have, such as nvidia.com/gpu.product=NVIDIA-L4. "
            "Repeatable.",
            show_default=False,
        ),
    ] = None,
    cpus: Annotated[str, typer.Option(help="Processors that each Job is granted at least.")] = "4",
    memory: Annotated[str, typer.Option(help="Memory that each Job is granted at least.")] = "16Gi",
    claim: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="A PersistentVolumeClaim for the results. Default: they are in each Job's log.",
            show_default=False,
        ),
    ] = None,
    harness: Harness = None,
    only: options.Only = None,
    skip: options.Skip = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Default: print it.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a Kubernetes Job for each case. Starts nothing."""
    from harness.export import jobs, write_file
    from harness.export.kubernetes import cluster

    on = cluster(namespace, image, node or (), cpus, memory, claim)
    text = jobs(_source(file, harness, only, skip), on)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_file(output, text)
        typer.echo(f"wrote {output}")


def _source(
    file: Path, harness: str | None, only: list[str] | None, skip: list[str] | None
) -> Source:
    from harness.export import source
    from harness.matrix import parse_selection

    words = [word for text in only or () for word in ("--only", text)]
    words += [word for text in skip or () for word in ("--skip", text)]
    return source(file, parse_selection(only or (), skip or ()), words, harness)
