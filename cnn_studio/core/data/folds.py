"""Cross-validation: every image is tested once, by a network that was trained without it."""

from __future__ import annotations

from dataclasses import replace

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import training_groups
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.experiment.settings import SplitSettings


def fold_datasets(dataset: Dataset, settings: SplitSettings, folds: int) -> tuple[Dataset, ...]:
    """The data set once for each fold, divided as if its folders had said so: the fold for testing, the rest to train.

    Folds are stratified, and what must stay together does. Each group goes to the fold that has the least of its
    classes so far, the largest groups first, as in scikit-learn's ``StratifiedGroupKFold``; groups of one size in the
    order of the seed. Validation images are taken from the rest by ``split_dataset``, as ``settings.validation`` says.
    Images that a folder names for testing take no part; those for validation are like those for training.

    Raises:
        DatasetError: there are fewer than two folds, or a class has fewer groups than folds.
    """
    files = tuple(replace(file, given_split=None) for file in dataset.files if file.given_split is not Split.TEST)
    whole = replace(dataset, files=files, given_splits=frozenset())
    groups = sorted(training_groups(whole, settings), key=lambda group: -len(group.files))
    _refuse_too_many(whole, [tuple(label for label, _ in group.sizes) for group in groups], folds)
    totals = [whole.given_counts[Split.TRAIN, label] for label in range(len(whole.class_names))]
    held = [[0] * len(totals) for _ in range(folds)]
    fold_of = [0] * len(files)
    for group in groups:

        def fullness(fold: int, sizes: tuple[tuple[int, int], ...] = group.sizes) -> tuple[float, int]:
            return sum(size * held[fold][label] / totals[label] for label, size in sizes), sum(held[fold])

        chosen = min(range(folds), key=fullness)
        for label, size in group.sizes:
            held[chosen][label] += size
        for index in group.files:
            fold_of[index] = chosen
    return tuple(
        replace(
            whole,
            files=tuple(
                replace(file, given_split=Split.TEST if of == fold else Split.TRAIN)
                for file, of in zip(files, fold_of, strict=True)
            ),
            given_splits=frozenset({Split.TRAIN, Split.TEST}),
        )
        for fold in range(folds)
    )


def _refuse_too_many(dataset: Dataset, labels_of_groups: list[tuple[int, ...]], folds: int) -> None:
    if folds < 2:
        raise DatasetError(f"Cross-validation needs at least two folds, not {folds}.", field="folds")
    for label, name in enumerate(dataset.class_names):
        groups = sum(label in labels for labels in labels_of_groups)
        # In each fold something must be left to train and to validate on.
        if groups < max(folds, 3):
            raise DatasetError(
                f"{name} has {groups} {'image' if groups == 1 else 'images'}, or groups of images kept together: "
                f"too few for {folds} folds.",
                hint="Choose fewer folds, or add images.",
                path=dataset.root,
                field="folds",
            )
