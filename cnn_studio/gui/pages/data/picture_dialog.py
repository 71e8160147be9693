"""One picture of the data set, large, with all that is known of it; what is decided about it is decided here too."""

from __future__ import annotations

from bisect import bisect_left

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QLabel, QWidget

from cnn_studio.core.data.findings import FINDING_TEXT
from cnn_studio.core.data.image_file import SPLIT_TEXT, ImageFile
from cnn_studio.core.text import printable
from cnn_studio.gui.dialogs.picture import PictureDialog
from cnn_studio.gui.look import theme
from cnn_studio.gui.pages.data.decision_bar import DecisionBar
from cnn_studio.gui.pages.data.shown_pictures import ShownPictures
from cnn_studio.gui.state.data_view import DataView, place_of
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.paragraph import breakable, paragraph


class DataPictureDialog(PictureDialog):
    """Shows the pictures of the grid one at a time, beginning with a row."""

    def __init__(self, session: Session, pictures: ShownPictures, row: int, parent: QWidget) -> None:
        self._project = session.project
        self._data = session.data
        self._decisions = session.decisions
        self._label_errors = session.label_errors
        self._shown = pictures
        self.bar: DecisionBar | None = None
        super().__init__(pictures, row, parent)
        self.known = QLabel()
        theme.set_muted(self.known)
        self.words.addLayout(paragraph(self.known))
        self.bar = DecisionBar(session.project, session.decisions, self, self)
        self.buttons.insertWidget(0, self.bar)
        self._decisions.decided.connect(self._show_decided)
        self._data.view_changed.connect(self._show_decided)
        self._show_decided()

    def file(self) -> ImageFile:
        """The image shown, as it was scanned."""
        return self._shown.file(self.place())

    def name(self) -> str:
        """The file's path relative to the folder."""
        return printable(self.file().path)

    def go(self, steps: int) -> None:
        """Show the picture so many places on; stays at the ends."""
        super().go(steps)
        if self.bar is not None:
            self._show_decided()

    @Slot()
    def _show_decided(self) -> None:
        assert self.bar is not None
        file = self.file()
        decision = self._decisions.on(file.path)
        given = self._project.folder_class(file)
        title = f"{given}, belongs to {decision.belongs_to}" if decision.belongs_to else given
        self.caption.setText(printable(f"{title}, left out" if decision.left_out else title))
        self.canvas.set_faint(decision.left_out)
        self.known.setText(breakable(printable(self._known_of(file))))
        self.bar.set_chosen(1, file, lambda: [file], self._label_errors.suggested_for(file.path))

    def _known_of(self, file: ImageFile) -> str:
        """Colour, split, findings and what a network thinks, as far as known."""
        parts = ["grey" if file.grey else "colour"]
        view = self._data.view
        if view is not None:
            decision = self._decisions.on(file.path)
            names = view.scanned.class_names
            label = names.index(decision.belongs_to) if decision.belongs_to in names else file.label
            if (split := view.split_of(file.path, label)) is not None:
                parts.append(f"{SPLIT_TEXT[split]} image")
            place = place_of(view.used, file.path, label)
            parts += findings_on(view, place) if place is not None else []
        size = f"{file.width} × {file.height}"  # which stands beside the name already
        parts += [said for said in self._shown.note(self.place()).split(" · ") if said not in {"", size}]
        return " · ".join(parts)


def findings_on(view: DataView, place: int) -> list[str]:
    """Short names of the findings that concern the image at a place of ``view.used.files``."""
    named = []
    for finding in view.findings:
        for group in finding.groups:
            spot = bisect_left(group, place)  # a group's indices ascend
            if spot < len(group) and group[spot] == place:
                named.append(FINDING_TEXT[finding.kind])
                break
    return named
