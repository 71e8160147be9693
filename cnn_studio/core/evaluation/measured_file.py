"""What a model said of a split's images, kept in the run's folder as ``evaluation-test.npz``; of another folder's,
as ``evaluation-NAME-….npz``.

A NumPy archive that holds plain arrays and a JSON text, no pickles: ``labels`` int32 (n,), ``probabilities`` and
``logits`` float32 (n, classes) as they were measured (the first version kept no logits), and ``facts``, the text in
UTF-8: figures, class names, root, paths, temperature.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cnn_studio.core.atomic_file import replacing
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import CnnStudioError
from cnn_studio.core.evaluation.figures import ClassScore, Evaluation
from cnn_studio.core.evaluation.measured import Measured, logits_of
from cnn_studio.core.text import parsed_json


def measured_path(model: Path, split: Split) -> Path:
    """Where what a run's model said of one of its splits is kept."""
    return _path(model, split)


def _path(model: Path, images: str) -> Path:
    return model.parent / f"evaluation-{images}.npz"


def measured_folder_path(model: Path, folder: Path) -> Path:
    """Where what a run's model said of another folder's images is kept; folders of the same name are told apart."""
    place = os.fsencode(folder.absolute())
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", folder.name)[:40]
    return _path(model, f"{name}-{hashlib.blake2b(place, digest_size=4).hexdigest()}")


def write_measured(measured: Measured, path: Path) -> None:
    """Write the file, whole or not at all.

    Raises:
        StorageError: the disk is full or the folder may not be written to.
    """
    facts = {
        "evaluation": asdict(measured.evaluation),
        "class_names": measured.class_names,
        "root": str(measured.root),
        "paths": measured.paths,
        "temperature": measured.temperature,
    }
    # ASCII, so that a file name that is not UTF-8 on disk survives.
    text = np.frombuffer(json.dumps(facts).encode("ascii"), np.uint8)
    with replacing(path) as part, part.open("wb") as stream:
        np.savez_compressed(
            stream, labels=measured.labels, probabilities=measured.probabilities, logits=measured.logits, facts=text
        )


def read_measured(path: Path, model: Path) -> Measured:
    """Read what ``write_measured`` wrote, as it was measured.

    Args:
        path: the file.
        model: the model file it belongs to.

    Raises:
        CnnStudioError: it is missing or damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return _measured(archive, path, model)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise CnnStudioError(
            f"What was measured before ({path.name}) cannot be read.", hint="Measure again.", path=path
        ) from error


def _measured(archive: Mapping[str, Any], path: Path, model: Path) -> Measured:
    facts = parsed_json(archive["facts"].tobytes())
    names = tuple(facts["class_names"])
    labels = np.asarray(archive["labels"], np.int32)
    probabilities = np.asarray(archive["probabilities"], np.float32)
    logits = np.asarray(archive["logits"], np.float32) if "logits" in archive else logits_of(probabilities)
    if (
        not probabilities.shape == logits.shape == (len(labels), len(names))
        or not ((labels >= 0) & (labels < len(names))).all()
    ):
        raise ValueError("labels and probabilities do not go together")
    return Measured(
        evaluation=_evaluation({**facts["evaluation"], **_which_images(facts, path, model)}),
        class_names=names,
        model=model,
        root=Path(facts["root"]),
        paths=tuple(facts["paths"]),
        labels=labels,
        probabilities=probabilities,
        temperature=float(facts["temperature"]),
        logits=logits,
    )


def _which_images(facts: dict[str, Any], path: Path, model: Path) -> dict[str, Any]:
    """The split and the folder that were measured.

    Files of earlier versions hold one word for both, the name of a split or of the folder. A folder may be called like
    a split: where the file lies tells which it is.
    """
    word, folder = facts["evaluation"]["split"], facts["evaluation"].get("folder")
    if folder is None:
        folder = "" if path == _path(model, word) else Path(facts["root"]).name
        word = None if word == folder else word
    return {"split": None if word is None else Split(word), "folder": folder}


def _evaluation(values: dict[str, Any]) -> Evaluation:
    def score(given: dict[str, Any] | None) -> ClassScore | None:
        return None if given is None else ClassScore(**given)

    return Evaluation(
        **{
            **values,
            "classes": tuple(ClassScore(**given) for given in values["classes"]),
            "confusion": tuple(tuple(row) for row in values["confusion"]),
            "macro": score(values["macro"]),
            "weighted": score(values["weighted"]),
            "top_k": tuple((int(k), float(accuracy)) for k, accuracy in values["top_k"]),
        }
    )
