"""``cnn-studio augmentations``: what ``train --augment`` takes."""

from __future__ import annotations

from typing import Any

from cnn_studio.core.augmentation import AUGMENTATION_KINDS, Fill, Unit, augmentation_text
from cnn_studio.core.augmentation_advice import AUGMENTATION_PRESETS, RECOMMENDED

_UNIT_TEXT = {
    Unit.SWITCH: "",
    Unit.DEGREES: "degrees",
    Unit.PERCENT: "a fraction, or with %",
    Unit.PIXELS: "pixels",
    Unit.ALPHA: "alpha of the Beta distribution",
}


def augmentation_values() -> dict[str, Any]:
    """Kinds and presets as JSON-ready objects."""
    return {
        "kinds": [
            {
                "name": kind.name,
                "title": kind.title,
                "explanation": kind.explanation,
                "unit": kind.unit.value,
                "usual": kind.usual,
                "most": kind.most,
            }
            for kind in AUGMENTATION_KINDS.values()
        ],
        "presets": [
            {"name": preset.name, "title": preset.title, "augment": augmentation_text(preset.augmentation)}
            for preset in AUGMENTATION_PRESETS.values()
        ],
    }


def augmentations_text() -> str:
    """Kinds and presets for a person to read."""
    lines = ["Presets:", f"  {RECOMMENDED}\n      Chosen from the data, with the reason."]
    for preset in AUGMENTATION_PRESETS.values():
        lines.append(f"  {preset.name}\n      {preset.summary}")
        if text := augmentation_text(preset.augmentation):
            lines.append(f"      = {text}")
    lines.append("Kinds, with the usual strength; after a preset they change it:")
    for kind in AUGMENTATION_KINDS.values():
        usual = "" if kind.unit is Unit.SWITCH else f"={kind.usual:g}"
        unit = f" ({_UNIT_TEXT[kind.unit]}, at most {kind.most:g})" if usual else ""
        lines.append(f"  {kind.name + usual:<21} {kind.title}: {kind.explanation}{unit}")
    lines.append("Besides:")
    lines.append(f"  {'fill=reflect':<21} What shows where an image was moved away: {', '.join(Fill)}.")
    lines.append(
        f"  {'views=4':<21} With a pre-trained network: that many views of each image are computed once; 0 is live."
    )
    return "\n".join(lines)
