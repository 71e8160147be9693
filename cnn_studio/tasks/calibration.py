"""Making a model say how sure it really is, and "I don't know" where it is not."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.errors import CnnStudioError, ModelFileError
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.job.events import Message, Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext, Report
from cnn_studio.core.percent import format_percent
from cnn_studio.core.runs import run as runs
from cnn_studio.core.text import parsed_json
from cnn_studio.tasks.evaluation import EvaluateRequest, evaluate, saved_evaluation

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.calibration import Calibrated, FittedTemperature
    from cnn_studio.core.evaluation.measured import Measured

LARGEST_DIFFERENCE = 1e-3
"""Between the calibrated model's probabilities and what the temperature should make of the old ones.

Where the logits are not known, a probability below 1e-38 is 0 in float32, and what a high temperature would make of it
cannot be known exactly.
"""

_CHECKED_ON = 8  # images of noise
_STEPS = 2


class Temperature(StrEnum):
    """What becomes of a model's temperature: it stays, is fitted, or is taken away."""

    KEEP = "keep"
    FIT = "fit"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class CalibrateRequest:
    """Change how sure a model is, or when it says that it does not know.

    Attributes:
        model: the model file of a run, or any ``.keras`` file.
        temperature: what becomes of its temperature.
        threshold: the probability (0–1) below which an answer counts as "not sure"; 0 for none, None to leave it.
        accuracy: in place of ``threshold``: choose it so that this part (0–1) of the answers is right, of new images
            too, see ``core.evaluation.calibration.choose_threshold``.
        folder: images of known classes that the model was not trained on; None takes the run's validation images.
        class_names: for a file that carries none.
        input_range: which values the network takes, for a file made elsewhere that does not say it.
            It is kept in the file.
    """

    model: Path
    temperature: Temperature = Temperature.KEEP
    threshold: float | None = None
    accuracy: float | None = None
    folder: Path | None = None
    class_names: tuple[str, ...] | None = None
    input_range: InputRange | None = None


def uncalibrated_path(model: Path) -> Path:
    """Where the model file as it was before its temperature was fitted is kept."""
    return model.with_name(f"{model.stem}.uncalibrated.keras")


def calibrate(request: CalibrateRequest, context: JobContext) -> Calibrated:
    """Fit a temperature, take it away again, or set the threshold, in the model file itself.

    The temperature is always that of the model as it was trained; that file is kept beside it. A threshold that is
    left as it is moves along with a new temperature, so that it leaves as many images unanswered as before.

    Raises:
        ModelFileError: the model cannot be used.
        DatasetError: there are no images of known classes to calibrate on.
        StorageError: the file cannot be written.
        CnnStudioError: the images show of no threshold that the answers are as good as ``accuracy`` asks.
    """
    from cnn_studio.core.evaluation.calibration import Calibrated, at_threshold, calibration_figures

    if request.model.suffix != ".keras":
        raise ModelFileError(
            f"Calibrating changes the model's file, and {request.model.name} is none that can carry it.",
            hint="Export it as a .keras file first.",
            path=request.model,
        )
    measured = _measured(request, context)
    if measured.without_numbers:
        raise ModelFileError(
            f"{request.model.name} answers with what is no number (NaN), so there is nothing to calibrate.",
            hint="Its training has gone astray: train again with a smaller learning rate.",
            path=request.model,
        )
    context.report(StageStarted(Stage.CALIBRATE, _STEPS))
    plain = measured.at_temperature(1.0)
    fitted = _fitted(request, plain, context.report)
    keeps = request.temperature is Temperature.KEEP
    after = measured if keeps else plain.at_temperature(fitted.value if fitted else 1.0)
    threshold = _new_threshold(request, measured, after)
    context.report(Progress(Stage.CALIBRATE, 1, _STEPS, unit="steps"))
    context.cancel.raise_if_cancelled()
    facts = _write(request, after.temperature, threshold, context.report)
    context.report(Progress(Stage.CALIBRATE, _STEPS, _STEPS, unit="steps"))
    return Calibrated(
        facts=facts,
        split=measured.split,
        folder=measured.evaluation.folder,
        images=measured.evaluation.images,
        before=calibration_figures(plain),
        after=calibration_figures(after),
        coverage=at_threshold(after.confidence, after.right, threshold) if threshold else None,
        fitted=fitted,
        asked_accuracy=request.accuracy,
    )


def _measured(request: CalibrateRequest, context: JobContext) -> Measured:
    """What the model says, at its present temperature, of the images to calibrate on."""
    if request.folder is None:
        if runs.undamaged_run_of(request.model) is None:
            raise ModelFileError(
                f"{request.model.name} does not lie in the folder of a run, so it has no validation images to be "
                "calibrated on.",
                hint="Name a folder of images it was not trained on, with one sub-folder per class.",
                path=request.model,
            )
        kept = saved_evaluation(request.model, Split.VALIDATION)
        if kept is not None:
            return kept
    split = None if request.folder else Split.VALIDATION
    wanted = EvaluateRequest(request.model, request.folder, split, request.class_names, request.input_range)
    return evaluate(wanted, context)


def _fitted(request: CalibrateRequest, plain: Measured, report: Report) -> FittedTemperature | None:
    """The temperature that was asked for; None where none was, or the images do not determine it, which is told."""
    from cnn_studio.core.evaluation.calibration import fit_temperature

    if request.temperature is not Temperature.FIT:
        return None
    fitted = fit_temperature(plain.logits, plain.labels)
    if fitted is None:
        images = f"{plain.evaluation.images:,} {plain.evaluation.images_text}"
        # Any model may be called surer without end, or less sure; neither says anything about the next image.
        why = (
            f"The model is right about all {images}"
            if plain.right.all()
            else f"What the model says of the {images} is no better than an even guess"
        )
        report(
            Message(
                f"{why}, so they cannot tell how sure it should be; its probabilities were left as they were trained."
            )
        )
    return fitted


