"""A dialog that is as high as its texts need, also when they change."""

from __future__ import annotations

from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QDialog


class GrowingDialog(QDialog):
    """Grows when its wrapped labels need another line; a plain dialog would squeeze its fields instead."""

    def event(self, event: QEvent) -> bool:
        """Grow when the layout has changed."""
        handled = super().event(event)
        if event.type() in {QEvent.Type.LayoutRequest, QEvent.Type.Show} and (layout := self.layout()) is not None:
            needed = layout.totalHeightForWidth(self.width())
            if needed > self.height():
                self.resize(self.width(), needed)
        return handled
