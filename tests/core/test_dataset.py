"""Splitting a data set, and what can be trained on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from cnn_studio.core.advice.suggestions import suggest_experiment, suggest_image_settings
from cnn_studio.core.data.dataset import without_files
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.split import count_splits, split_dataset, why_not_trainable
from cnn_studio.core.errors import ExperimentError
from cnn_studio.core.experiment.settings import Colour, SplitSettings
from cnn_studio.core.image.issues import Issue, IssueKind


def per_class(dataset, assignment) -> dict[Split, list[int]]:
    found = Counter((split, file.label) for file, split in zip(dataset.files, assignment.splits, strict=True))
    return {split: [found[split, label] for label in range(len(dataset.class_names))] for split in Split}


@pytest.mark.parametrize(("validation", "test"), [(0.15, 0.15), (0.2, 0.1), (0.3, 0.0), (0.1, 0.33), (0.0, 0.25)])
def test_shares_of_each_class_are_those_of_scikit_learn(made_up_dataset, validation, test):
    from sklearn.model_selection import train_test_split

    dataset = made_up_dataset({"a": 633, "b": 898, "c": 61, "d": 40, "e": 1000})
    ours = per_class(dataset, split_dataset(dataset, SplitSettings(validation=validation, test=test)))
    rest = [file.label for file in dataset.files]
    theirs = {}
    for split, share in ((Split.TEST, test), (Split.VALIDATION, validation / (1 - test))):
        taken = []
        if share:
            rest, taken = train_test_split(rest, test_size=share, stratify=rest, random_state=0)
        theirs[split] = [Counter(taken)[label] for label in range(5)]
    theirs[Split.TRAIN] = [Counter(rest)[label] for label in range(5)]
    for split in Split:
        assert all(abs(our - their) <= 1 for our, their in zip(ours[split], theirs[split], strict=True)), split


@pytest.mark.parametrize("given", [None, Split.TRAIN])
@pytest.mark.parametrize("settings", [SplitSettings(), SplitSettings(validation=0.4, test=0.5)])
def test_the_numbers_shown_are_the_numbers_used(made_up_dataset, settings, given):
    dataset = made_up_dataset({str(count): count for count in range(1, 40)}, given)
    assignment = split_dataset(dataset, settings)
    counted = count_splits(dataset, settings)
    assert {split: list(counts) for split, counts in counted.items()} == per_class(dataset, assignment)
    assert assignment.totals == {split: sum(counts) for split, counts in counted.items()}
    assert sum(assignment.totals.values()) == len(dataset.files)
    assert min(counted[Split.TRAIN]) >= 1


@pytest.mark.parametrize(
    ("count", "expected"), [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (4, (2, 1, 1)), (20, (14, 3, 3))]
)
def test_small_classes_keep_images_to_train_on(made_up_dataset, count, expected):
    dataset = made_up_dataset({"a": count})
    totals = split_dataset(dataset, SplitSettings()).totals
    assert (totals[Split.TRAIN], totals[Split.VALIDATION], totals[Split.TEST]) == expected


def test_the_split_depends_on_the_seed_and_on_nothing_else(made_up_dataset):
    dataset = made_up_dataset({"a": 200, "b": 100})
    first = split_dataset(dataset, SplitSettings(seed=1))
    assert split_dataset(dataset, SplitSettings(seed=1)) == first
    assert split_dataset(replace(dataset, root=dataset.root / "moved"), SplitSettings(seed=1)) == first
    other = split_dataset(dataset, SplitSettings(seed=2))
    assert other.totals == first.totals
    assert sum(a is not b for a, b in zip(first.splits, other.splits, strict=True)) > 50
    backwards = split_dataset(replace(dataset, files=dataset.files[::-1]), SplitSettings(seed=1))
    assert backwards.splits[::-1] == first.splits


def test_added_files_leave_nearly_all_others_where_they_were(made_up_dataset):
    before = made_up_dataset({"a": 1000})
    after = made_up_dataset({"a": 1010})
    first = dict(zip((file.path for file in before.files), split_dataset(before, SplitSettings()).splits, strict=True))
    second = dict(zip((file.path for file in after.files), split_dataset(after, SplitSettings()).splits, strict=True))
    moved = [path for path, split in first.items() if second[path] is not split]
    assert len(moved) <= 10
    assert set(second) - set(first)


def test_indices_point_at_the_files(made_up_dataset):
    dataset = made_up_dataset({"a": 30, "b": 30})
    assignment = split_dataset(dataset, SplitSettings())
    everything = [index for split in Split for index in assignment.indices(split)]
    assert sorted(everything) == list(range(60))
    assert all(assignment.splits[index] is Split.TEST for index in assignment.indices(Split.TEST))


def given(made_up_dataset, **counts):
    """A data set that comes divided: images of each of two classes in train, validation and test."""
    parts = [made_up_dataset({"a": n, "b": n}, Split(name), prefix=f"{name}/") for name, n in counts.items()]
    return replace(
        parts[0],
        files=tuple(file for part in parts for file in part.files),
        given_splits=frozenset(Split(name) for name in counts),
    )


def test_given_splits_are_used_as_they_are(made_up_dataset):
    dataset = given(made_up_dataset, train=40, validation=7, test=9)
    assignment = split_dataset(dataset, SplitSettings(validation=0.3, test=0.3))
    assert assignment.totals == {Split.TRAIN: 80, Split.VALIDATION: 14, Split.TEST: 18}
    assert all(file.given_split is split for file, split in zip(dataset.files, assignment.splits, strict=True))


def test_a_missing_validation_folder_is_made_from_training_alone(made_up_dataset):
    dataset = given(made_up_dataset, train=40, test=9)
    settings = SplitSettings(validation=0.25, test=0.3)
    assignment = split_dataset(dataset, settings)
    assert assignment.totals == {Split.TRAIN: 60, Split.VALIDATION: 20, Split.TEST: 18}
    assert {split: sum(counts) for split, counts in count_splits(dataset, settings).items()} == assignment.totals
    # With validation given and no test folder, training is left alone.
    dataset = given(made_up_dataset, train=40, validation=9)
    assert split_dataset(dataset, settings).totals == {Split.TRAIN: 80, Split.VALIDATION: 18, Split.TEST: 0}


def test_only_a_training_folder_is_divided_in_three(made_up_dataset):
    dataset = given(made_up_dataset, train=40)
    totals = split_dataset(dataset, SplitSettings(validation=0.25, test=0.1)).totals
    assert totals == {Split.TRAIN: 52, Split.VALIDATION: 20, Split.TEST: 8}


def test_what_cannot_be_trained_on_is_explained(made_up_dataset):
    settings = SplitSettings()
    assert why_not_trainable(made_up_dataset({"a": 2, "b": 2}), settings) is None
    assert "one class only (a)" in str(why_not_trainable(made_up_dataset({"a": 9}), settings))
    assert "no usable image" in str(why_not_trainable(made_up_dataset({}), settings))
    assert "no training image of b" in str(why_not_trainable(made_up_dataset({"a": 9, "b": 0, "c": 9}), settings))
    reason = why_not_trainable(made_up_dataset({"a": 1, "b": 1}), settings)
    assert reason is not None
    assert "validation" in str(reason)
    assert reason.field == "split.validation"


def test_files_that_went_bad_are_taken_out(made_up_dataset):
    dataset = made_up_dataset({"a": 3, "b": 2})
    issue = Issue("a/00001.jpg", IssueKind.MISSING, "The file is no longer there.")
    fewer = without_files(dataset, [issue])
    assert fewer.counts() == {"a": 2, "b": 2}
    assert fewer.issues == (issue,)


def test_suggested_settings_fit_the_pictures(made_up_dataset):
    dataset = made_up_dataset({"a": 3, "b": 3})  # 100 × 120 pixels, colour
    assert suggest_image_settings(dataset, "small_cnn").height == 100
    assert suggest_image_settings(dataset, "lenet5").width == 28
    assert suggest_image_settings(dataset, "small_cnn").colour is Colour.RGB
    small_and_grey = replace(dataset, files=tuple(replace(f, height=4, width=28, grey=True) for f in dataset.files))
    suggested = suggest_image_settings(small_and_grey, "small_cnn")
    assert (suggested.height, suggested.width, suggested.colour) == (8, 8, Colour.GREY)
    assert suggest_experiment(dataset, "mlp").architecture.name == "mlp"
    with pytest.raises(ExperimentError, match="no architecture called"):
        suggest_experiment(dataset, "resnet9000")


def test_suggested_settings_fit_the_backbone_too(made_up_dataset):
    dataset = made_up_dataset({"a": 3, "b": 3})  # 100 × 120 pixels, colour
    assert suggest_image_settings(dataset, "resnet50").height == 100
    large = replace(dataset, files=tuple(replace(file, height=900, width=800) for file in dataset.files))
    assert suggest_image_settings(large, "resnet50").height == 224
    assert suggest_image_settings(large, "xception").height == 299
    small = replace(dataset, files=tuple(replace(file, height=28, width=28, grey=True) for file in dataset.files))
    suggested = suggest_image_settings(small, "inception_v3")
    assert (suggested.height, suggested.colour) == (75, Colour.GREY)
    experiment = suggest_experiment(small, "vgg16")
    assert (experiment.architecture.name, experiment.image.height) == ("vgg16", 32)
