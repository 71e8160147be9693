"""Label errors planted in real data sets: how many are doubted, how many of them are errors, and are said to be.

A linear network is trained for each of five folds on what a frozen MobileNetV2 makes of the images, as `label-errors`
does with that backbone; wrong labels are drawn evenly among the other classes. The data sets have errors of their own
that nobody counted: what is expected where none was planted is what is found of those, and the network's mistakes that
pass for them.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from environment import heading
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from cnn_studio.core.data.scan import scan_folder
from cnn_studio.core.evaluation.label_errors import chance_of_error, likely_label_errors
from cnn_studio.core.evaluation.measured import softmax
from cnn_studio.core.job.jobs import JobContext
from cnn_studio.core.store.prepared import prepare_images

RATES = (0.0, 0.02, 0.05, 0.1, 0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", help="a data set: a folder per class")
    parser.add_argument("--weights", type=Path, required=True, help="Keras's notop file of MobileNetV2 at width 1.0")
    parser.add_argument("--images", type=int, default=1000, help="of each data set, at most about this many (1000)")
    parser.add_argument("--size", type=int, default=96, help="image side in pixels (96)")
    parser.add_argument("--seeds", type=int, default=5, help="plantings of each share (5)")
    options = parser.parse_args()
    print(heading("Label errors that were planted"))
    print(
        f"MobileNetV2 frozen at {options.size} pixels, five folds, means over {options.seeds} seeds. Expected: the sum "
        "of the chances. Ranking: average precision among the doubted images, by chance.\n\n"
        "| data set | images, accuracy | planted | doubted | of them planted | of them expected | expected in all | "
        "ranking |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for folder in options.folder:
        features, truth = features_of(folder, options)
        classes = int(truth.max()) + 1
        for rate in RATES:
            found = [one_planting(features, truth, classes, rate, seed) for seed in range(options.seeds)]
            planted, right, doubted, real, expected, in_all, ranking = np.mean(found, axis=0)
            print(
                f"| {folder.name} | {len(truth):,}, {right:.0%} | {planted:.0f} | {doubted:.0f} | {real:.0f} | "
                f"{expected:.0f} | {in_all:.0f} | {'' if rate == 0 else f'{ranking:.2f}'} |",
                flush=True,
            )


def features_of(folder, options):
    dataset = scan_folder(folder.resolve(), JobContext())
    step = max(1, len(dataset.files) // options.images)
    prepared = prepare_images(dataset, options.size, options.size, JobContext())
    pixels = prepared.open()[prepared.rows[::step]]
    base = keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=pixels.shape[1:])
    base.load_weights(options.weights)
    features = base.predict(keras.applications.mobilenet_v2.preprocess_input(pixels.astype("float32")), verbose=0)
    return StandardScaler().fit_transform(features), np.array([file.label for file in dataset.files[::step]])


def one_planting(features, truth, classes, rate, seed):
    draw = np.random.default_rng(seed)
    wrong = draw.random(len(truth)) < rate
    labels = np.where(wrong, (truth + draw.integers(1, classes, len(truth))) % classes, truth)
    folds = KFold(5, shuffle=True, random_state=seed)
    logits = cross_val_predict(
        LogisticRegression(C=1e-3, max_iter=200), features, labels, cv=folds, method="predict_log_proba"
    )
    doubted, chances = likely_label_errors(labels, softmax(logits)), chance_of_error(labels, logits)
    right = (logits.argmax(axis=1) == truth).mean()
    real = wrong[doubted]
    ranking = average_precision_score(real, chances[doubted]) if real.any() else 0.0
    return wrong.sum(), right, len(doubted), real.sum(), chances[doubted].sum(), chances.sum(), ranking


if __name__ == "__main__":
    main()
