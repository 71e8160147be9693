"""The confusion matrix, the pairs most often confused, and the images behind a cell."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.evaluation.confusion import confusion_counts, most_confused
from cnn_studio.core.evaluation.measured import Measured
from cnn_studio.core.text import printable_lines
from cnn_studio.gui.look import theme
from cnn_studio.gui.pages.evaluate.gallery import EvaluatedGallery
from cnn_studio.gui.state.evaluation import EvaluationState
from cnn_studio.gui.widgets.confusion_matrix import ConfusionMatrix
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.paragraph import breakable
from cnn_studio.gui.widgets.tile_view import one_line

_PAIRS = 20
_PAIRS_SHOWN = 5
_PAIR_HEIGHT = 3 * theme.SPACE + theme.SPACE_HALF
_CELL_ROLE = Qt.ItemDataRole.UserRole


class MatrixTab(QWidget):
    """The matrix on the left; on the right the pairs, and the images of the chosen cell."""

    def __init__(self, evaluation: EvaluationState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._measured: Measured | None = None
        self.matrix = ConfusionMatrix()
        self.matrix.cell_chosen.connect(self._show_cell)
        self.counts = QPushButton("&Images")
        self.counts.setToolTip("How many images")
        self.shares = QPushButton("&Percent of each true class")
        self.shares.setToolTip("Each row sums to 100 %: classes with few images are as visible as those with many")
        either = QButtonGroup(self)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        for button in (self.counts, self.shares):
            button.setCheckable(True)
            theme.flat_button(button)
            either.addButton(button)
            head.addWidget(button)
        head.addStretch(1)
        self.counts.setChecked(True)
        self.shares.toggled.connect(self.matrix.set_as_shares)
        self.pointed = ElidedLabel()
        theme.set_muted(self.pointed)
        self.matrix.pointed.connect(self.pointed.setText)
        left = QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addLayout(head)
        column.addWidget(self.matrix, 1)
        column.addWidget(self.pointed)
        splitter = QSplitter()
        splitter.addWidget(left)
        splitter.addWidget(self._build_right(evaluation))
        splitter.setSizes([620, 396])
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 1)
        splitter.setChildrenCollapsible(False)
        splitter.setHandleWidth(theme.SPACE_2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(splitter)

    def _build_right(self, evaluation: EvaluationState) -> QWidget:
        self.pairs_title = QLabel()
        theme.set_text_size(self.pairs_title, theme.TextSize.BODY, bold=True)
        self.pairs = QListWidget()
        self.pairs.setAccessibleName("Classes most often confused")
        self.pairs.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.pairs.itemClicked.connect(self._on_pair)
        self.pairs.itemActivated.connect(self._on_pair)
        self.cell_text = QLabel()
        self.cell_text.setWordWrap(True)
        self.cell_text.setTextFormat(Qt.TextFormat.PlainText)
        theme.set_text_size(self.cell_text, theme.TextSize.BODY, bold=True)
        self.gallery = EvaluatedGallery(evaluation)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(self.pairs_title)
        column.addWidget(self.pairs)
        column.addWidget(self.cell_text)
        column.addWidget(self.gallery, 1)
        return right

    def show_measured(self, measured: Measured) -> None:
        """Show what was measured; nothing is chosen."""
        self._measured = measured
        names = measured.class_names
        counts = confusion_counts(measured.labels, measured.predicted, len(names))
        self.matrix.set_matrix(names, counts)
        found = most_confused(counts, _PAIRS)
        self.pairs_title.setText("Most often confused" if found else "No class was taken for another")
        self.pairs.clear()
        for pair in found:
            item = QListWidgetItem(one_line(pair.sentence(names)))
            item.setToolTip(printable_lines(item.text()))
            item.setSizeHint(QSize(0, _PAIR_HEIGHT))
            item.setData(_CELL_ROLE, (pair.true, pair.predicted))
            self.pairs.addItem(item)
        self.pairs.setFixedHeight(min(len(found), _PAIRS_SHOWN) * _PAIR_HEIGHT + 2 * self.pairs.frameWidth() + 2)
        self.pairs.setVisible(bool(found))
        self.cell_text.setText("Choose a field of the matrix to see its images.")
        self.pointed.setText("")
        self.gallery.clear_places()

    @Slot(int, int)
    def _show_cell(self, true: int, predicted: int) -> None:
        if self._measured is None:
            return
        text = self.matrix.text_of(true, predicted)
        self.cell_text.setText(breakable(text[0].upper() + text[1:]).replace(" %", "\N{NO-BREAK SPACE}%"))
        self.gallery.show_places(self._measured, self._measured.indices(true, predicted))

    @Slot(QListWidgetItem)
    def _on_pair(self, item: QListWidgetItem) -> None:
        true, predicted = item.data(_CELL_ROLE)
        self.matrix.choose(true, predicted)
