"""A split that does not leak: what belongs together stays on one side, and classes still get their shares."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.folds import fold_datasets
from cnn_studio.core.data.image_file import ImageFile, Split
from cnn_studio.core.data.split import count_splits, split_dataset, why_not_trainable
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.experiment.settings import SplitSettings


def grouped(tmp_path, counts, groups, seed=0, mixed=0.0) -> Dataset:
    """A data set whose images are randomly in ``groups`` groups of look-alikes, or alone (0), within their class.

    ``mixed`` is the share of groups that may reach over all classes.
    """
    random = np.random.default_rng(seed)
    files = []
    for label, (name, count) in enumerate(counts.items()):
        for number in range(count):
            group = int(random.integers(0, groups + 1))
            if group and random.random() >= mixed:
                group += 10_000 * (label + 1)
            files.append(ImageFile(f"{name}/{number:05}.jpg", label, 50, 50, False, 9, 1, None, 0, group))
    return Dataset(tmp_path, tuple(counts), tuple(files))


def sides(dataset, assignment, key) -> dict[object, set[Split]]:
    found: dict[object, set[Split]] = {}
    for file, split in zip(dataset.files, assignment.splits, strict=True):
        if (value := key(file)) is not None:
            found.setdefault(value, set()).add(split)
    return found


def per_class(dataset, assignment) -> dict[Split, tuple[int, ...]]:
    found = Counter((split, file.label) for file, split in zip(dataset.files, assignment.splits, strict=True))
    return {split: tuple(found[split, label] for label in range(len(dataset.class_names))) for split in Split}


@pytest.mark.parametrize("mixed", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(5))
def test_look_alikes_are_never_divided_and_shares_are_kept(tmp_path, seed, mixed):
    counts = {"a": 300, "b": 120, "c": 40}
    dataset = grouped(tmp_path, counts, groups=40, seed=seed, mixed=mixed)
    settings = SplitSettings(seed=seed)
    assignment = split_dataset(dataset, settings)
    assert all(len(found) == 1 for found in sides(dataset, assignment, lambda file: file.similar or None).values())
    assert count_splits(dataset, settings) == per_class(dataset, assignment)
    for split in (Split.VALIDATION, Split.TEST):
        for count, size in zip(counts.values(), per_class(dataset, assignment)[split], strict=True):
            assert abs(size - 0.15 * count) <= max(4, 0.06 * count), (split, count, size)


def test_without_the_wish_to_keep_them_together_they_are_divided(tmp_path):
    dataset = grouped(tmp_path, {"a": 300, "b": 300}, groups=20)
    settings = SplitSettings(keep_similar_together=False)
    assignment = split_dataset(dataset, settings)
    assert any(len(found) > 1 for found in sides(dataset, assignment, lambda file: file.similar or None).values())
    alone = replace(dataset, files=tuple(replace(file, similar=0) for file in dataset.files))
    assert assignment == split_dataset(alone, SplitSettings())


def test_where_nothing_is_alike_the_rule_changes_nothing(made_up_dataset):
    dataset = made_up_dataset({"a": 200, "b": 100})
    assert split_dataset(dataset, SplitSettings()) == split_dataset(dataset, SplitSettings(group_pattern="nowhere"))


def patients(tmp_path, per_patient=6, count=30) -> Dataset:
    files = [
        ImageFile(f"{name}/patient{patient:02}_{'LR'[shot % 2]}_{shot}.png", label, 50, 50, False, 9, 1)
        for label, name in enumerate(("ill", "well"))
        for patient in range(count)
        if patient % 2 == label or patient < 4  # the first four have pictures of both classes
        for shot in range(per_patient)
    ]
    return Dataset(tmp_path, ("ill", "well"), tuple(sorted(files, key=lambda file: (file.label, file.path))))


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        (r"patient(\d+)", lambda file: file.path.split("/")[1][:9]),
        (r"patient\d+", lambda file: file.path.split("/")[1][:9]),
        (r"patient(\d+)_([LR])", lambda file: file.path.split("/")[1][:11]),
        (r"^ill/", lambda file: "ill" if file.label == 0 else None),
    ],
)
def test_a_rule_about_names_keeps_patients_together(tmp_path, pattern, key):
    dataset = patients(tmp_path)
    settings = SplitSettings(group_pattern=pattern)
    assignment = split_dataset(dataset, settings)
    assert all(len(found) == 1 for found in sides(dataset, assignment, key).values())
    assert count_splits(dataset, settings) == per_class(dataset, assignment)
    assert assignment != split_dataset(dataset, SplitSettings())


def test_rule_and_likeness_are_joined(tmp_path):
    """Two patients who share one picture are one group."""
    dataset = patients(tmp_path)
    shared = {"ill/patient06_L_0.png", "ill/patient08_R_1.png"}
    dataset = replace(dataset, files=tuple(replace(f, similar=int(f.path in shared)) for f in dataset.files))
    for seed in range(20):
        assignment = split_dataset(dataset, SplitSettings(group_pattern=r"patient(\d+)", seed=seed))
        found = sides(dataset, assignment, lambda file: file.path[11:13] in {"06", "08"} or None)
        assert len(found[True]) == 1


def test_groups_larger_than_a_share_still_give_validation_images(tmp_path):
    files = [
        ImageFile(f"{name}/{video}_{frame:03}.png", label, 50, 50, False, 9, 1)
        for label, name in enumerate("ab")
        for video in range(4)
        for frame in range(100 if video else 40)
    ]
    dataset = Dataset(tmp_path, ("a", "b"), tuple(files))
    settings = SplitSettings(group_pattern=r"/(\d)_", validation=0.1, test=0.1)
    counts = count_splits(dataset, settings)
    assert counts == per_class(dataset, split_dataset(dataset, settings))
    assert all(counts[split][label] for split in Split for label in range(2))
    assert why_not_trainable(dataset, settings) is None


def test_a_class_that_is_one_group_stays_in_training(tmp_path):
    dataset = grouped(tmp_path, {"a": 50, "b": 50}, groups=0)
    dataset = replace(dataset, files=tuple(replace(f, similar=7 if f.label else 0) for f in dataset.files))
    assert count_splits(dataset, SplitSettings())[Split.TRAIN][1] == 50
    everything = replace(dataset, files=tuple(replace(f, similar=1 + f.label) for f in dataset.files))
    reason = why_not_trainable(everything, SplitSettings())
    assert reason is not None
    assert "group_pattern" in reason.hint


def test_added_files_leave_nearly_all_others_where_they_were(tmp_path):
    after = grouped(tmp_path, {"a": 1010}, groups=100)
    before = replace(after, files=after.files[:1000])
    first = dict(zip((f.path for f in before.files), split_dataset(before, SplitSettings()).splits, strict=True))
    second = dict(zip((f.path for f in after.files), split_dataset(after, SplitSettings()).splits, strict=True))
    assert sum(second[path] is not split for path, split in first.items()) <= 40


def test_the_split_is_the_same_for_any_order_of_the_listing(tmp_path):
    dataset = grouped(tmp_path, {"a": 200, "b": 90}, groups=30, mixed=0.5)
    backwards = replace(dataset, files=dataset.files[::-1])
    assert split_dataset(backwards, SplitSettings()).splits[::-1] == split_dataset(dataset, SplitSettings()).splits


def test_given_folders_stay_as_they_are(tmp_path):
    dataset = grouped(tmp_path, {"a": 100, "b": 100}, groups=30)
    files = tuple(
        replace(file, given_split=Split.TEST if number % 5 == 0 else Split.TRAIN)
        for number, file in enumerate(dataset.files)
    )
    dataset = replace(dataset, files=files, given_splits=frozenset({Split.TRAIN, Split.TEST}))
    assignment = split_dataset(dataset, SplitSettings())
    assert assignment.totals[Split.TEST] == 40
    assert assignment.totals[Split.VALIDATION] > 15
    of_training = [
        (file, split)
        for file, split in zip(dataset.files, assignment.splits, strict=True)
        if file.given_split is Split.TRAIN and file.similar
    ]
    found: dict[int, set[Split]] = {}
    for file, split in of_training:
        found.setdefault(file.similar, set()).add(split)
    assert all(len(of) == 1 for of in found.values())


# -- cross-validation ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folds", [2, 5])
def test_every_image_is_tested_once_and_groups_stay_whole(tmp_path, folds):
    dataset = grouped(tmp_path, {"a": 150, "b": 80, "c": 33}, groups=25, mixed=0.2)
    settings = SplitSettings(seed=3)
    parts = fold_datasets(dataset, settings, folds)
    tested = Counter(file.path for part in parts for file in part.files if file.given_split is Split.TEST)
    assert tested == Counter(file.path for file in dataset.files)
    for part in parts:
        assignment = split_dataset(part, settings)
        assert all(len(found) == 1 for found in sides(part, assignment, lambda file: file.similar or None).values())
        assert all(per_class(part, assignment)[split][label] for split in Split for label in range(3))
        assert count_splits(part, settings) == per_class(part, assignment)


def test_folds_are_as_even_as_those_of_scikit_learn(tmp_path):
    from sklearn.model_selection import StratifiedGroupKFold

    dataset = grouped(tmp_path, {"a": 300, "b": 120, "c": 60}, groups=40)
    labels = np.array([file.label for file in dataset.files])
    groups = np.array([file.similar or -index for index, file in enumerate(dataset.files, start=1)])

    def unevenness(tests):
        counts = np.array([np.bincount(labels[test], minlength=3) for test in tests])
        return np.abs(counts - np.bincount(labels) / 5).max(axis=0)

    theirs = unevenness([test for _, test in StratifiedGroupKFold(5).split(labels, labels, groups)])
    parts = fold_datasets(dataset, SplitSettings(), 5)
    ours = unevenness([[i for i, f in enumerate(part.files) if f.given_split is Split.TEST] for part in parts])
    assert (ours <= theirs + 1).all(), (ours, theirs)


def test_a_test_folder_takes_no_part_in_cross_validation(tmp_path):
    dataset = grouped(tmp_path, {"a": 60, "b": 60}, groups=0)
    kinds = [Split.TRAIN, Split.VALIDATION, Split.TEST]
    files = tuple(replace(file, given_split=kinds[number % 3]) for number, file in enumerate(dataset.files))
    dataset = replace(dataset, files=files, given_splits=frozenset(kinds))
    parts = fold_datasets(dataset, SplitSettings(), 4)
    assert {len(part.files) for part in parts} == {80}
    assert parts[0].given_splits == {Split.TRAIN, Split.TEST}


def test_too_many_folds_are_told(made_up_dataset):
    with pytest.raises(DatasetError, match="b has 4 images, or groups of images kept together") as caught:
        fold_datasets(made_up_dataset({"a": 50, "b": 4}), SplitSettings(), 5)
    assert caught.value.field == "folds"
    with pytest.raises(DatasetError, match="at least two folds"):
        fold_datasets(made_up_dataset({"a": 50, "b": 4}), SplitSettings(), 1)
