"""``cnn-studio weights``: list, get and import the weights of pre-trained networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnn_studio.cli.console import Face
from cnn_studio.core.weights.check import CheckedWeights
from cnn_studio.core.weights.weights import (
    MEGABYTE,
    ImportRequest,
    WeightsState,
    WeightsStatus,
    all_statuses,
    import_weights,
    megabytes,
    weights_folder,
)

_STATE_TEXT = {
    WeightsState.PUBLISHED: "here",
    WeightsState.OTHER: "here (not Keras's own file)",
    WeightsState.DAMAGED: "damaged",
    WeightsState.PARTIAL: "partly downloaded",
    WeightsState.MISSING: "not here",
}

app = typer.Typer(
    help="List, get and import the weights of pre-trained networks. They lie where Keras looks for them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_weights(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> int:
    """Show which weights are on this machine."""
    face = Face(as_json=as_json)
    statuses = all_statuses()
    if as_json:
        face.print_json({"folder": str(weights_folder()), "weights": [_values(status) for status in statuses]})
        return 0
    face.say(f"In {weights_folder()}:")
    width = max(len(status.backbone.name) for status in statuses)
    for status in statuses:
        size = megabytes(status.backbone)
        if status.state is WeightsState.PARTIAL:
            size = f"{status.bytes / MEGABYTE:.0f} of {size}"
        face.say(f"  {status.backbone.name:<{width}}  {size:>12}  {_STATE_TEXT[status.state]}")
    for status in statuses:
        if status.detail:
            face.say(status.detail)
    return 0


def _values(status: WeightsStatus) -> dict[str, str | int | bool]:
    return {
        "name": status.backbone.name,
        "state": status.state.value,
        "usable": status.usable,
        "path": str(status.path),
        "bytes": status.bytes,
        "size": status.backbone.weights_bytes,
        "url": status.backbone.weights_url,
        "detail": status.detail,
    }


@app.command("get")
def get(name: Annotated[str, typer.Argument(help="As `weights list` names it.")]) -> int:
    """Download weights. What Ctrl-C or a broken connection leaves is gone on with the next time."""
    from cnn_studio.core.weights.download import download_weights

    face = Face(as_json=False)
    with face.working():
        found = download_weights(name, face.context)
    _tell(face, found)
    return 0


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="Weights as Keras publishes them, without classifier (…notop.h5).")],
    name: Annotated[
        str | None, typer.Option("--as", help="The network they are for; recognised by their content when not given.")
    ] = None,
) -> int:
    """Copy weights you have to where Keras looks for them, once they are known to fit."""
    face = Face(as_json=False)
    with face.working():
        found = import_weights(ImportRequest(file, name), face.context)
    _tell(face, found)
    return 0


def _tell(face: Face, found: CheckedWeights) -> None:
    if found.note:
        face.say(found.note)
    face.say(f"{found.backbone.title} is ready: {found.path}")
