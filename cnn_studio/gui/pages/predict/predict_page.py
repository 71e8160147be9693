"""Predict: drop images anywhere on the window and see what the model says of them; export the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.evaluation.input_range import INPUT_RANGE_TEXT
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.evaluation.predictions import Prediction, predictions_csv
from cnn_studio.core.experiment.architectures import architecture_title
from cnn_studio.core.runs import run as runs
from cnn_studio.core.runs.run import Run
from cnn_studio.core.text import printable
from cnn_studio.gui.dialogs.export import ExportDialog
from cnn_studio.gui.dialogs.save_file import ask_target, save_file
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import accuracy_told, format_things
from cnn_studio.gui.pages.navigation import Navigation, Page
from cnn_studio.gui.state.notices import NoticeKind
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.empty_state import EmptyState
from cnn_studio.gui.widgets.fields import ChoiceBox
from cnn_studio.gui.widgets.lazy_list import LazyList
from cnn_studio.gui.widgets.paragraph import breakable, paragraph
from cnn_studio.gui.widgets.prediction_list import Order, PredictionList, Which, prediction_text
from cnn_studio.gui.widgets.tile_view import one_line

IMAGE_FILTER = "Images (*.jpg *.jpeg *.png *.webp *.bmp *.gif *.tif *.tiff *.avif *.heic);;All files (*)"

_RUNS_OFFERED = 12


class PredictPage(QWidget):
    """The opened model, and the images it was shown with its answers."""

    def __init__(self, session: Session, navigation: Navigation) -> None:
        super().__init__()
        self._project = session.project
        self._models = session.models
        self._predictions = session.predictions
        self._evaluation = session.evaluation
        self._notices = session.notices
        self._navigation = navigation
        self._no_model = EmptyState(
            "predict",
            "No model yet",
            "Train one on your images, or open a .keras file: one of yours, or one made with Keras elsewhere.",
            [("data", "Go to Data"), ("open", "Open model…")],
        )
        self._no_model.triggered.connect(self._on_no_model)
        self._either = QStackedLayout(self)
        self._either.addWidget(self._no_model)
        self._either.addWidget(self._build())
        session.models.changed.connect(self._show_model)
        session.predictions.added.connect(self.results.add_predictions)
        session.predictions.added.connect(self._show_results)
        session.predictions.renewed.connect(self.results.renew_predictions)
        session.predictions.renewed.connect(self._show_results)
        session.queue.started.connect(self._show_model)
        session.queue.ended.connect(self._show_model)
        session.queue.ended.connect(self._show_results)
        session.models.exported.connect(self._on_exported)
        if session.predictions.found:
            self.results.add_predictions(session.predictions.found)
        self._show_model()
        self._show_results()

    def _build_head(self) -> QHBoxLayout:
        self.title = ElidedLabel(mode=Qt.TextElideMode.ElideMiddle)
        theme.set_text_size(self.title, theme.TextSize.TITLE)
        self.facts = QLabel()
        self.open_button = QPushButton("Open model…")
        self.open_button.clicked.connect(lambda: self._offer_models(self.open_button))
        self.export_button = QPushButton("Export…")
        self.export_button.setToolTip("Save the model as a .keras file that Keras opens anywhere.")
        self.export_button.clicked.connect(self.choose_export)
        self.range_button = QPushButton("Values it takes…")
        self.range_button.setToolTip("Say which range of values this network was trained on.")
        self.range_button.clicked.connect(self._models.input_range_wanted)
        self.range_button.hide()
        names = QVBoxLayout()
        names.setSpacing(0)
        names.addWidget(self.title)
        names.addLayout(paragraph(self.facts))
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        head.addLayout(names, 1)
        head.addWidget(self.range_button)
        head.addWidget(self.open_button)
        head.addWidget(self.export_button)
        return head

    def _build(self) -> QWidget:
        self.results = PredictionList()
        self.results.image_activated.connect(self._show_picture)
        self.invitation = EmptyState(
            "drop",
            "Drop images here",
            "One, many or a whole folder, on any page of this window. Or paste a picture with Ctrl+V.",
        )
        body = QWidget()
        self._body = QStackedLayout(body)
        self._body.addWidget(self.invitation)
        self._body.addWidget(self.results)

        self.choose_button = QPushButton("Choose images…")
        theme.accent_button(self.choose_button)
        self.choose_button.clicked.connect(self.choose_images)
        self.count = ElidedLabel()
        self.csv_button = QPushButton("Save table…")
        self.csv_button.setToolTip("Save every answer as a CSV file that spreadsheets open.")
        self.csv_button.clicked.connect(self.choose_csv)
        self.rest_button = QPushButton("Classify the rest")
        self.rest_button.setToolTip("Classify the pictures that this model has not answered yet.")
        self.rest_button.clicked.connect(self._predictions.answer_rest)
        self.clear_button = QPushButton("Clear")
        self.clear_button.clicked.connect(self.clear)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SPACE)
        foot.addWidget(self.count, 1)
        foot.addWidget(self.rest_button)
        foot.addWidget(self.clear_button)
        foot.addWidget(self.csv_button)
        foot.addWidget(self.choose_button)

        page = QWidget()
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.SPACE)
        layout.addLayout(self._build_head())
        layout.addWidget(self._build_choices())
        layout.addWidget(body, 1)
        layout.addLayout(foot)
        return page

    def _build_choices(self) -> QWidget:
        """Which answers are shown, with their numbers, and in which order."""
        self.which = ChoiceBox(shrinks=True)
        self.which.setAccessibleName("Which answers are shown")
        self.order = ChoiceBox([(order.value, order) for order in Order])
        self.order.setAccessibleName("Order of the answers")
        for box in (self.which, self.order):
            box.chosen.connect(lambda _: self.results.arrange(self.which.value(), self.order.value()))
        self._choices = QWidget()
        row = QHBoxLayout(self._choices)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(theme.SPACE)
        row.addWidget(self.which)
        row.addWidget(self.order)
        row.addStretch(1)
        return self._choices

    def _show_choices(self, found: Sequence[Prediction]) -> None:
        counts = Counter(prediction.label for prediction in found if prediction.label)
        kinds = {
            Which.ALL: len(found),
            Which.UNSURE: sum(prediction.unsure for prediction in found),
            Which.UNREADABLE: sum(bool(prediction.error) for prediction in found),
        }
        choices: list[tuple[str, Which | str]] = [
            (f"{which.value} ({count:,})", which) for which, count in kinds.items() if count or which is Which.ALL
        ]
        choices += [(f"{printable(name)} ({counts[name]:,})", name) for name in sorted(counts)]
        self._choices.setVisible(bool(found))
        if [self.which.itemText(row) for row in range(self.which.count())] != [text for text, _ in choices]:
            before = self.which.value()
            self.which.set_choices(choices)
            if self.which.value() is None:  # cleared: there is nothing of that kind any more
                self.which.set_value(Which.ALL)
            if self.which.value() != before:
                self.results.arrange(self.which.value(), self.order.value())

    # -- showing ------------------------------------------------------------------------------------------------

    @Slot()
    def _show_model(self) -> None:
        model = self._models.opened
        pending = self._models.is_coming
        self._either.setCurrentIndex(1 if model or pending or self._predictions.found else 0)
        self.export_button.setEnabled(model is not None)
        self.choose_button.setEnabled(model is not None or pending)
        self.range_button.hide()
        if model is None:
            self.title.setText("A model is on its way" if pending else "No model is open")
            self.facts.setText(
                "Images dropped now are classified as soon as it is ready." if pending else "Open or train one."
            )
            return
        facts = model.facts
        self.title.setText(printable(f"Model of {model.title}"))
        self.title.setToolTip(printable(str(model.path)))
        parts = [format_things(model.class_count, "class", "classes"), f"{facts.width} × {facts.height} pixels"]
        if facts.architecture:
            parts.insert(0, architecture_title(facts.architecture))
        if accuracy := accuracy_told(facts.metrics or {}):
            parts.append(accuracy.replace(" ", "\N{NO-BREAK SPACE}"))
        if facts.threshold:
            parts.append(f"says “not sure” below {100 * facts.threshold:.1f} %")
        self.range_button.setVisible(not facts.made_here)
        if not facts.made_here:
            takes = facts.input_range
            parts.append(
                f"made elsewhere: it is given values of {INPUT_RANGE_TEXT[takes]}"
                if takes
                else "made elsewhere: which values it takes is not known, so it is given 0 to 255"
            )
        self.facts.setText(breakable(printable(" · ".join(parts))))

    @Slot()
    def _show_results(self) -> None:
        found = self._predictions.found
        self._body.setCurrentIndex(1 if found else 0)
        failed = sum(1 for prediction in found if prediction.error)
        rest = len(self._predictions.unanswered)
        unsure = sum(1 for prediction in found if prediction.unsure)
        images = format_things(len(found), "image")
        parts = [f"{len(found) - rest:,} of {images} classified" if rest else images]
        if unsure:
            parts.append(f"{unsure:,} of them not sure")
        if failed:
            parts.append(f"{failed:,} of them unreadable")
        self.count.setText(", ".join(parts) if found else "")
        self.rest_button.setVisible(bool(rest) and self._models.opened is not None)
        self.rest_button.setEnabled(not self._predictions.is_answering())
        self.csv_button.setEnabled(len(found) > rest)
        self._show_choices(found)
        self.clear_button.setEnabled(bool(found))

    @Slot(object)
    def _show_picture(self, path: Path) -> None:
        from cnn_studio.gui.dialogs.explained_picture import AnsweredPicture, open_explained

        found = self._predictions.found  # always the opened model's, and renewed in place

        def answered(place: int) -> AnsweredPicture:
            picture, model = found[place], self._models.opened
            text = prediction_text(picture)
            return AnsweredPicture(picture.path, text, picture.ranked, model.path if model else None)

        dialog = open_explained(LazyList(len(found), answered), path, self._evaluation, self)
        self._predictions.renewed.connect(dialog.renew)

    # -- doing --------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_no_model(self, key: str) -> None:
        if key == "data":
            self._navigation.show_page(Page.DATA)
        else:
            self._offer_models(self._no_model.buttons["open"])

    def _offer_models(self, below: QWidget) -> None:
        """Offer the models of earlier runs and the files opened before; without any, ask for a file at once."""
        found = (run for run in runs.list_runs(self._project.runs_dir) if run.model.exists())
        latest = list(islice(found, _RUNS_OFFERED + 1))
        files = self._models.recent_files()
        if not latest and not files:
            self.choose_model()
            return
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        menu.aboutToHide.connect(menu.deleteLater)
        for run in latest[:_RUNS_OFFERED]:
            self._offer(menu, run_title(run), run.folder).triggered.connect(
                lambda _=False, run=run: self._models.open_run(run)
            )
        if latest[_RUNS_OFFERED:]:
            menu.addAction("All runs…").triggered.connect(lambda: self._navigation.show_page(Page.RUNS))
        menu.addSeparator()
        for file in files:
            self._offer(menu, file.name, file).triggered.connect(lambda _=False, file=file: self._models.open(file))
        menu.addSeparator()
        menu.addAction("Another file…").triggered.connect(self.choose_model)
        menu.popup(below.mapToGlobal(below.rect().bottomLeft()))

    def _offer(self, menu: QMenu, text: str, place: Path) -> QAction:
        action = menu.addAction(one_line(text).replace("&", "&&"))
        action.setToolTip(str(place))
        return action

    @Slot()
    def choose_images(self) -> None:
        """Ask for image files and classify them."""
        names, _ = QFileDialog.getOpenFileNames(self, "Choose images", "", IMAGE_FILTER)
        if names:
            self._predictions.predict([Path(name) for name in names])

    @Slot()
    def choose_model(self) -> None:
        """Ask for a model file and open it."""
        name, _ = QFileDialog.getOpenFileName(self, "Open a model", "", "Keras models (*.keras *.h5);;All files (*)")
        if name:
            self._models.open(Path(name))

    @Slot()
    def choose_export(self) -> None:
        """Ask where to export the model to; the dialog asks before an existing file is replaced."""
        model = self._models.opened
        if model is None:
            return
        name, kind = f"{model.title}.keras", "Keras model (*.keras)"
        if target := ask_target(self, "Export the model", name, kind, (".keras",)):
            self._models.export(target.path, replace_existing=target.may_replace)

    @Slot(object, object)
    def _on_exported(self, target: Path, facts: ModelFacts) -> None:
        """Say so, and offer what to do with it: a dialog of its own accord would be in somebody's way."""
        self._notices.tell(
            NoticeKind.INFO,
            f"{target.name} was written, loaded again and compared: it answers the same.",
            topic=JobKind.EXPORT,
            actions=(("How to use it…", lambda: ExportDialog(target, facts, self).open()),),
        )

    @Slot()
    def choose_csv(self) -> None:
        """Ask where to save the answers."""
        if (model := self._models.opened) is None:
            return
        text = predictions_csv([found for found in self._predictions.found if found.is_answered], model.path)
        title = "Save the answers"
        save_file(self, self._notices, title, "predictions.csv", "CSV (*.csv)", lambda target: write_text(target, text))

    @Slot()
    def clear(self) -> None:
        """Forget the answers shown."""
        self._predictions.clear()
        self.results.clear()
        self._show_results()


def run_title(run: Run) -> str:
    """A run in a line: when, what on, which network, how good."""
    parts = [
        datetime.fromisoformat(run.created).astimezone().strftime("%Y-%m-%d %H:%M"),
        run.data_name,
        architecture_title(run.architecture),
        accuracy_told(run.metrics),
    ]
    return " · ".join(part for part in parts if part)
