"""What can be decided about pictures that are met outside the data page, such as those a model errs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnn_studio.core.data.image_file import ImageFile
    from cnn_studio.gui.state.session import Session


def image_actions(session: Session, paths: Sequence[Path]) -> list[tuple[str, Callable[[], object]]]:
    """(text, what it does) for pictures, as far as they belong to the open data set; none for others."""
    dataset, data = session.dataset, session.data
    if dataset is None:
        return []
    files = [file for path in paths if (file := _file_of(session, path)) is not None]
    if not files:
        return []
    left_out = [file for file in files if data.decision_on(file.path).left_out]
    what = "this one" if len(files) == 1 else f"these {len(files):,}"
    actions: list[tuple[str, Callable[[], object]]] = []
    if len(left_out) < len(files):
        actions.append((f"Leave {what} out of the data set", partial(data.leave_out, files)))
    if left_out:
        actions.append((f"Use {what} again", partial(data.use_again, files)))
    others = (name for name in dataset.class_names if any(data.folder_class(file) != name for file in files))
    return actions + [(f"Belongs to {name}", partial(data.put_into, name, files)) for name in others]


def _file_of(session: Session, path: Path) -> ImageFile | None:
    """The open data set's file at that path."""
    dataset = session.dataset
    if dataset is None or not path.is_relative_to(dataset.root):
        return None
    place = session.data.place_of(path.relative_to(dataset.root).as_posix())
    return None if place is None else dataset.files[place]
