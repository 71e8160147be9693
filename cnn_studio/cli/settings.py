"""From the options of ``train`` to an experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnn_studio.core.advice.augmentation import choose_augmentation, why_not_augmentable
from cnn_studio.core.advice.presets import EXPERIMENT_PRESETS, RECOMMENDED, experiment_preset
from cnn_studio.core.advice.suggestions import Recommendation, recommend_experiment, suggest_experiment
from cnn_studio.core.data import dataset
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment import experiment as config
from cnn_studio.core.experiment.architectures import architecture_preset
from cnn_studio.core.experiment.layer_plan import plan_layers
from cnn_studio.core.experiment.settings import BackboneArchitecture, TransferMode


@dataclass(frozen=True, slots=True)
class Choices:
    """What the user asked for.

    Attributes:
        experiment: a settings file to start from.
        preset: a named experiment to start from.
        architecture: a scratch network's or backbone's name.
        transfer: "frozen" or "fine_tuned".
        unfreeze: the first block that fine-tuning changes; asking for one asks for fine-tuning.
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

    def check(self) -> config.Experiment:
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
        if self.preset == RECOMMENDED:
            start = config.Experiment(architecture=BackboneArchitecture())
        else:
            start = self._fixed_start() or config.Experiment()
        checked = self._applied_to(start, None)
        if problem := why_not_augmentable(checked):
            raise problem
        if self.experiment or self.preset in EXPERIMENT_PRESETS or "image.height" in self.changes:
            plan_layers(checked.architecture, checked.image, class_count=2)
        return checked

    def on_data(
        self, found: dataset.Dataset, on_gpu: Callable[[], bool]
    ) -> tuple[config.Experiment, Recommendation | None]:
        """The experiment for a data set.

        Args:
            found: the data set.
            on_gpu: asked only where the device matters, since the answer takes seconds.

        Returns:
            The experiment, and what was recommended if that was asked for.

        Raises:
            ExperimentError: as ``check``.
        """
        if self.preset == RECOMMENDED:
            recommended = recommend_experiment(found, on_gpu=on_gpu())
            return self._applied_to(recommended.experiment, found), recommended
        start = self._fixed_start() or suggest_experiment(found, self.architecture or "small_cnn")
        return self._applied_to(start, found), None

    def _fixed_start(self) -> config.Experiment | None:
        if self.experiment:
            return config.read_experiment(self.experiment)
        return experiment_preset(self.preset).experiment if self.preset else None

    def _applied_to(self, start: config.Experiment, found: dataset.Dataset | None) -> config.Experiment:
        changes = dict(self.changes)
        if self.augment is not None:
            chosen = choose_augmentation(self.augment, found).augmentation
            changes = {"augmentation": chosen.model_dump(), **changes}  # single settings come after
        if self.architecture:
            preset = architecture_preset(self.architecture).architecture
            changes = {"architecture": preset.model_dump(), **changes}
        changed = config.with_values(start, changes)
        transfer = {
            "architecture.transfer": self.transfer or (TransferMode.FINE_TUNED if self.unfreeze else None),
            "architecture.unfreeze_from": self.unfreeze,
            "architecture.fine_tuning.epochs": self.fine_tuning_epochs,
            "architecture.fine_tuning.learning_rate": self.fine_tuning_rate,
        }
        transfer = {name: value for name, value in transfer.items() if value is not None}
        if transfer and not isinstance(changed.architecture, BackboneArchitecture):
            raise ExperimentError(
                f"{changed.architecture.name} is trained from scratch, so there is nothing to keep or to fine-tune.",
                hint="Add a pre-trained network, such as --architecture resnet50.",
                field="architecture",
            )
        changed = config.with_values(changed, transfer)
        if self.unfreeze and self.transfer == TransferMode.FROZEN:
            raise ExperimentError(
                "--transfer frozen keeps the whole backbone, and --unfreeze names a block to train.",
                hint="Leave out one of them.",
                field="architecture.unfreeze_from",
            )
        return changed


def preset_values() -> list[dict[str, str]]:
    """The presets as JSON-ready objects."""
    return [
        {"name": preset.name, "title": preset.title, "summary": preset.summary}
        for preset in EXPERIMENT_PRESETS.values()
    ]


def presets_text() -> str:
    """The presets for a person to read."""
    lines = [f"{RECOMMENDED}\n  Chosen from the data and the device, with the reason."]
    lines += [f"{preset.name}\n  {preset.title}. {preset.summary}" for preset in EXPERIMENT_PRESETS.values()]
    return "\n".join(lines)
