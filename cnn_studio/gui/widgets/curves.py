"""Live curves of loss and accuracy. pyqtgraph is imported when a plot is first shown, not when the window starts."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPointF, QSize, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QColor, QFocusEvent, QHideEvent, QImage, QKeyEvent, QPainter, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QVBoxLayout, QWidget

from cnn_studio.core.atomic_file import replacing, write_text
from cnn_studio.core.errors import StorageError
from cnn_studio.gui.look import theme
from cnn_studio.gui.widgets.curve_axes import CurveAxes
from cnn_studio.gui.widgets.curve_data import CurveData, Reading, format_reading

REDRAW_MS = 100
"""Time between redraws while points arrive: ten a second."""

_PICTURE_SCALE = 2.0


class CurvePlot(QWidget):
    """Loss above accuracy, over epochs: training per batch and per epoch, validation per epoch.

    Points may be added as fast as they come; they are drawn at most ten times a second, and only while the plot is on
    screen. The pointer, or the arrow keys, move a line at which values are read.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._data = CurveData()
        self._axes: CurveAxes | None = None
        self._cursor: float | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REDRAW_MS)
        self._timer.timeout.connect(self.flush)
        self._headers = {what: QLabel(self) for what in ("loss", "accuracy")}
        self._where = QLabel(self)
        theme.set_muted(self._where)
        for label in (*self._headers.values(), self._where):
            label.setTextFormat(Qt.TextFormat.RichText)
            label.setWordWrap(label is not self._where)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._where.setAlignment(Qt.AlignmentFlag.AlignTrailing)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(theme.SPACE_HALF)
        self._layout.addLayout(self._header_row("loss", self._where))
        self._layout.addLayout(self._header_row("accuracy"))
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Training curves")
        self.setMinimumSize(QSize(320, 260))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        theme.theme().theme_changed.connect(self._on_theme)
        self._show_reading()

    def _header_row(self, what: str, beside: QLabel | None = None) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setContentsMargins(theme.SPACE, 0, theme.SPACE, 0)
        row.addWidget(self._headers[what], 4)
        if beside is not None:
            row.addWidget(beside, 1)
        return row

    # -- points -------------------------------------------------------------------------------------------------------

    def clear(self, epochs: int = 1, steps_per_epoch: int = 1) -> None:
        """Forget every point and make the x axis ``epochs`` long."""
        smoothing = self._data.smoothing
        self._data = CurveData(epochs, steps_per_epoch)
        self._data.set_smoothing(smoothing)
        self._cursor = None
        if self._axes is not None:
            self._axes.forget_ranges()
        self._changed()

    def add_batch(self, epoch: int, step: int, loss: float, accuracy: float) -> None:
        """Add a training batch; ``epoch`` and ``step`` count from 1, ``accuracy`` is 0–1."""
        self._data.add_batch(epoch, step, loss, accuracy)
        self._changed()

    def add_epoch(self, epoch: int, loss: float, accuracy: float, val_loss: float, val_accuracy: float) -> None:
        """Add the end of an epoch; a value that was not measured is NaN."""
        self._data.add_epoch(epoch, loss, accuracy, val_loss, val_accuracy)
        self._changed()

    def set_best_epoch(self, epoch: int) -> None:
        """Mark the epoch the model is taken from; 0 for none."""
        self._data.best_epoch = epoch
        self._changed()

    def mark_stage(self, x: float, label: str) -> None:
        """Mark ``x`` epochs as the place where something else began, such as fine-tuning."""
        self._data.stages.append((x, label))
        self._changed()

    def set_smoothing(self, weight: float) -> None:
        """Weight of the past in the moving average, 0 to 0.99; the raw curve stays, faint, behind it."""
        self._data.set_smoothing(weight)
        self._changed()

    def history_points(self) -> dict[str, list[tuple[float, float]]]:
        """Every curve's points as (epochs, value): ``batch_loss``, ``batch_accuracy``, ``epoch_training_loss``,
        ``epoch_training_accuracy``, ``epoch_validation_loss``, ``epoch_validation_accuracy``.
        """
        return self._data.points()

    # -- drawing ------------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        # A hidden plot draws when it is shown.
        if self.isVisible() and not self._timer.isActive():
            self._timer.start()

    @Slot()
    def flush(self) -> None:
        """Draw what has changed now."""
        self._timer.stop()
        axes = self._axes or self._build()
        axes.draw(self._data)
        axes.set_cursor(self._cursor)
        self._show_reading()

    def _build(self) -> CurveAxes:
        self._axes = CurveAxes()
        loss, accuracy = self._axes.views
        self._layout.insertWidget(1, loss, 1)
        self._layout.insertWidget(3, accuracy, 1)
        self._axes.on_pointer(self.set_cursor)
        for view in (loss, accuracy):
            view.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._axes.restyle()
        return self._axes

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what came while it was hidden."""
        super().showEvent(event)
        self.flush()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nothing is drawn while it cannot be seen."""
        super().hideEvent(event)
        self._timer.stop()

    @Slot()
    def _on_theme(self) -> None:
        if self._axes is not None:
            self._axes.restyle()
        self._show_reading()
        self._changed()

    # -- reading ------------------------------------------------------------------------------------------------------

    def set_cursor(self, x: float | None) -> None:
        """Read values at ``x`` epochs, or at the newest point with None."""
        self._cursor = None if x is None else min(max(x, 0.0), float(self._data.epochs))
        if self._axes is not None:
            self._axes.set_cursor(self._cursor)
        self._show_reading()

    def cursor_position(self) -> float | None:
        """Where values are read, in epochs; None when that follows the newest point."""
        return self._cursor

    def reading(self) -> Reading | None:
        """The values shown; None when there are none."""
        x = self._cursor if self._cursor is not None else self._data.last_x()
        return None if x is None else self._data.reading(x)

    def readout(self) -> str:
        """The values shown, in one line."""
        reading = self.reading()
        return reading.as_text() if reading else ""

    def _show_reading(self) -> None:
        reading = self.reading()
        for what, label in self._headers.items():
            label.setText(_header(what, reading))
        self._where.setText(f"epoch {reading.epoch:.1f}" if reading else "")
        self.setAccessibleDescription(self.readout())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right move the line by a fiftieth of the axis, with Control by an epoch; Escape takes it away."""
        step = 1.0 if event.modifiers() & Qt.KeyboardModifier.ControlModifier else self._data.epochs / 50
        start = self._cursor if self._cursor is not None else self._data.last_x() or 0.0
        match event.key():
            case Qt.Key.Key_Left:
                self.set_cursor(start - step)
            case Qt.Key.Key_Right:
                self.set_cursor(start + step)
            case Qt.Key.Key_Home:
                self.set_cursor(0.0)
            case Qt.Key.Key_End:
                self.set_cursor(self._data.last_x())
            case Qt.Key.Key_Escape if self._cursor is not None:
                self.set_cursor(None)
            case _:
                super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """The line goes with the keyboard."""
        super().focusOutEvent(event)
        self.set_cursor(None)

    # -- files --------------------------------------------------------------------------------------------------------

    def save_png(self, path: Path) -> None:
        """Save what is shown as a PNG at twice the screen's resolution.

        Raises:
            StorageError: the file could not be written.
        """
        self.set_cursor(None)
        self.flush()
        image = QImage((QSize(self.size()) * _PICTURE_SCALE), QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(_PICTURE_SCALE)
        image.fill(QColor(theme.colours().surface))
        painter = QPainter(image)
        self.render(painter, QPointF(0, 0).toPoint())
        painter.end()
        with replacing(path) as part:
            if not image.save(str(part), "PNG"):  # type: ignore[call-overload]
                raise StorageError(
                    f"The picture {path.name} could not be written to {path.parent}.",
                    hint="See whether the disk is full, or choose another folder.",
                    path=path,
                )

    def save_csv(self, path: Path) -> None:
        """Save every point; ``curve_data.CSV_COLUMNS`` says what the columns are.

        Raises:
            StorageError: the file could not be written.
        """
        write_text(path, self._data.as_csv())


def _header(what: str, reading: Reading | None) -> str:
    """Name of the plot, and a legend that is the readout as well."""
    colour = theme.colours()
    parts = [f"<b>{what.capitalize()}</b>"]
    for series, pen in (("training", colour.training), ("validation", colour.validation)):
        value = getattr(reading, f"{series}_{what}") if reading else None
        shown = f" <b>{format_reading(what, value)}</b>" if value is not None else ""
        parts.append(f'<span style="color:{pen}">━</span> <span style="color:{colour.muted}">{series}</span>{shown}')
        if series == "training":
            parts.append(f'<span style="color:{pen}">┅</span> <span style="color:{colour.muted}">per epoch</span>')
    return "&nbsp;&nbsp; ".join(parts)


class CurvePanel(QWidget):
    """The plot with a slider for smoothing and buttons to save it; the page asks where to and calls ``plot.save_…``."""

    save_picture_requested = Signal()
    save_values_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.plot = CurvePlot(self)
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, 99)
        self.smoothing.setPageStep(10)
        self.smoothing.setMinimumWidth(6 * theme.SPACE)
        self.smoothing.setMaximumWidth(180)
        self.smoothing.setAccessibleName("Smoothing")
        self.smoothing.setToolTip(
            "How much of the past goes into the bold curves (exponential moving average): of training over batches,\n"
            "of validation over epochs. The single values stay visible behind them, and are what is saved."
        )
        caption = QLabel("S&moothing")
        caption.setBuddy(self.smoothing)
        self._amount = QLabel()
        self._amount.setMinimumWidth(self._amount.fontMetrics().horizontalAdvance("0.00") + theme.SPACE)
        theme.set_muted(self._amount)
        self.save_picture = QPushButton("Picture…")
        self.save_picture.setAccessibleName("Save picture")
        self.save_picture.setToolTip("Save the curves as a PNG picture")
        self.save_picture.clicked.connect(self.save_picture_requested)
        self.save_values = QPushButton("Values…")
        self.save_values.setAccessibleName("Save values")
        self.save_values.setToolTip("Save every point as a CSV table")
        self.save_values.clicked.connect(self.save_values_requested)
        for button in (self.save_picture, self.save_values):
            theme.flat_button(button)
        row = QHBoxLayout()
        row.setContentsMargins(theme.SPACE, 0, 0, 0)
        for part in (caption, self.smoothing, self._amount):
            row.addWidget(part)
        row.addStretch()
        row.addWidget(self.save_picture)
        row.addWidget(self.save_values)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addWidget(self.plot, 1)
        layout.addLayout(row)
        self.smoothing.valueChanged.connect(self._on_smoothing)
        self.smoothing.setValue(80)

    def set_can_save(self, can_save: bool) -> None:
        """Offer saving, or not while there is nothing to save."""
        self.save_picture.setEnabled(can_save)
        self.save_values.setEnabled(can_save)

    @Slot(int)
    def _on_smoothing(self, hundredths: int) -> None:
        self._amount.setText(f"{hundredths / 100:.2f}")
        self.plot.set_smoothing(hundredths / 100)
