"""What can be decided about pictures that are met outside the data page, such as those a model errs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.gui.state.data import DataState
from cnn_studio.gui.state.project import Project


def image_actions(project: Project, data: DataState, paths: Sequence[Path]) -> list[tuple[str, Callable[[], object]]]:
    """(text, what it does) for pictures, as far as they belong to the open data set; none for others."""
    dataset, decisions = project.dataset, data.decisions
    if dataset is None:
        return []
    inside = [path.relative_to(dataset.root).as_posix() for path in paths if path.is_relative_to(dataset.root)]
    files: list[ImageFile] = [dataset.files[place] for place in data.places_of(inside)]
    if not files:
        return []
    left_out = [file for file in files if decisions.on(file.path).left_out]
    what = "this one" if len(files) == 1 else f"these {len(files):,}"
    actions: list[tuple[str, Callable[[], object]]] = []
    if len(left_out) < len(files):
        actions.append((f"Leave {what} out of the data set", partial(decisions.leave_out, files)))
    if left_out:
        actions.append((f"Use {what} again", partial(decisions.use_again, files)))
    others = (name for name in dataset.class_names if any(project.folder_class(file) != name for file in files))
    return actions + [(f"Belongs to {name}", partial(decisions.put_into, name, files)) for name in others]
