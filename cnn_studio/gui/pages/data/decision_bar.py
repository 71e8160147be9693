"""Buttons and keys to decide about the pictures chosen: leave out, belongs to, undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QPoint, Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton, QToolButton, QWidget

from cnn_studio.core.data.image_file import ImageFile
from cnn_studio.core.text import printable, printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.state.decisions import PictureDecisions
from cnn_studio.gui.state.project import Project

NOTHING_CHOSEN = "Choose a picture first: click it, or go to it with the arrow keys."


class DecisionBar(QWidget):
    """Acts on the pictures it was told are chosen.

    Args:
        project: whose pictures they are.
        decisions: makes them and takes them back.
        keys_in: the widget in which the keys work that are letters.
        undo_in: the widget in which Undo and Redo work.
    """

    def __init__(self, project: Project, decisions: PictureDecisions, keys_in: QWidget, undo_in: QWidget) -> None:
        super().__init__()
        self._project = project
        self._decisions = decisions
        self._count = 0
        self._first: ImageFile | None = None
        self._files: Callable[[], Sequence[ImageFile]] = tuple
        self._suggested = ""
        self.why_not = ""
        self.leave_out_button = QPushButton()
        self.leave_out_button.clicked.connect(self.leave_out_or_use)
        self.class_button = QToolButton()
        self.class_button.setText("Belongs to")
        self.class_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.class_menu = QMenu(self.class_button)
        self.class_menu.aboutToShow.connect(lambda: self._fill(self.class_menu))
        self.class_button.setMenu(self.class_menu)
        self.right_button = QPushButton("Is right")
        self.right_button.clicked.connect(self.call_right)
        self.undo_button = QToolButton()
        self.undo_button.setAccessibleName("Undo")
        self.undo_button.clicked.connect(self._decisions.undo)
        theme.set_icon(self.undo_button, "undo")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        for button in (self.leave_out_button, self.class_button, self.right_button, self.undo_button):
            layout.addWidget(button)
        for button in (self.leave_out_button, self.right_button):
            button.setAutoDefault(False)
        self._add_keys(keys_in, undo_in)
        self._decisions.decided.connect(self.refresh)
        self.refresh()

    def _add_keys(self, keys_in: QWidget, undo_in: QWidget) -> None:
        keys: Sequence[tuple[QWidget, QKeySequence | QKeySequence.StandardKey, Callable[[], None]]] = (
            (keys_in, QKeySequence(Qt.Key.Key_Delete), self.leave_out_or_use),
            (keys_in, QKeySequence(Qt.Key.Key_L), self.leave_out_or_use),
            (keys_in, QKeySequence(Qt.Key.Key_C), self.open_class_menu),
            (keys_in, QKeySequence(Qt.Key.Key_R), self.call_right),
            (undo_in, QKeySequence.StandardKey.Undo, self._decisions.undo),
            (undo_in, QKeySequence.StandardKey.Redo, self._decisions.redo),
        )
        for widget, key, act in keys:
            shortcut = QShortcut(key, widget)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(act)

    # -- what is chosen -----------------------------------------------------------------------------------------

    def set_chosen(
        self, count: int, first: ImageFile | None, files: Callable[[], Sequence[ImageFile]], suggested: str = ""
    ) -> None:
        """Act on these pictures from now on.

        Args:
            count: how many they are.
            first: the first of them, as it was scanned; the buttons go by what is decided about it.
            files: all of them, asked for when something is done: there may be 100,000.
            suggested: the class that a network would put the first into; "" where it has no doubt.
        """
        self._count, self._first, self._files, self._suggested = count, first, files, suggested
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show what can be done with what is chosen."""
        decided = self._decisions.on(self._first.path) if self._first else None
        enabled = self._count > 0 and not self.why_not
        reason = self.why_not or NOTHING_CHOSEN
        use = decided is not None and decided.left_out
        self.leave_out_button.setText("Use again" if use else "Leave out")
        tip = "Train on them again (L or Delete)." if use else "Do not train on them (L or Delete). The files stay."
        for button, text in (
            (self.leave_out_button, tip),
            (self.class_button, "Say which class they are of (C). The files stay where they are."),
            (self.right_button, "The class is right, whatever the network thinks (R)."),
        ):
            button.setEnabled(enabled)
            button.setToolTip(text if enabled else reason)
        self.right_button.setVisible(bool(self._suggested))
        undo, redo = self._decisions.undo_text, self._decisions.redo_text
        again = f"\nCtrl+Shift+Z does it again: {redo}." if redo else ""
        self.undo_button.setEnabled(bool(undo))
        self.undo_button.setToolTip(printable_lines((f"Undo {undo} (Ctrl+Z)" if undo else "Nothing to undo.") + again))

    # -- doing --------------------------------------------------------------------------------------------------

    def _can_act(self) -> bool:
        return self._count > 0 and not self.why_not

    @Slot()
    def leave_out_or_use(self) -> None:
        """Leave the chosen pictures out; use them again if that is what was decided about the first."""
        if not self._can_act() or self._first is None:
            return
        if self._decisions.on(self._first.path).left_out:
            self._decisions.use_again(self._files())
        else:
            self._decisions.leave_out(self._files())

    @Slot()
    def call_right(self) -> None:
        """Say that the chosen pictures are in the right class."""
        if self._can_act() and self._suggested:
            self._decisions.call_right(self._files())

    def put_into(self, class_name: str) -> None:
        """Say which class the chosen pictures are of."""
        if self._can_act():
            self._decisions.put_into(class_name, self._files())

    @Slot()
    def open_class_menu(self) -> None:
        """Let the class be chosen with the keyboard."""
        if self._can_act() and self.class_button.isVisible():
            self.class_menu.popup(self.class_button.mapToGlobal(QPoint(0, self.class_button.height())))
            self.class_menu.setActiveAction(self.class_menu.actions()[0])

    def context_menu(self, parent: QWidget) -> QMenu:
        """A menu of what can be done with the chosen pictures; it deletes itself."""
        menu = QMenu(parent)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        leave = menu.addAction(f"{self.leave_out_button.text()}\tL")
        leave.triggered.connect(self.leave_out_or_use)
        classes = menu.addMenu("Belongs to")
        self._fill(classes)
        if self._suggested:
            menu.addAction("Is right\tR").triggered.connect(self.call_right)
        if self._first is not None and self._decisions.is_decided(self._first.path):
            menu.addAction("Take back").triggered.connect(self._take_back)
        for action in menu.actions():
            action.setEnabled(self._can_act())
        return menu

    @Slot()
    def _take_back(self) -> None:
        self._decisions.take_back([file.path for file in self._files()])

    def _fill(self, menu: QMenu) -> None:
        menu.clear()
        dataset = self._project.dataset
        names = list(dataset.class_names) if dataset else []
        if self._suggested:
            self._add_class(menu, self._suggested, f"{self._suggested}, as the network thinks")
            menu.addSeparator()
        for name in names:
            self._add_class(menu, name, name)

    def _add_class(self, menu: QMenu, name: str, text: str) -> None:
        action = menu.addAction(printable(text).replace("&", "&&"))
        action.triggered.connect(lambda: self.put_into(name))
