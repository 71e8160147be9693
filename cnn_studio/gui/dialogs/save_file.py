"""Asking where to save something, saving it, and telling how that went."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from cnn_studio.core.errors import CnnStudioError
from cnn_studio.gui.state.session import Session


def save_file(
    parent: QWidget, session: Session, title: str, name: str, kind: str, write: Callable[[Path], object]
) -> None:
    """Ask for a file and write it.

    Args:
        parent: what the dialog belongs to.
        session: tells the user.
        title: the dialog's.
        name: suggested; its ending is added where none was typed.
        kind: the dialog's filter, such as "CSV (*.csv)".
        write: writes the file; raises ``CnnStudioError``, which is told.
    """
    chosen, _ = QFileDialog.getSaveFileName(parent, title, name, kind)
    if not chosen:
        return
    target = Path(chosen)
    if not target.suffix:
        target = target.with_name(target.name + Path(name).suffix)
    try:
        write(target)
    except CnnStudioError as error:
        session.tell_error(error)
    else:
        session.tell_info(f"Saved to {target}.")
