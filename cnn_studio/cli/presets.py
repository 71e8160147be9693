"""``cnn-studio presets``: what ``train --preset`` takes."""

from __future__ import annotations

from cnn_studio.core.advice.presets import EXPERIMENT_PRESETS, RECOMMENDED


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
