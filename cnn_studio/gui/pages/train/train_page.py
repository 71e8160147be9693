"""Train: settings, live curves, and how good it became."""

from __future__ import annotations

from html import escape
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.advice.preflight import remarks
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.figures import Evaluation
from cnn_studio.core.experiment.architectures import architecture_title
from cnn_studio.core.experiment.augmentation import describe
from cnn_studio.core.experiment.settings import (
    BackboneArchitecture,
    Colour,
    Optimizer,
    SplitSettings,
    StageSettings,
    TransferMode,
)
from cnn_studio.core.experiment.table import SETTINGS
from cnn_studio.core.job import events
from cnn_studio.core.percent import format_percent, format_percent_within
from cnn_studio.core.runs.trained import ENDED_TEXT, TrainedModel
from cnn_studio.core.text import printable
from cnn_studio.gui.dialogs.save_file import save_file
from cnn_studio.gui.jobs.job_thread import AnyJob, JobKind
from cnn_studio.gui.look import theme
from cnn_studio.gui.look.wording import format_duration
from cnn_studio.gui.pages.navigation import Navigation, Page
from cnn_studio.gui.pages.settings_form import SettingsForm
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.curves import CurvePanel
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.fields import FieldRow
from cnn_studio.gui.widgets.paragraph import breakable, paragraph
from cnn_studio.gui.widgets.settings_column import SettingsColumn, group
from cnn_studio.tasks import TrainRequest

_TEST_SHARE = SplitSettings().test


