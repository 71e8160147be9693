"""A contact sheet: one photograph, every kind of augmentation at a low, a middle and a high strength.

Rows are kinds; the first column is the photograph as it is, then three draws each at half the usual strength, the usual
one, and the largest that is not warned of. To be looked at.
"""

import argparse
import os
from pathlib import Path

from cnn_studio.core.job.jobs import JobContext

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from PIL import Image, ImageDraw

ROOT = Path(__file__).resolve().parents[2]
DRAWS, GAP, CAPTION = 3, 4, 150


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flowers = ROOT.parent / "shared" / "data" / "flowers"
    parser.add_argument("--picture", type=Path, help="a photograph (a sunflower of ../shared)")
    parser.add_argument("--partner", type=Path, help="another, for the kinds that mix two")
    parser.add_argument("--out", type=Path, default=Path("augmentation.png"), help="the sheet (augmentation.png)")
    parser.add_argument("--side", type=int, default=96, help="of each picture, in pixels (96)")
    options = parser.parse_args()
    picture = options.picture or sorted((flowers / "sunflowers").glob("*.jpg"))[3]
    partner = options.partner or sorted((flowers / "tulips").glob("*.jpg"))[3]
    sheet(picture, partner, options.side).save(options.out)
    print(options.out)


def sheet(picture, partner, side):
    from cnn_studio.core.experiment.augmentation import AUGMENTATION_KINDS, AugmentationSettings, Unit, strength_text
    from cnn_studio.core.experiment.experiment import Experiment
    from cnn_studio.core.experiment.settings import ImageSettings
    from cnn_studio.tasks import PreviewRequest, preview_augmentation

    step = side + GAP
    size = (CAPTION + (1 + 3 * DRAWS) * step, len(AUGMENTATION_KINDS) * (step + 14))
    whole = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(whole)
    for row, kind in enumerate(AUGMENTATION_KINDS.values()):
        top = row * (step + 14)
        pen.text((4, top + side // 2), kind.title, fill="black")
        switch = kind.unit is Unit.SWITCH
        strengths = [1.0] * 3 if switch else [kind.usual / 2, kind.usual, kind.too_strong]
        for column, strength in enumerate(strengths):
            settings = AugmentationSettings(**{kind.name: True if switch else strength})
            experiment = Experiment(image=ImageSettings(height=side, width=side), augmentation=settings)
            request = PreviewRequest(picture, (partner,), experiment, seed=column, count=DRAWS)
            preview = preview_augmentation(request, JobContext())
            if not column:
                whole.paste(Image.fromarray(preview.original), (CAPTION, top))
            left = CAPTION + (1 + column * DRAWS) * step
            for draw, result in enumerate(preview.changed):
                whole.paste(Image.fromarray(result), (left + draw * step, top))
            pen.text(
                (left, top + side),
                "on" if switch else strength_text(kind, strength).replace("α", "alpha"),
                fill="black",
            )
    return whole


if __name__ == "__main__":
    main()
