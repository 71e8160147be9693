"""What a data set is after the user's decisions about single images; the folder itself stays as it is."""

from __future__ import annotations

from bisect import insort
from dataclasses import replace

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.experiment.settings import Decisions
from cnn_studio.core.image.issues import Issue, IssueKind
from cnn_studio.core.text import composed, name_matcher, printable

_LEFT_OUT_DETAIL = "You left it out of this experiment."


def apply_decisions(dataset: Dataset, decisions: Decisions) -> tuple[Dataset, tuple[str, ...]]:
    """The data set without the images that were left out, and with the others under the class they belong to.

    Applying the same decisions again changes nothing.

    Args:
        dataset: as it was scanned.
        decisions: of the experiment; what they say of files that are not here is without effect.

    Returns:
        The data set (the same object where nothing is decided), and a sentence for each kind of decision that could
        not be followed: files that are not in the folder, classes that do not exist.
    """
    if not decisions.left_out and not decisions.belongs_to:
        return dataset, ()
    left_out = frozenset(map(composed, decisions.left_out))
    match = name_matcher(dataset.class_names)
    belongs_to = {composed(path): name for path, name in decisions.belongs_to.items()}
    label_of = {
        name: dataset.class_names.index(known)
        for name in set(belongs_to.values())
        if (known := match(name)) is not None
    }
    unknown_classes = sorted(set(belongs_to.values()) - label_of.keys())
    waiting = left_out | {path for path, name in belongs_to.items() if name in label_of}
    files: list[ImageFile] = []
    moved: list[ImageFile] = []
    issues = list(dataset.issues)
    met = {_key(issue.path) for issue in issues}
    for file in dataset.files:
        path = _key(file.path)
        met.add(path)
        if path in left_out:
            issues.append(Issue(file.path, IssueKind.LEFT_OUT_BY_YOU, _LEFT_OUT_DETAIL))
            continue
        label = label_of.get(belongs_to.get(path, ""), file.label)
        if label == file.label:
            files.append(file)
        else:
            moved.append(replace(file, label=label))
    for file in moved:  # the others are in order already, and sorting 100,000 would keep every other thread waiting
        insort(files, file, key=lambda file: (file.label, file.path))
    changed = replace(dataset, files=tuple(files), issues=tuple(issues))
    return changed, _notes(dataset, sorted(waiting - met), unknown_classes)


def _key(path: str) -> str:
    """A file's path as decisions name it, whatever the form of its letters on disk."""
    return composed(printable(path))


def _notes(dataset: Dataset, missing: list[str], unknown_classes: list[str]) -> tuple[str, ...]:
    notes = []
    if missing:
        what = (
            f"{missing[0]}, about which you decided something, is"
            if len(missing) == 1
            else f"{len(missing):,} files about which you decided something (the first: {missing[0]}) are"
        )
        notes.append(f"{what} not in {dataset.name}; that is without effect.")
    if unknown_classes:
        notes.append(
            f"Some images were put into a class that {dataset.name} does not have ({', '.join(unknown_classes)}); "
            "they stay in the class of their folder."
        )
    return tuple(notes)
