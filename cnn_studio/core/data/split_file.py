"""A split as a table of path, class and split, which can be kept, looked into and used again."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cnn_studio.core.atomic_file import csv_rows, csv_text
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import SplitAssignment
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.text import composed

_COLUMNS = ("path", "class", "split")


def split_csv(dataset: Dataset, assignment: SplitAssignment) -> str:
    """Which split each image is in, as the text of a CSV file that ``read_split`` takes."""
    rows = (
        (file.path, dataset.class_names[file.label], split.value)
        for file, split in zip(dataset.files, assignment.splits, strict=True)
    )
    return csv_text(_COLUMNS, rows)


def read_split(path: Path) -> dict[str, Split]:
    """The split of each image by its path relative to the data set's folder, from a file of ``split_csv``.

    A run's ``manifest.csv`` is such a file.

    Raises:
        DatasetError: the file is missing, is no such table, or names a split that there is not.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = list(csv_rows(file))
    except FileNotFoundError:
        raise DatasetError(f"There is no file {path}.", path=path) from None
    except (OSError, csv.Error) as error:
        raise DatasetError(f"{path.name} could not be read: {error}.", path=path) from error
    table: dict[str, Split] = {}
    for number, row in enumerate(rows, start=2):
        name, split = row.get("path"), row.get("split", "").strip().lower()
        if not name or split not in set(Split):
            raise DatasetError(
                f"Line {number} of {path.name} does not say which split an image is in.",
                hint=f"It needs the columns path and split; a split is one of {', '.join(Split)}.",
                path=path,
            )
        table[name.replace("\\", "/")] = Split(split)
    if not table:
        raise DatasetError(f"{path.name} names no image.", hint="It needs the columns path and split.", path=path)
    return table


def with_split(dataset: Dataset, table: Mapping[str, Split]) -> tuple[Dataset, tuple[str, ...]]:
    """The data set divided as a table says, as if its folders had said so.

    An image that the table does not name goes where a picture that looks like it is, else to training.

    Returns:
        The data set, and sentences about images that only one of the two knows.

    Raises:
        DatasetError: the table names none of the data set's images.
    """
    table = {composed(path): split for path, split in table.items()}
    of_group = {
        file.similar: split for file in dataset.files if file.similar and (split := table.get(composed(file.path)))
    }
    files = []
    used: set[Split] = set()
    unnamed = to_training = 0
    for file in dataset.files:
        split = table.get(composed(file.path))
        if split is None:
            split = of_group.get(file.similar)
            unnamed += 1
            to_training += split is None
            split = split or Split.TRAIN
        files.append(replace(file, given_split=split))
        used.add(split)
    named = len(files) - unnamed
    if not named:
        raise DatasetError(
            f"The saved split names none of the images of {dataset.name}.",
            hint="It belongs to another folder; its paths are relative to the folder that is opened.",
            path=dataset.root,
        )
    notes = []
    if to_training:
        notes.append(f"Images that the saved split does not name, and that are used for training: {to_training:,}.")
    if gone := len(table) - named:
        notes.append(f"Images that the saved split names and that are not in {dataset.name}: {gone:,}.")
    return replace(dataset, files=tuple(files), given_splits=frozenset(used)), tuple(notes)
