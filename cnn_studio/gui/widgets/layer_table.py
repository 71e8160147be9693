"""The layers of an architecture, and the one at which an impossible architecture breaks."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, Qt, Slot
from PySide6.QtGui import QColor, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QTableView, QVBoxLayout, QWidget

from cnn_studio.core.experiment.layer_plan import ImpossibleArchitectureError, LayerKind, PlannedLayer
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_count, format_things
from cnn_studio.gui.widgets.tile_view import Index

_COLUMNS = ("Layer", "Kind", "Output shape", "Parameters")
_ROOT = QModelIndex()
_NUMBERS_FROM = 2


class LayerTable(QWidget):
    """A table of layers with the totals below it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = _LayerModel(self)
        self.view = QTableView()
        self.view.setModel(self._model)
        self.view.setAccessibleName("Layers")
        self.view.verticalHeader().hide()
        self.view.setShowGrid(False)
        self.view.setWordWrap(False)
        self.view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setTabKeyNavigation(False)
        self.view.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        header = self.view.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        rows = self.view.verticalHeader()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + theme.SPACE + theme.SPACE_HALF)
        self.total = QLabel()
        self.total.setWordWrap(True)
        self.total.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self.view, 1)
        layout.addWidget(self.total)
        theme.theme().theme_changed.connect(self._model.repaint_all)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Numbers are whole; names of layers share with their kinds what is left where they do not fit either."""
        super().resizeEvent(event)
        header = self.view.horizontalHeader()
        whole = sum(max(self.view.sizeHintForColumn(column), header.sectionSizeHint(column)) for column in (0, 2, 3))
        fits = whole + header.minimumSectionSize() <= self.view.viewport().width()
        mode = QHeaderView.ResizeMode
        header.setSectionResizeMode(0, mode.ResizeToContents if fits else mode.Stretch)

    def set_layers(self, layers: tuple[PlannedLayer, ...]) -> None:
        """Show an architecture that works."""
        self._model.set_rows(layers, None)
        parameters = sum(layer.parameters for layer in layers)
        trainable = sum(layer.trainable_parameters for layer in layers)
        of_these = "all" if trainable == parameters else format_count(trainable)
        self._say(f"{format_things(parameters, 'parameter')}, {of_these} trainable", "")

    def set_broken(self, error: ImpossibleArchitectureError) -> None:
        """Show the layers that work, then the one that does not in red, and why."""
        self._model.set_rows(error.layers, error)
        self._say(str(error), "error")
        self.view.scrollToBottom()

    def row_texts(self) -> list[tuple[str, ...]]:
        """What the rows say, for copying and for tests."""
        model = self._model
        return [
            tuple(str(model.index(row, column).data() or "") for column in range(len(_COLUMNS)))
            for row in range(model.rowCount())
        ]

    def _say(self, text: str, tone: str) -> None:
        self.total.setText(text)
        if self.total.property("tone") != tone:
            self.total.setProperty("tone", tone)
            theme.repolish(self.total)


class _LayerModel(QAbstractTableModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._layers: tuple[PlannedLayer, ...] = ()
        self._broken: ImpossibleArchitectureError | None = None

    def set_rows(self, layers: tuple[PlannedLayer, ...], broken: ImpossibleArchitectureError | None) -> None:
        if (layers, broken) == (self._layers, self._broken):
            return  # keeps selection and scroll position while unrelated settings change
        self.beginResetModel()
        self._layers, self._broken = layers, broken
        self.endResetModel()

    @Slot()
    def repaint_all(self) -> None:
        if rows := self.rowCount():
            self.dataChanged.emit(self.index(0, 0), self.index(rows - 1, len(_COLUMNS) - 1))

    def rowCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(self._layers) + (self._broken is not None)

    def columnCount(self, parent: Index = _ROOT) -> int:
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return _COLUMNS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(section)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row, column = index.row(), index.column()
        if row == len(self._layers):
            return self._broken_data(column, role)
        layer = self._layers[row]
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return _cell(layer, column)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
            case Qt.ItemDataRole.ForegroundRole if column == 1 or (column == 3 and not layer.parameters):
                return QColor(theme.colours().muted)
            case Qt.ItemDataRole.ToolTipRole if column == 1:
                return _EXPLAINED.get(layer.kind)
        return None

    def _broken_data(self, column: int, role: int) -> Any:
        assert self._broken is not None
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return (self._broken.layer, "cannot be built", "nothing left", "")[column]
            case Qt.ItemDataRole.ToolTipRole:
                return str(self._broken)
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
            case Qt.ItemDataRole.ForegroundRole:
                return QColor(theme.colours().error)
            case Qt.ItemDataRole.BackgroundRole:
                return QColor(theme.colours().error_soft)
        return None


_EXPLAINED = {
    LayerKind.INPUT: "The picture as it comes: red, green and blue from 0 to 255",
    LayerKind.GREY: "Makes the picture grey",
    LayerKind.RESCALING: "Brings 0–255 to 0–1",
    LayerKind.PREPROCESSING: "Brings colours to what the pre-trained part was made for",
    LayerKind.CONVOLUTION: "Slides small filters over the picture and learns what they look for",
    LayerKind.BATCH_NORMALIZATION: "Keeps the numbers between layers in a steady range, which helps training",
    LayerKind.ACTIVATION: "The nonlinearity",
    LayerKind.MAX_POOLING: "Halves height and width, keeping the largest of each 2 × 2",
    LayerKind.AVERAGE_POOLING: "Halves height and width, keeping the mean of each 2 × 2",
    LayerKind.GLOBAL_AVERAGE_POOLING: "Keeps one number per feature map: its mean",
    LayerKind.FLATTEN: "Puts all feature maps into one row of numbers",
    LayerKind.DENSE: "Every unit sees every number before it",
    LayerKind.DROPOUT: "While training, switches some numbers off at random against overfitting",
}


def _alignment(column: int) -> int:
    side = Qt.AlignmentFlag.AlignTrailing if column >= _NUMBERS_FROM else Qt.AlignmentFlag.AlignLeading
    return int(side | Qt.AlignmentFlag.AlignVCenter)


def _cell(layer: PlannedLayer, column: int) -> str:
    match column:
        case 0:
            return layer.name
        case 1:
            return _kind(layer)
        case 2:
            return " × ".join(format_count(size) for size in layer.output_shape)
    return format_count(layer.parameters) if layer.parameters else "–"


def _kind(layer: PlannedLayer) -> str:
    details: list[str] = []
    match layer.kind:
        case LayerKind.CONVOLUTION:
            details = [f"{layer.kernel} × {layer.kernel}", format_things(layer.units, "filter"), layer.padding.value]
            if layer.stride > 1:
                details.append(f"stride {layer.stride}")
        case LayerKind.MAX_POOLING | LayerKind.AVERAGE_POOLING:
            details = [f"{layer.kernel} × {layer.kernel}"]
        case LayerKind.DENSE:
            details = [format_things(layer.units, "unit")]
        case LayerKind.DROPOUT:
            details = [f"{layer.rate:.0%}".replace("%", " %")]
    if layer.activation:
        details.append(layer.activation)
    return f"{layer.kind.value}  {', '.join(details)}" if details else layer.kind.value