class TrainPage(QWidget):
    """Settings on the left; on the right the curves and the result of one run, the latest on the open data set."""

    def __init__(self, session: Session, navigation: Navigation) -> None:
        super().__init__()
        self._notices = session.notices
        self._navigation = navigation
        self._project, self._queue, self._training = session.project, session.queue, session.training
        self._models = session.models
        self._run: TrainRequest | None = None
        self._model: Path | None = None
        self.form = SettingsForm(session.project, self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * theme.SPACE)
        layout.addWidget(self._build_settings())
        layout.addWidget(self._build_right(), 1)
        session.queue.started.connect(self._on_started)
        session.queue.reported.connect(self._on_reported)
        session.queue.ended.connect(self._on_ended)
        session.training.trained.connect(self._on_trained)
        session.training.discarded.connect(self._on_discarded)
        session.project.dataset_opened.connect(self._on_opened)
        for signal in (
            session.project.experiment_changed,
            session.project.wrong_changed,
            session.project.dataset_opened,
            session.project.dataset_altered,
            session.weights.changed,
            session.data.view_changed,
        ):
            signal.connect(self._show_state)
        self.form.refresh()
        self._show_state()

    def _build_settings(self) -> QWidget:
        basic, advanced = self._rows("training")
        self.fine_tuning = self._build_fine_tuning()
        self.advanced_button = QCheckBox("Advanced settings")
        self.advanced = group(*advanced)
        self.advanced.setVisible(False)
        self.advanced_button.toggled.connect(self.advanced.setVisible)
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.state.setTextFormat(Qt.TextFormat.RichText)
        self.train_button = QPushButton("Train")
        theme.accent_button(self.train_button)
        self.train_button.clicked.connect(self._on_train_clicked)
        self.column = SettingsColumn("Train", "Passes over the training images, at most.")
        self.column.add(*basic, self.fine_tuning, self.advanced_button, self.advanced)
        self.column.foot.addWidget(self.state)
        self.column.foot.addWidget(self.train_button)
        self.column.finish()
        self.settings = self.column.settings
        return self.column

    def _build_fine_tuning(self) -> QWidget:
        """The second stage of a fine-tuned backbone."""
        caption = QLabel("Then fine-tuning")
        theme.set_text_size(caption, theme.TextSize.BODY, bold=True)
        basic, advanced = self._rows("architecture.fine_tuning")
        return group(caption, *basic, *advanced)

    def _rows(self, section: str) -> tuple[list[FieldRow], list[FieldRow]]:
        """A row for each setting of a section, in the table's order: those always shown, and the advanced."""
        known = [each for each in SETTINGS.values() if each.section == section]
        basic, advanced = (
            [self.form.setting(each.name) for each in known if each.advanced is folded] for folded in (False, True)
        )
        return basic, advanced

    def _build_right(self) -> QWidget:
        self.about = ElidedLabel()
        theme.set_muted(self.about)
        self.curves = CurvePanel()
        self.curves.set_can_save(False)
        self._has_curves = False
        self.curves.save_picture_requested.connect(self._save_picture)
        self.curves.save_values_requested.connect(self._save_values)
        self.result = QFrame()
        theme.set_card(self.result)
        self.result_title = QLabel()
        self.result_title.setWordWrap(True)
        theme.set_text_size(self.result_title, theme.TextSize.TITLE)
        self.result_text = QLabel()
        self.cautions = ElidedLabel()
        self.predict_button = QPushButton("Try it on images")
        self.predict_button.clicked.connect(lambda: self._use_model(Page.PREDICT))
        self.evaluate_button = QPushButton("See where it errs")
        self.evaluate_button.clicked.connect(lambda: self._use_model(Page.EVALUATE))
        self.keep_test_button = QPushButton("Keep images for a test")
        self.keep_test_button.setToolTip(
            f"From the next training on, {format_percent(_TEST_SHARE)} of the images are kept apart for a test."
        )
        self.keep_test_button.clicked.connect(self._keep_test_images)
        inner = QVBoxLayout(self.result)
        inner.addWidget(self.result_title)
        inner.addLayout(paragraph(self.result_text))
        inner.addWidget(self.cautions)
        buttons = QHBoxLayout()
        buttons.addWidget(self.keep_test_button)
        buttons.addWidget(self.evaluate_button)
        buttons.addWidget(self.predict_button)
        buttons.addStretch(1)
        inner.addLayout(buttons)
        self.result.setVisible(False)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addWidget(self.about)
        column.addWidget(self.curves, 1)
        column.addWidget(self.result)
        return right

    # -- showing ------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """Look again: a file of weights may have come by another way."""
        super().showEvent(event)
        self._show_state()

    @Slot()
    def _show_state(self) -> None:
        training = self._training.is_running()
        no_data = self._project.dataset is None
        experiment = self._project.experiment
        self._show_momentum("training", experiment.training)
        architecture = experiment.architecture
        second = isinstance(architecture, BackboneArchitecture) and architecture.transfer is TransferMode.FINE_TUNED
        self.fine_tuning.setVisible(second)
        if isinstance(architecture, BackboneArchitecture):
            self._show_momentum("architecture.fine_tuning", architecture.fine_tuning)
        scanning = self._queue.is_busy_with(JobKind.SCAN)
        reason = self._training.why_not_train()
        self.column.set_training(training)
        self.train_button.setText("Open a folder of images" if no_data and not scanning else "Train")
        self.train_button.setEnabled(not training and not scanning and (no_data or reason is None))
        self.train_button.setToolTip("Training is under way: Stop and Cancel are at the bottom." if training else "")
        if not training and not self._has_curves:
            self.curves.plot.clear(self._project.experiment.training.epochs, 1)
        if training:
            text = ""
        elif no_data:
            text = "The folder is being checked." if scanning else "There are no images to train on yet."
        elif reason:
            text = f'<span style="color: {theme.colours().error}">{escape(breakable(str(reason)))}</span>'
        else:
            text = escape(breakable(self._plan()))
        self.state.setText(text)

    def _show_momentum(self, section: str, stage: StageSettings) -> None:
        """Momentum can be set where it does something."""
        field = self.form.row(f"{section}.momentum").field
        of_use = stage.optimizer is Optimizer.SGD
        field.setEnabled(of_use)
        field.setToolTip("" if of_use else "The optimizer chosen has no use for it: it is for SGD.")

    def _plan(self) -> str:
        """What pressing Train will do."""
        dataset, experiment = self._project.dataset, self._project.experiment
        assert dataset is not None
        name = architecture_title(experiment.architecture.name)
        colour = "in colour" if experiment.image.colour is Colour.RGB else "in grey"
        size = f"{experiment.image.width} × {experiment.image.height} pixels {colour}"
        changes = f" Augmented: {describe(experiment.augmentation)}." if experiment.augmentation.is_on else ""
        return " ".join((f"{name} on {dataset.name}, {size}.{changes}", *remarks(experiment)))

    @Slot(object)
    def _on_started(self, job: AnyJob) -> None:
        if job.kind is JobKind.TRAIN:
            self._show_run(job.request)
            self._say_of_run(", preparing")
        self._show_state()

    def _show_run(self, run: TrainRequest | None) -> None:
        """Begin with the curves of another run, or with none at all."""
        self._run, self._model = run, None
        self._has_curves = False
        self.curves.plot.clear(run.experiment.training.epochs if run else 1, 1)
        self.curves.set_can_save(False)
        self.result.setVisible(False)
        self._say_of_run()

    def _say_of_run(self, state: str = "") -> None:
        run = self._run
        self.about.setText(f"Run “{run.run.name}” on {run.dataset.name}{state}" if run else "")

    @Slot()
    def _on_opened(self) -> None:
        """Curves and result go with the data set that they are of; they stay among the runs."""
        run, dataset = self._run, self._project.dataset
        if run is not None and dataset is not None and run.dataset.root != dataset.root:
            self._show_run(None)
            self._show_state()

    @Slot(object)
    def _on_discarded(self, folder: Path) -> None:
        if self._run is not None and self._run.run == folder:
            self._show_run(None)

    @Slot(object, object)
    def _on_reported(self, job: AnyJob, event: events.Event) -> None:
        if job.kind is not JobKind.TRAIN:
            return
        plot = self.curves.plot
        match event:
            case events.TrainingStarted(epochs, steps):
                plot.clear(epochs, steps)
                self.curves.set_can_save(True)
                self._has_curves = True
                self._say_of_run()
            case events.TrainingStageStarted():
                if event.first_epoch > 1:
                    plot.mark_stage(event.first_epoch - 1, event.text)
            case events.BatchEnded():
                plot.add_batch(event.epoch, event.step, event.loss, event.accuracy)
            case events.EpochEnded():
                plot.add_epoch(event.epoch, event.loss, event.accuracy, event.val_loss, event.val_accuracy)
                if event.best:
                    plot.set_best_epoch(event.epoch)

    @Slot(object)
    def _on_ended(self, job: AnyJob) -> None:
        if job.kind is JobKind.TRAIN:
            self.curves.plot.flush()
            if self._run is job.request and self._model is None:
                self._say_of_run(", which failed")
        self._show_state()

    @Slot(object)
    def _on_trained(self, trained: TrainedModel) -> None:
        self._model = trained.model
        shown = trained.test or trained.validation
        self.result_title.setText(f"{shown.accuracy_text.capitalize()} {accuracy_text(shown)}")
        parts = [
            f"{architecture_title(trained.facts.architecture)} on {trained.facts.data_name}.",
            f"In brackets the 95 % interval, from {shown.images:,} images; guessing the largest class would score "
            f"{format_percent(shown.guessing)}.",
        ]
        if trained.test:
            parts.append(
                f"Validation accuracy {accuracy_text(trained.validation)}: higher as a rule, since its images chose "
                "the epoch that was kept."
            )
        else:
            parts.append(
                "These images chose the epoch that was kept, so the figure flatters; none were kept for a test."
            )
        given = self._project.dataset.given_splits if self._project.dataset else frozenset()
        self.keep_test_button.setVisible(trained.test is None and not given - {Split.TRAIN})
        parts.append(f"{ENDED_TEXT[trained.ended].capitalize()}.")
        if trained.best_epoch:
            parts.append(f"The model of epoch {trained.best_epoch} was kept: it had the lowest validation loss.")
        else:
            parts.append("No epoch was complete, so the model is as it was at that moment.")
        parts.append(f"It took {format_duration(trained.seconds)} on {trained.device}.")
        self.result_text.setText(breakable(" ".join(parts)))
        self.cautions.setText(printable(f"Mind the images: {' '.join(each.text for each in trained.cautions)}"))
        self.cautions.setToolTip("\n".join(printable(f"{each.text} {each.advice}") for each in trained.cautions))
        self.cautions.setVisible(bool(trained.cautions))
        self.result.setVisible(True)

    # -- doing --------------------------------------------------------------------------------------------------

    @Slot()
    def _on_train_clicked(self) -> None:
        if self._project.dataset is None:
            self._navigation.show_page(Page.DATA)
        else:
            self._training.train()

    def _use_model(self, page: Page) -> None:
        """Go on with the model of the result shown, whichever was opened since."""
        if self._model is not None:
            self._models.use(self._model)
        self._navigation.show_page(page)

    @Slot()
    def _keep_test_images(self) -> None:
        self._project.change({"split.test": _TEST_SHARE})
        self.keep_test_button.setVisible(False)
        self._notices.tell_info(
            f"{format_percent(_TEST_SHARE)} of the images are kept for a test when you train again."
        )

    @Slot()
    def _save_picture(self) -> None:
        title, kind = "Save the curves as a picture", "PNG picture (*.png)"
        save_file(self, self._notices, title, "curves.png", kind, self.curves.plot.save_png)

    @Slot()
    def _save_values(self) -> None:
        title, kind = "Save the curves as a table", "CSV table (*.csv)"
        save_file(self, self._notices, title, "curves.csv", kind, self.curves.plot.save_csv)


def accuracy_text(evaluation: Evaluation) -> str:
    """Accuracy with its 95 % interval: "91 % (89–93 %)"."""
    return format_percent_within(evaluation.accuracy, evaluation.accuracy_low, evaluation.accuracy_high)
