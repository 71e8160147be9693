"""Asking where to save something, saving it, and telling how that went."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from cnn_studio.core.errors import CnnStudioError
from cnn_studio.gui.state.notices import Notices


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
    chosen, _ = QFileDialog.getSaveFileName(parent, title, name, kind)
    if not chosen:
        return
    target = Path(chosen)
    if not target.suffix:
        target = target.with_name(target.name + Path(name).suffix)
    try:
        write(target)
    except CnnStudioError as error:
        notices.tell_error(error)
    else:
        notices.tell_info(f"Saved to {target}.")
