"""Augment: how training images are changed, seen on the user's own pictures while it is being set."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from functools import partial
from pathlib import Path

from PySide6.QtCore import QRect, Qt, Slot
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from cnn_studio.core.advice.augmentation import (
    AUGMENTATION_PRESETS,
    RECOMMENDED,
    augmentation_warnings,
    recommend_augmentation,
    why_not_augmentable,
)
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.experiment.augmentation import (
    AUGMENTATION_KINDS,
    GROUP_TEXT,
    AugmentationSettings,
    Fill,
    Group,
    Unit,
)
from cnn_studio.core.experiment.experiment import Experiment
from cnn_studio.core.experiment.settings import BackboneArchitecture, Colour
from cnn_studio.core.percent import format_percent
from cnn_studio.gui.dialogs.compare import CompareDialog
from cnn_studio.gui.jobs.job_thread import JobKind
from cnn_studio.gui.look import theme
from cnn_studio.gui.pages.augment.augmentation_cost import CostCard
from cnn_studio.gui.pages.navigation import Navigation, Page
from cnn_studio.gui.pages.settings_form import SettingsForm
from cnn_studio.gui.state.session import Session
from cnn_studio.gui.widgets.elided_label import ElidedLabel
from cnn_studio.gui.widgets.fields import ChoiceBox, FieldRow
from cnn_studio.gui.widgets.preview_grid import PreviewGrid
from cnn_studio.gui.widgets.settings_column import SettingsColumn
from cnn_studio.gui.widgets.strength_row import StrengthRow
from cnn_studio.gui.widgets.tile_view import one_line

OWN = "own"
_OWN_MIX = "What you have chosen below."
PARTNERS = 3
FILLS = [
    ("The image mirrored at its border", Fill.REFLECT),
    ("The border drawn out", Fill.NEAREST),
    ("The image repeated", Fill.WRAP),
    ("Black", Fill.CONSTANT),
]
USUAL_VIEWS = (2, 4, 8, 16)
_LONG = (JobKind.TRAIN, JobKind.COMPARE, JobKind.LABEL_ERRORS, JobKind.EVALUATE, JobKind.PREDICT)
"""Jobs that a preview may wait for longer than a person does without a word: only one computes at a time."""


class AugmentPage(QWidget):
    """Kinds and strengths on the left; on the right what they do to a picture, and what they cost."""

    def __init__(self, session: Session, navigation: Navigation) -> None:
        super().__init__()
        self._session = session
        self._navigation = navigation
        self._seed = 1
        self._place = 0
        self._stale = True
        self._previewed: tuple[str, Experiment, int] | None = None
        self._reasons = [_OWN_MIX]
        self._project, self._queue = session.project, session.queue
        self.form = SettingsForm(session.project, self)
        self.rows: dict[str, StrengthRow] = {}
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2 * theme.SPACE)
        layout.addWidget(self._build_settings())
        layout.addWidget(self._build_right(), 1)
        session.project.experiment_changed.connect(self.refresh)
        session.project.dataset_opened.connect(self._on_opened)
        session.project.dataset_altered.connect(self.refresh)
        session.queue.started.connect(self._show_state)
        session.queue.ended.connect(self._show_state)
        session.augmentation.previewed.connect(self._show_preview)
        session.augmentation.preview_failed.connect(self.preview.say)
        self.form.refresh()
        self._on_opened()

    # -- building -----------------------------------------------------------------------------------------------

    def _build_settings(self) -> QWidget:
        what = QLabel("Training images are changed at random, so that the network sees each in many ways.")
        what.setWordWrap(True)
        theme.set_muted(what)
        self.preset = ChoiceBox()
        self.preset.chosen.connect(self._on_preset_chosen)
        self.reason = QLabel()
        self.reason.setWordWrap(True)
        self.reason.setAlignment(Qt.AlignmentFlag.AlignTop)
        theme.set_muted(self.reason)
        theme.set_text_size(self.reason, theme.TextSize.SMALL)
        self.column = SettingsColumn("Augment", "Each training image is changed at random, as set here.")
        self.column.add(what, FieldRow("Start from", self.preset), self.reason)
        self.settings, column = self.column.settings, self.column.rows
        self.fill = self.form.add("augmentation.fill", FieldRow("Where an image was moved away", ChoiceBox(FILLS)))
        for group in Group:
            caption = QLabel(GROUP_TEXT[group])
            theme.set_text_size(caption, theme.TextSize.BODY, bold=True)
            column.addSpacing(theme.SPACE)
            column.addWidget(caption)
            for kind in AUGMENTATION_KINDS.values():
                if kind.group is group:
                    row = StrengthRow(kind)
                    row.strength_changed.connect(partial(self._on_strength, kind.name))
                    self.rows[kind.name] = row
                    column.addWidget(row)
            if group is Group.GEOMETRY:
                column.addWidget(self.fill)
        self._views_choice = ChoiceBox(_view_choices(USUAL_VIEWS[0]))
        self.views = self.form.add(
            "augmentation.views",
            FieldRow("With the pre-trained part", self._views_choice, "A view is an image changed once."),
        )
        column.addSpacing(theme.SPACE)
        column.addWidget(self.views)
        self.column.finish()
        return self.column

    def _build_right(self) -> QWidget:
        self.class_choice = ChoiceBox(shrinks=True)
        self.class_choice.setAccessibleName("Class whose pictures are shown")
        self.class_choice.chosen.connect(self._on_class_chosen)
        self.back = _arrow("◀", "The picture before")
        self.back.clicked.connect(lambda: self._step(-1))
        self.on = _arrow("▶", "The next picture")
        self.on.clicked.connect(lambda: self._step(1))
        self.draw = QPushButton("New draw")
        self.draw.setToolTip("Draw other random changes of the same strength.")
        self.draw.clicked.connect(self._on_new_draw)
        self.picture_name = ElidedLabel(mode=Qt.TextElideMode.ElideMiddle)
        theme.set_muted(self.picture_name)
        head = QHBoxLayout()
        head.setSpacing(theme.SPACE)
        head.addWidget(self.class_choice)
        head.addWidget(self.back)
        head.addWidget(self.on)
        head.addWidget(self.picture_name, 1)
        head.addWidget(self.draw)
        self.preview = PreviewGrid()
        self.cost = CostCard(self._queue, self._project, self._session.augmentation)
        self.next_button = QPushButton("Go on to training")
        theme.accent_button(self.next_button)
        self.next_button.clicked.connect(lambda: self._navigation.show_page(Page.TRAIN))
        self.compare_button = QPushButton("Which of these help?…")
        self.compare_button.clicked.connect(self._open_comparison)
        foot = QHBoxLayout()
        foot.setSpacing(theme.SPACE)
        foot.addStretch(1)
        foot.addWidget(self.compare_button)
        foot.addWidget(self.next_button)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(theme.SPACE)
        column.addLayout(head)
        column.addWidget(self.preview, 1)
        column.addWidget(self.cost)
        column.addLayout(foot)
        return right

    # -- showing ------------------------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent) -> None:
        """Bring the preview up to date."""
        super().showEvent(event)
        if self._stale:
            self._want_preview()

    def hideEvent(self, event: QHideEvent) -> None:
        """Nothing is previewed for nobody."""
        self._stale = True
        super().hideEvent(event)

    @Slot()
    def _on_opened(self) -> None:
        dataset = self._project.dataset
        self._place = 0
        names = list(enumerate(dataset.class_names)) if dataset else []
        self.class_choice.set_choices([(name, label) for label, name in names])
        for widget in (self.class_choice, self.back, self.on, self.draw):
            widget.setEnabled(dataset is not None)
            widget.setToolTip(widget.toolTip() if dataset else "Open a folder of images first.")
        self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Show the experiment's augmentation and what is to be said of it."""
        experiment, dataset = self._project.experiment, self._project.dataset
        settings = experiment.augmentation
        warnings = augmentation_warnings(experiment, dataset)
        grey = experiment.image.colour is Colour.GREY
        for name, row in self.rows.items():
            row.set_strength(float(getattr(settings, name)))
            row.set_warning(warnings.get(name, ""))
            colour_only = name in {"hue", "saturation"} and grey
            row.set_possible(possible=not colour_only, why_not="The network sees grey images.")
        self._views_choice.set_choices(_view_choices(settings.views))
        self._views_choice.set_value(settings.views)
        self.views.setVisible(isinstance(experiment.architecture, BackboneArchitecture) and settings.is_on)
        problem = why_not_augmentable(experiment)
        self.views.set_error(str(problem) if problem else "")
        self.fill.setVisible(
            any(kind.group is Group.GEOMETRY and kind.unit is not Unit.SWITCH for kind in settings.kinds)
        )
        self._show_presets(settings, dataset)
        self._show_state()
        self._want_preview()

    def _show_presets(self, settings: AugmentationSettings, dataset: Dataset | None) -> None:
        known = {name: preset.augmentation for name, preset in AUGMENTATION_PRESETS.items()}
        choices = [(preset.title, name) for name, preset in AUGMENTATION_PRESETS.items()]
        said = {name: preset.summary for name, preset in AUGMENTATION_PRESETS.items()}
        if dataset:
            advice = recommend_augmentation(dataset)
            known[RECOMMENDED], said[RECOMMENDED] = advice.augmentation, advice.reason
            choices.insert(0, ("Recommended for this data", RECOMMENDED))
        free = {"fill": settings.fill, "views": settings.views}
        same = (name for name, preset in known.items() if preset.model_copy(update=free) == settings)
        chosen = next(same, OWN)
        if chosen == OWN:
            choices.append(("Your own mix", OWN))
        self.preset.set_choices(choices)
        self.preset.set_value(chosen)
        self._reasons = [*said.values(), _OWN_MIX]
        self.reason.setText(said.get(chosen, _OWN_MIX))
        self._keep_room_for_reasons()

    def _keep_room_for_reasons(self) -> None:
        """As much as the longest takes, so that no switch moves from under the pointer that is about to press it."""
        room = QRect(0, 0, self.reason.width(), 1)
        measure = self.reason.fontMetrics().boundingRect
        self.reason.setMinimumHeight(
            max(measure(room, Qt.TextFlag.TextWordWrap, text).height() for text in self._reasons)
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Measure the reasons anew."""
        super().resizeEvent(event)
        self._keep_room_for_reasons()

    @Slot()
    def _show_state(self) -> None:
        training = self._queue.is_busy_with(JobKind.TRAIN)
        self.column.set_training(training)
        on = self._project.experiment.augmentation.is_on
        known = bool(self._session.augmentation.trials) or self._queue.is_busy_with(JobKind.COMPARE)
        possible = self._project.dataset is not None and (on or known)
        self.compare_button.setEnabled(possible)
        self.compare_button.setToolTip(
            "Trains with none, each and all of them, and compares."
            if possible
            else "Switch on what you want to try first."
            if self._project.dataset
            else "Open a folder of images first."
        )

    @Slot()
    def _open_comparison(self) -> None:
        CompareDialog(self._session, self).show()

    # -- preview ------------------------------------------------------------------------------------------------

    def _want_preview(self) -> None:
        self._stale = not self.isVisible()
        dataset = self._project.dataset
        if dataset is None:
            self.preview.say("Open a folder of images to see on your own pictures what this does.")
            self.picture_name.setText("")
            return
        pictures = self._pictures(dataset)
        if self._stale or not pictures:
            return
        file = dataset.files[pictures[self._place % len(pictures)]]
        self.picture_name.setText(one_line(Path(file.path).name))
        # The same partners each time, from all over the data set.
        others = random.Random(self._seed).sample(range(len(dataset.files)), min(PARTNERS, len(dataset.files)))
        partners = tuple(dataset.path_of(dataset.files[i]) for i in others)
        wish = (file.path, self._project.experiment, self._seed)
        if before := next(iter(self._queue.of_kind(*_LONG)), None):
            if self.preview.results() and self._previewed == wish:
                return
            self.preview.say(f"The preview comes when this has ended: {before.title}.")
        self._previewed = wish
        self._session.augmentation.want_preview(dataset.path_of(file), partners, self._seed)

    def _pictures(self, dataset: Dataset) -> range:
        """Positions of the chosen class's files."""
        label = self.class_choice.value() or 0
        key = lambda file: file.label  # noqa: E731 -- files are in label order
        return range(bisect_left(dataset.files, label, key=key), bisect_right(dataset.files, label, key=key))

    @Slot(object)
    def _show_preview(self, preview: object) -> None:
        from cnn_studio.tasks import Preview

        assert isinstance(preview, Preview)
        name = self.class_choice.currentText()
        captions = ["" if share > 0.995 else f"{format_percent(share)} {name}" for share in preview.shares]
        self.preview.show_images(preview.original, preview.changed, captions)

    @Slot(object)
    def _on_class_chosen(self, label: int) -> None:  # noqa: ARG002 -- the box knows
        self._place = 0
        self._want_preview()

    def _step(self, by: int) -> None:
        self._place += by
        self._want_preview()

    @Slot()
    def _on_new_draw(self) -> None:
        self._seed += 1
        self._want_preview()

    # -- editing ------------------------------------------------------------------------------------------------

    def _on_strength(self, name: str, strength: float) -> None:
        switch = AUGMENTATION_KINDS[name].unit is Unit.SWITCH
        self._project.change({f"augmentation.{name}": bool(strength) if switch else strength})

    @Slot(object)
    def _on_preset_chosen(self, name: str) -> None:
        dataset = self._project.dataset
        if name == RECOMMENDED and dataset:
            chosen = recommend_augmentation(dataset).augmentation
        elif name in AUGMENTATION_PRESETS:
            chosen = AUGMENTATION_PRESETS[name].augmentation
        else:
            return
        free = self._project.experiment.augmentation
        values = chosen.model_copy(update={"fill": free.fill, "views": free.views}).model_dump()
        self._project.change({"augmentation": values})


def _view_choices(present: int) -> list[tuple[str, int]]:
    """Live, and the usual numbers of views with the present one among them."""
    counts = sorted({*USUAL_VIEWS, present} - {0})
    return [("Live, anew in every epoch (slow)", 0)] + [
        (f"{count} view{'s' if count > 1 else ''} of each, made once (fast)", count) for count in counts
    ]


def _arrow(text: str, tip: str) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button
