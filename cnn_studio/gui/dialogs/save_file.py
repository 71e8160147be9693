"""Asking where to save something, saving it, and telling how that went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from cnn_studio.core.errors import CnnStudioError, StorageError
from cnn_studio.gui.state.notices import Notices


@dataclass(frozen=True, slots=True)
class Target:
    """A file to write.

    Attributes:
        path: its place.
        may_replace: whether the user has agreed that what is there now is lost. The dialog asks about the very file
            that was typed, and knows nothing of an ending added to it.
    """

    path: Path
    may_replace: bool


def ask_target(parent: QWidget, title: str, name: str, kind: str, endings: tuple[str, ...] = ()) -> Target | None:
    """Ask for a file to write; None when the user has thought better of it.

    Args:
        parent: what the dialog belongs to.
        title: the dialog's.
        name: suggested; its ending is added where none, or none of ``endings``, was typed.
        kind: the dialog's filter, such as "CSV (*.csv)".
        endings: those that the file may have; any when empty.
    """
    chosen, _ = QFileDialog.getSaveFileName(parent, title, name, kind)
    if not chosen:
        return None
    typed = Path(chosen)
    if typed.suffix in endings if endings else typed.suffix:
        return Target(typed, typed.exists())
    return Target(typed.with_name(typed.name + Path(name).suffix), may_replace=False)


def save_file(
    parent: QWidget, notices: Notices, title: str, name: str, kind: str, write: Callable[[Path], object]
) -> None:
    """Ask for a file and write it.

    Args:
        parent: what the dialog belongs to.
        notices: tells the user how it went.
        title: the dialog's.
        name: suggested; its ending is added where none was typed.
        kind: the dialog's filter, such as "CSV (*.csv)".
        write: writes the file; raises ``CnnStudioError``, which is told.
    """
    target = ask_target(parent, title, name, kind)
    if target is None:
        return
    try:
        if target.path.exists() and not target.may_replace:
            raise StorageError(f"{target.path} exists already.", hint="Choose another name.")
        write(target.path)
    except CnnStudioError as error:
        notices.tell_error(error)
    else:
        notices.tell_info(f"Saved to {target.path}.")
