"""The one way from a user's choices to an experiment, whichever face they are made in.

What the user has set, or opened from a file or a preset, is kept; the rest follows from the data and the architecture.
The window keeps a ``Chosen`` and makes another of it at each click. The command line has ``Choices``, all that was said
at once, and makes it of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cnn_studio.core.advice.augmentation import choose_augmentation
from cnn_studio.core.advice.presets import RECOMMENDED, experiment_preset
from cnn_studio.core.advice.suggestions import recommend_experiment, suggest_image_settings
from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.architectures import architecture_preset, architecture_title
from cnn_studio.core.experiment.augmentation import describe
from cnn_studio.core.experiment.experiment import Experiment, read_experiment, with_values
from cnn_studio.core.experiment.settings import (
    USUAL_LEARNING_RATE,
    BackboneArchitecture,
    Decisions,
    TransferMode,
)

_FROM_DATA = ("height", "width", "colour")
_SECOND_STAGE = "architecture.fine_tuning."
_ONE_STAGE_ONLY = {TransferMode.FROZEN, TransferMode.ONE_STAGE}
_OPTIMIZER, _LEARNING_RATE = "training.optimizer", "training.learning_rate"

FOLLOWING = frozenset({*(f"image.{name}" for name in _FROM_DATA), _LEARNING_RATE})
"""The settings that follow from others, or from the data, until they are fixed. No other is ever changed unasked."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """An experiment in the making; each method gives another one.

    Data, architecture and what the user sets of ``FOLLOWING`` may come in any order: the same comes of them.

    Attributes:
        experiment: as it is now.
        fixed: those of ``FOLLOWING`` that the user has set or opened.
    """

    experiment: Experiment = field(default_factory=Experiment)
    fixed: frozenset[str] = frozenset()

    @classmethod
    def opened(cls, experiment: Experiment) -> Chosen:
        """What was opened or reproduced: all of it counts, whatever the data."""
        return cls(experiment, FOLLOWING)

    def on_data(self, dataset: Dataset) -> Chosen:
        """On another folder: what is not fixed follows from it. Not for the same folder with some files more or less.

        Args:
            dataset: as scanned.
        """
        return self._following(dataset)

    def with_architecture(self, name: str, dataset: Dataset | None) -> Chosen:
        """With a named architecture, and what suits it and the data.

        Args:
            name: of a scratch network or a backbone.
            dataset: the data set, if there is one yet.

        Raises:
            ExperimentError: there is no such architecture.
        """
        architecture = architecture_preset(name).architecture
        changed = self.experiment.model_copy(update={"architecture": architecture})
        return replace(self, experiment=changed)._following(dataset)

    def with_preset(self, name: str, dataset: Dataset | None, on_gpu: Callable[[], bool]) -> tuple[Chosen, str]:
        """With a whole experiment by name, or the one that suits the data; decisions about pictures stay.

        Args:
            name: of a preset, or ``RECOMMENDED``.
            dataset: what the recommendation follows from; without it, it is a backbone.
            on_gpu: asked only where the device matters, since the answer may take seconds.

        Returns:
            What is chosen, and what is to be said of it.

        Raises:
            ExperimentError: there is no such preset.
        """
        if name != RECOMMENDED:
            preset = experiment_preset(name)
            chosen, said = Chosen.opened(preset.experiment), preset.summary
        elif dataset is None:
            chosen, said = Chosen().with_architecture(BackboneArchitecture().name, None), ""
        else:
            recommended = recommend_experiment(dataset, on_gpu=on_gpu())
            chosen, said = Chosen(recommended.experiment), recommended.reason
        return chosen.with_decisions(self.experiment.decisions), said

    def with_changes(self, changes: dict[str, Any]) -> Chosen:
        """With single settings by dotted name, which are kept from now on.

        Another optimizer wants another learning rate: its usual one, unless that is fixed.

        Raises:
            ExperimentError: as ``with_values``; nothing has changed then.
        """
        changed = with_values(self.experiment, changes)
        fixed = self.fixed | {name for name in FOLLOWING if name in changes or name.partition(".")[0] in changes}
        if _OPTIMIZER in changes and _LEARNING_RATE not in fixed:
            changed = with_values(changed, {_LEARNING_RATE: USUAL_LEARNING_RATE[changed.training.optimizer]})
        return Chosen(changed, fixed)

    def with_decisions(self, decisions: Decisions) -> Chosen:
        """With what was decided about single pictures."""
        return replace(self, experiment=self.experiment.model_copy(update={"decisions": decisions}))

    def _following(self, dataset: Dataset | None) -> Chosen:
        """With the image size and colour that suit data and architecture, where they are not fixed."""
        suggested = suggest_image_settings(dataset, self.experiment.architecture.name)
        free = {name: getattr(suggested, name) for name in _FROM_DATA if f"image.{name}" not in self.fixed}
        image = self.experiment.image.model_copy(update=free)
        return replace(self, experiment=self.experiment.model_copy(update={"image": image}))


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user asked for, all at once, in the options of a command.

    Attributes:
        experiment: a settings file to start from.
        preset: a named experiment to start from.
        architecture: a scratch network's or backbone's name.
        transfer: "frozen", "fine_tuned" or "one_stage".
        unfreeze: the first block that fine-tuning changes; asking for one, or for any setting of the second stage,
            asks for fine-tuning.
        fine_tuning_epochs: of the second stage.
        fine_tuning_rate: learning rate of the second stage.
        augment: an augmentation's preset, kinds with their strengths, or both.
        changes: single settings, by their dotted names.
    """

    experiment: Path | None = None
    preset: str | None = None
    architecture: str | None = None
    transfer: str | None = None
    unfreeze: str | None = None
    fine_tuning_epochs: int | None = None
    fine_tuning_rate: float | None = None
    augment: str | None = None
    changes: dict[str, Any] = field(default_factory=dict)

    def check(self) -> Experiment:
        """What is wrong with the options, told before a folder of 100,000 images is read.

        Returns:
            The experiment as far as it is known without the data.

        Raises:
            ExperimentError: options that do not go together, or a setting that is unknown or out of range.
        """
        given = [name for name, value in (("--experiment", self.experiment), ("--preset", self.preset)) if value]
        if len(given) > 1 or (self.preset and self.architecture):
            second = given[1] if len(given) > 1 else "--architecture"
            raise ExperimentError(
                f"{given[0]} and {second} both say what to train.", hint=f"Leave out {given[0]} or {second}."
            )
        return self._chosen(None, lambda: False)[0].experiment

    def on_data(self, found: Dataset, on_gpu: Callable[[], bool]) -> tuple[Experiment, tuple[str, ...]]:
        """The experiment for a data set.

        Args:
            found: the data set.
            on_gpu: asked only where the device matters, since the answer takes seconds.

        Returns:
            The experiment, and what is to be said of that which was chosen from the data.

        Raises:
            ExperimentError: as ``check``.
        """
        chosen, notes = self._chosen(found, on_gpu)
        return chosen.experiment, notes

    def _chosen(self, found: Dataset | None, on_gpu: Callable[[], bool]) -> tuple[Chosen, tuple[str, ...]]:
        chosen, notes = Chosen(), []
        if self.experiment:
            chosen = Chosen.opened(read_experiment(self.experiment))
        elif self.preset:
            chosen, said = chosen.with_preset(self.preset, found, on_gpu)
            notes += [said] * (self.preset == RECOMMENDED)
        elif found:
            chosen = chosen.on_data(found)
        if self.architecture:
            chosen = chosen.with_architecture(self.architecture, found)
        changes = dict(self.changes)
        if self.augment is not None:
            advice = choose_augmentation(self.augment, found)
            changes = {"augmentation": advice.augmentation.model_dump(), **changes}  # single settings come after
            notes += [f"{advice.reason} ({describe(advice.augmentation)})"] * bool(advice.reason)
        chosen = chosen.with_changes(changes)
        if transfer := self._transfer(chosen.experiment):
            chosen = chosen.with_changes(transfer)
        return chosen, tuple(notes)

    def _transfer(self, experiment: Experiment) -> dict[str, Any]:
        """The settings of a backbone that were asked for.

        Raises:
            ExperimentError: there is no backbone, or they do not go together.
        """
        transfer = getattr(experiment.architecture, "transfer", None)
        second_stage = [name for name in self.changes if name.startswith(_SECOND_STAGE)]
        second_stage += [f"{_SECOND_STAGE}epochs"] * (self.fine_tuning_epochs is not None)
        second_stage += [f"{_SECOND_STAGE}learning_rate"] * (self.fine_tuning_rate is not None)
        meant = TransferMode.FINE_TUNED if transfer is TransferMode.FROZEN and (self.unfreeze or second_stage) else None
        asked = {
            "architecture.transfer": self.transfer or meant,
            "architecture.unfreeze_from": self.unfreeze,
            "architecture.fine_tuning.epochs": self.fine_tuning_epochs,
            "architecture.fine_tuning.learning_rate": self.fine_tuning_rate,
        }
        asked = {name: value for name, value in asked.items() if value is not None}
        if asked and not isinstance(experiment.architecture, BackboneArchitecture):
            raise ExperimentError(
                f"{architecture_title(experiment.architecture.name)} is trained from scratch, so there is nothing to "
                "keep or to fine-tune.",
                hint=f"Add a pre-trained network, such as --architecture {BackboneArchitecture().name}.",
                field="architecture",
            )
        if self.unfreeze and self.transfer == TransferMode.FROZEN:
            raise ExperimentError(
                "--transfer frozen keeps the whole backbone, and --unfreeze names a block to train.",
                hint="Leave out one of them.",
                field="architecture.unfreeze_from",
            )
        if second_stage and (mode := asked.get("architecture.transfer", transfer)) in _ONE_STAGE_ONLY:
            raise ExperimentError(
                f"{second_stage[0]} is of the second stage of training, which there is none of with transfer {mode}.",
                hint="Leave it out, or ask for --transfer fine_tuned.",
                field=second_stage[0],
            )
        return asked
