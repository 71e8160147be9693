"""Finding out where a model looks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_studio.core.errors import CnnStudioError, ModelFileError
from cnn_studio.core.evaluation.input_range import InputRange
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.tasks.loaded import load, named, tell_doubt

if TYPE_CHECKING:
    from cnn_studio.core.evaluation.heat import Explanation

_EDGE = 1024  # pixels of the longer side of the picture that is written


@dataclass(frozen=True, slots=True)
class ExplainRequest:
    """Where does a model look on one image?

    Attributes:
        model: a ``.keras`` file.
        image: an image file.
        class_name: what is looked for; None for the class the model thinks most likely.
        class_names: for a file that carries none; None takes the file's own, or "class 1", "class 2"…
        input_range: which values the network takes, for a file made elsewhere that does not say it.
    """

    model: Path
    image: Path
    class_name: str | None = None
    class_names: tuple[str, ...] | None = None
    input_range: InputRange | None = None


def explain(request: ExplainRequest, context: JobContext) -> Explanation:
    """Grad-CAM of one image.

    Raises:
        ModelFileError: the model cannot be used, has no feature maps, or knows no class of that name.
        CnnStudioError: the image cannot be read.
    """
    from cnn_studio.core.evaluation.heat import Explanation, over_picture, resized
    from cnn_studio.core.image.decoder import ImageError, probe_image, read_image

    model, facts = load(request.model, context, request.class_names, request.input_range)
    tell_doubt(facts, request.model, context.report)
    facts = named(facts)
    context.report(StageStarted(Stage.EXPLAIN, 1))
    label = None
    if request.class_name is not None:
        if request.class_name not in facts.class_names:
            shown = ", ".join(facts.class_names[:20])
            raise ModelFileError(
                f"{request.model.name} knows no class {request.class_name!r}.", hint=f"It knows {shown}."
            )
        label = facts.class_names.index(request.class_name)
    try:
        image = read_image(request.image, facts.height, facts.width, facts.fit)
        picture = probe_image(request.image)
    except ImageError as error:
        raise CnnStudioError(f"{request.image.name}: {error.message}", path=request.image) from error
    context.cancel.raise_if_cancelled()
    finder = _grad_cam(model)
    found = finder.explain(image, label)
    if not math.isfinite(found.probabilities.sum()):
        raise ModelFileError(
            f"{request.model.name} answers with what is no number (NaN), so there is nothing to explain.",
            hint="Its training has gone astray: train again with a smaller learning rate.",
            path=request.model,
        )
    order = (-found.probabilities).argsort(kind="stable")
    ranked = tuple((facts.class_names[place], float(found.probabilities[place])) for place in order)
    context.cancel.raise_if_cancelled()
    context.report(Progress(Stage.EXPLAIN, 1, 1))
    return Explanation(
        path=request.image,
        class_name=facts.class_names[found.label],
        probability=float(found.probabilities[found.label]),
        ranked=ranked,
        heat=over_picture(resized(found.heat, facts.height, facts.width), facts.fit, picture.height, picture.width),
        layer=finder.layer,
        map_size=finder.map_size,
        unsure=ranked[0][1] < facts.threshold,
    )


def write_overlay(explanation: Explanation, target: Path, opacity: float | None = None) -> None:
    """Write the picture with the heat map over it.

    Args:
        explanation: from ``explain``.
        target: its ending says how: .png, .jpg or .webp; an existing file is replaced.
        opacity: of the hottest place, 0–1; ``heat.OPACITY`` when None.

    Raises:
        CnnStudioError: the picture cannot be read any more.
        StorageError: the target cannot be written.
    """
    from PIL import Image

    from cnn_studio.core.atomic_file import replacing
    from cnn_studio.core.evaluation.heat import OPACITY, overlay
    from cnn_studio.core.image.decoder import read_picture

    picture = read_picture(explanation.path, _EDGE)
    with replacing(target) as part:
        Image.fromarray(overlay(picture, explanation.heat, OPACITY if opacity is None else opacity)).save(part)


@lru_cache(maxsize=1)
def _grad_cam(model: Any) -> Any:
    """The network's part above its feature maps, found once while the same model stays loaded."""
    from cnn_studio.ml.explain import GradCam

    return GradCam(model)