def _new_threshold(request: CalibrateRequest, measured: Measured, after: Measured) -> float:
    from cnn_studio.core.evaluation.calibration import choose_threshold, same_coverage

    if request.accuracy is not None:
        chosen = choose_threshold(after.confidence, after.right, request.accuracy)
        if chosen is None:
            raise _none_chosen(request.accuracy, after)
        return chosen
    if request.threshold is not None:
        if not 0 <= request.threshold < 1:
            raise CnnStudioError(
                f"A threshold of {request.threshold:g} is no probability.", hint="Give one from 0 (none) to below 1."
            )
        return request.threshold
    if measured.threshold and after.temperature != measured.temperature:
        return same_coverage(measured.confidence, measured.threshold, after.confidence)
    return measured.threshold


def _none_chosen(accuracy: float, after: Measured) -> CnnStudioError:
    """Why no threshold could be chosen."""
    import numpy as np

    from cnn_studio.core.evaluation.calibration import answers_needed, lower_bound

    images, needed = after.evaluation.images, answers_needed(accuracy)
    asked = format_percent(accuracy)
    if needed > images:
        few = "no number of images" if accuracy >= 1 else f"only {needed:,} images without a single mistake"
        return CnnStudioError(
            f"That {asked} of the answers are right, {few} could show; there are {images:,} "
            f"{after.evaluation.images_text}.",
            hint="Ask for less." if accuracy >= 1 else "Ask for less, or name a folder of more images.",
        )
    surest = np.argsort(-after.confidence, kind="stable")
    good = np.cumsum(after.right[surest])
    best = max(range(1, images + 1), key=lambda count: lower_bound(int(good[count - 1]), count))
    right = int(good[best - 1])
    return CnnStudioError(
        f"With the {images:,} {after.evaluation.images_text} no threshold can be shown to make {asked} of the answers "
        f"right. Of the {best:,} surest answers {right:,} are right, which shows "
        f"{format_percent(lower_bound(right, best))} at best (lower bound, 95 % confidence).",
        hint="Ask for less, or name a folder of more images.",
    )


def _write(request: CalibrateRequest, temperature: float, threshold: float, report: Report) -> ModelFacts:
    """Bring the model file to a temperature and a threshold; gives what it says of itself then."""
    from cnn_studio.ml.model_file import read_facts, rewrite_facts, with_class_names

    path, original = request.model, uncalibrated_path(request.model)
    old = read_facts(path)
    takes = request.input_range or old.input_range
    facts = replace(old, temperature=temperature, threshold=threshold, input_range=takes)
    if request.class_names and not facts.class_names:
        facts = with_class_names(facts, request.class_names, len(request.class_names))
    if temperature != old.temperature:
        if not original.exists():
            _copy(path, original)
            if takes != old.input_range:
                rewrite_facts(original, replace(old, input_range=takes))
        if temperature == 1.0:
            _copy(original, path)
            rewrite_facts(path, replace(facts, input_range=read_facts(original).input_range))
        else:
            facts = _write_calibrated(original, path, facts, report)
    elif facts != old:
        rewrite_facts(path, facts)
    _renew_side_car(path, facts)
    return facts


def _write_calibrated(original: Path, path: Path, facts: ModelFacts, report: Report) -> ModelFacts:
    """Write the original's network with the temperature in it, after making sure that it answers as it should."""
    import numpy as np

    from cnn_studio.core.evaluation.measured import softmax
    from cnn_studio.ml import runtime

    runtime.start(report)
    from cnn_studio.ml.calibrate import with_temperature
    from cnn_studio.ml.evaluate import measuring_network
    from cnn_studio.ml.model_file import class_count, load_model, read_facts, save_model

    model, _ = load_model(original)  # one of its own: its weights may be changed
    noise = np.random.default_rng(0).integers(0, 256, (_CHECKED_ON, facts.height, facts.width, 3)).astype(np.uint8)
    _, logits, _ = measuring_network(model).predict_on_batch([noise, np.zeros(len(noise), np.int32)])
    expected = softmax(np.asarray(logits) / facts.temperature)
    calibrated = with_temperature(model, facts.temperature)
    difference = float(np.abs(np.asarray(calibrated.predict_on_batch(noise)) - expected).max())
    if not difference <= LARGEST_DIFFERENCE:  # written so that a NaN fails too
        raise ModelFileError(
            f"With the temperature in it the network gives other probabilities than it should (by up to "
            f"{difference:.2g}), so {path.name} was left as it is.",
            path=path,
        )
    save_model(calibrated, path, facts)
    return replace(read_facts(path), outputs=class_count(calibrated))


def _copy(source: Path, target: Path) -> None:
    from cnn_studio.core.atomic_file import replacing

    with replacing(target) as part:
        shutil.copyfile(source, part)


def _renew_side_car(path: Path, facts: ModelFacts) -> None:
    """Where an export's description lies beside the file, bring it up to date."""
    from cnn_studio.core.atomic_file import write_text

    side_car = path.with_suffix(".json")
    try:
        described = parsed_json(side_car.read_text(encoding="utf-8"))
        is_its_own = isinstance(described, dict) and described.get("model") == path.name
    except (OSError, ValueError):
        return
    if is_its_own:
        from cnn_studio.ml.export import description_text

        write_text(side_car, description_text(facts, path.name))
