"""What every command that uses a model takes: a file or a run, and class names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cnn_studio import tasks
from cnn_studio.cli.console import Face
from cnn_studio.core.evaluation.class_name_file import read_class_names
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.runs import run as runs

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output, nothing else.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A .keras or .h5 file, or the folder of a run.")]
ClassNames = Annotated[
    str | None,
    typer.Option(
        help="Names of the model's classes, for a file that carries none: with commas, or a text file with one a line."
    ),
]
ValueRange = Annotated[
    InputRange | None,
    typer.Option(
        "--input-range",
        help="Which values the network takes, for a file made elsewhere that does not scale them itself. caffe "
        "(ResNet50, VGG16) and torch (DenseNet) are Keras's ways with ImageNet's mean.",
    ),
]


def model_file(path: Path, face: Face) -> Path:
    """The model file meant by a file or a run's folder; a run that was interrupted gets its model made."""
    if not path.exists():
        from cnn_studio.ml.model_inspection import missing_model

        raise missing_model(path)
    if not path.is_dir():
        return path
    model = path / runs.MODEL_NAME
    if not model.exists():  # where there is one, the record of its run may be damaged
        tasks.recover(path, face.context)
    return model


def names_in(text: str | None) -> tuple[str, ...] | None:
    """Class names given with commas, or as the name of a text file."""
    if text and text.endswith(".txt"):
        return read_class_names(Path(text))
    return tuple(name.strip() for name in text.split(",")) if text else None
