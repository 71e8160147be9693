"""Whether a model fits into memory: asked before allocating, because Linux kills what takes too much.

Estimates are lower bounds, so that nothing which would have worked is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from cnn_studio.core.errors import TooLittleMemoryError
from cnn_studio.core.experiment.layer_plan import PlannedLayer
from cnn_studio.core.system.memory import available_memory, total_memory

BYTES_PER_PARAMETER = 16
"""float32 value, gradient, and Adam's two moments."""

START_BYTES = 220_000_000
"""What TensorFlow takes by itself once it is loaded (measured: 236 MB, without what can be read from disk again)."""

_SHARE_FOR_PARAMETERS = 0.6


def check_parameters(layers: Sequence[PlannedLayer], height: int, width: int) -> None:
    """Refuse a network whose weights alone would not fit into memory while it trains.

    Args:
        layers: the plan of the network.
        height: of the images, in pixels, for the sentence.
        width: of the images, in pixels, for the sentence.

    Raises:
        TooLittleMemoryError: it needs more than 60 % of the memory there is; names the largest layer.
    """
    total = total_memory()
    parameters = sum(layer.parameters for layer in layers)
    needed = parameters * BYTES_PER_PARAMETER
    if needed <= _SHARE_FOR_PARAMETERS * total:
        return
    allowed = f"{_SHARE_FOR_PARAMETERS:.0%}".replace("%", " %")
    largest = max(layers, key=lambda layer: layer.parameters)
    raise TooLittleMemoryError(
        f"The network has {parameters:,} parameters at {height} × {width} pixels, {largest.parameters:,} of them in "
        f"layer {largest.name}. Training it takes {gigabytes(needed)} of memory; it may take "
        f"{gigabytes(_SHARE_FOR_PARAMETERS * total)}, {allowed} of the {gigabytes(total)} there are, since "
        "pictures and what is made of them need room too.",
        hint="Use a smaller image size, fewer dense units, pooling, or global average pooling in place of flatten.",
        field="image",
    )


def check_batch(
    output_shapes: Sequence[Sequence[int | None]], parameters: int, batch_size: int, image_size: tuple[int, int]
) -> None:
    """Refuse a batch whose layer outputs would not fit into memory.

    The outputs of all layers are kept for the backward pass, as float32.

    Args:
        output_shapes: of every layer, without the batch.
        parameters: of the model.
        batch_size: images per update.
        image_size: height and width in pixels, for the sentence.

    Raises:
        TooLittleMemoryError: more is needed than is left; the field is the batch size.
    """
    available = available_memory()
    values = sum(prod(side or 1 for side in shape) for shape in output_shapes)
    needed = 4 * values * batch_size + BYTES_PER_PARAMETER * parameters
    if needed <= available:
        return
    raise out_of_memory(batch_size, *image_size, f"it takes {gigabytes(needed)} and {gigabytes(available)} are free")


def out_of_memory(batch_size: int, height: int, width: int, detail: str = "") -> TooLittleMemoryError:
    """The error for a batch that does not fit.

    Args:
        batch_size: images per update.
        height: of the images, in pixels.
        width: of the images, in pixels.
        detail: figures, for the sentence; may be empty.
    """
    why = f": {detail}" if detail else ""
    return TooLittleMemoryError(
        f"There is not enough memory for a batch of {batch_size} images at {height} × {width} pixels{why}.",
        hint="Use a smaller batch size or a smaller image size." if batch_size > 1 else "Use a smaller image size.",
        field="training.batch_size",
    )


def check_start() -> None:
    """Refuse to start TensorFlow where a limit leaves it no room: it would be killed without a word.

    Raises:
        TooLittleMemoryError: there is less than TensorFlow takes by itself.
    """
    if (available := available_memory()) < START_BYTES:
        raise TooLittleMemoryError(
            f"TensorFlow alone takes {gigabytes(START_BYTES)} of memory, and {gigabytes(available)} are free.",
            hint="Close other programs, or raise the limit of the container or session that this runs in.",
        )


def gigabytes(count: float) -> str:
    """``count`` bytes as people say it: “3.2 GB”, “310 MB”."""
    return f"{count / 1e9:,.1f} GB" if count >= 0.95e9 else f"{count / 1e6:.0f} MB"
