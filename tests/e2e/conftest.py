"""A tiny data set that a network learns in seconds."""

import numpy as np
import pytest
from PIL import Image

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}


@pytest.fixture
def blobs(tmp_path):
    """Three classes of twelve noisy 32-pixel pictures, told apart by their colour."""
    random = np.random.default_rng(0)
    root = tmp_path / "blobs"
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True)
        for number in range(12):
            noise = random.integers(-35, 35, (32, 32, 3))
            pixels = np.clip(np.asarray(colour) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{name} {number}.png")
    return root
