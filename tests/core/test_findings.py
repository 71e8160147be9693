"""What is odd about a data set is found, told in words, and points at the right images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cnn_studio.core.data.dataset import Dataset
from cnn_studio.core.data.findings import FINDING_TEXT, Finding, FindingKind, examine, similar_groups, small_images
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.experiment.settings import ImageSettings


@pytest.fixture
def changed(made_up_dataset) -> Callable[..., Dataset]:
    """A data set of classes a, b and c with 40, 40 and 30 images, some of which are given other facts."""

    def make(changes: dict[int, dict[str, Any]], counts: dict[str, int] | None = None) -> Dataset:
        dataset = made_up_dataset(counts or {"a": 40, "b": 40, "c": 30})
        return replace(dataset, files=tuple(replace(f, **changes.get(i, {})) for i, f in enumerate(dataset.files)))

    return make


def only(dataset: Dataset, image: ImageSettings | None = None) -> Finding:
    (finding,) = examine(dataset, image)
    return finding


def test_a_good_data_set_has_no_findings(changed):
    assert examine(changed({}), ImageSettings()) == ()


def test_every_kind_has_a_name():
    assert set(FINDING_TEXT) == set(FindingKind)


def test_identical_files(changed):
    finding = only(changed({3: {"identical": 1, "alike": (1,)}, 9: {"identical": 1, "alike": (1,)}}))
    assert finding.kind is FindingKind.EXACT_DUPLICATE
    assert finding.groups == ((3, 9),)
    assert finding.title == "1 picture is in the folder more than once, as 2 identical files."
    assert not finding.serious


def test_versions_of_a_picture(changed):
    dataset = changed(
        {
            **{index: {"alike": (1,), "identical": 1 if index < 2 else 0} for index in (0, 1, 2)},
            **{index: {"alike": (5,)} for index in (50, 51)},
        }
    )
    finding = only(dataset)
    assert finding.kind is FindingKind.NEAR_DUPLICATE
    assert finding.groups == ((0, 1, 2), (50, 51))
    assert finding.files == (0, 1, 2, 50, 51)
    assert finding.title.startswith("2 groups of pictures look alike (near-duplicates), 5 files")


def test_a_picture_in_two_classes_comes_first(changed):
    dataset = changed({2: {"alike": (1,), "same": (1,)}, 60: {"alike": (1,), "same": (1,)}, 5: {"blank": True}})
    serious, blank = examine(dataset)
    assert (serious.kind, serious.groups, serious.serious) == (FindingKind.SAME_PICTURE_TWO_CLASSES, ((2, 60),), True)
    assert (blank.kind, blank.groups, blank.serious) == (FindingKind.MOSTLY_BLANK, ((5,),), False)


def test_pictures_that_only_look_alike_in_two_classes_are_information(changed):
    finding = only(changed({2: {"alike": (1,)}, 60: {"alike": (1,)}}))
    assert (finding.kind, finding.groups, finding.serious) == (FindingKind.ALIKE_IN_TWO_CLASSES, ((2, 60),), False)
    assert finding.title == "1 group of pictures looks alike, in different classes."
    assert "wrong copy" not in finding.advice


def test_of_a_group_in_two_classes_only_what_was_verified_is_called_the_same(changed):
    alike = {"alike": (1,)}
    dataset = changed({2: alike | {"same": (1,)}, 3: alike, 60: alike | {"same": (1,)}})
    same, others = examine(dataset)
    assert (same.kind, same.groups) == (FindingKind.SAME_PICTURE_TWO_CLASSES, ((2, 60),))
    assert (others.kind, others.groups) == (FindingKind.ALIKE_IN_TWO_CLASSES, ((2, 3, 60),))


def test_the_same_picture_within_a_class_is_no_mistake(changed):
    dataset = changed({index: {"alike": (1,), "same": (1,)} for index in (2, 3)})
    assert only(dataset).kind is FindingKind.NEAR_DUPLICATE


def test_what_must_stay_together_is_not_shown_unless_it_is_alike(changed):
    chain = changed(
        {2: {"similar": 1, "alike": (1,)}, 3: {"similar": 1, "alike": (1, 2)}, 60: {"similar": 1, "alike": (2,)}}
    )
    kinds = {finding.kind: finding.groups for finding in examine(chain)}
    assert kinds == {FindingKind.NEAR_DUPLICATE: ((2, 3),), FindingKind.ALIKE_IN_TWO_CLASSES: ((3, 60),)}


def test_a_picture_in_training_and_test_folders(changed):
    dataset = changed(
        {
            i: {"given_split": Split.TRAIN if i % 2 else Split.TEST, "alike": (i // 2,), "same": (i // 2,)}
            for i in range(2, 6)
        }
    )
    kinds = {finding.kind: finding for finding in examine(dataset)}
    assert kinds[FindingKind.DUPLICATE_ACROSS_SPLITS].groups == ((2, 3), (4, 5))
    assert kinds[FindingKind.DUPLICATE_ACROSS_SPLITS].serious


def test_what_only_looks_alike_in_training_and_test_folders_is_information(changed):
    dataset = changed({2: {"given_split": Split.TEST, "alike": (1,)}, 3: {"given_split": Split.TRAIN, "alike": (1,)}})
    kinds = {finding.kind: finding for finding in examine(dataset)}
    assert FindingKind.DUPLICATE_ACROSS_SPLITS not in kinds
    assert kinds[FindingKind.ALIKE_ACROSS_SPLITS].groups == ((2, 3),)
    assert not kinds[FindingKind.ALIKE_ACROSS_SPLITS].serious


@pytest.mark.parametrize(
    ("identical", "kind"),
    [(0, FindingKind.ALIKE_IN_TWO_CLASSES), (1, FindingKind.SAME_PICTURE_TWO_CLASSES)],
)
def test_blank_pictures_are_the_same_only_as_files(changed, identical, kind):
    """Every black picture has the fingerprint of every other; that does not make one of the classes wrong."""
    blank = {"alike": (1,), "same": (1,), "blank": True, "identical": identical}
    kinds = {finding.kind for finding in examine(changed({2: blank, 60: blank}))}
    assert kinds == {kind, FindingKind.MOSTLY_BLANK}


def test_groups_that_lost_all_but_one_are_no_groups(changed):
    dataset = changed({2: {"alike": (1,)}})
    assert similar_groups(dataset) == []
    assert examine(dataset) == ()


def test_small_classes_and_uneven_ones(changed):
    few, uneven = examine(changed({}, {"a": 200, "b": 19, "c": 45}))
    assert (few.kind, few.groups) == (FindingKind.FEW_IMAGES, (tuple(range(200, 219)),))
    assert "b (19)" in few.title
    assert few.serious
    assert uneven.kind is FindingKind.IMBALANCE
    assert "a has 11 times as many images as b (200 and 19)" in uneven.title
    assert uneven.groups == few.groups


def test_many_small_classes_are_not_all_named(changed):
    few = next(f for f in examine(changed({}, {str(n): 3 for n in range(30)})) if f.kind is FindingKind.FEW_IMAGES)
    assert "and 22 more" in few.title
    assert len(few.groups) == 30


def test_small_pictures_depend_on_the_image_size(changed):
    dataset = changed({4: {"height": 31}, 7: {"height": 30, "width": 400}})
    assert small_images(dataset, ImageSettings(height=48, width=48)) == ()
    (finding,) = small_images(dataset, ImageSettings(height=64, width=64))
    assert finding.groups == ((4, 7),)
    assert "64 × 64 pixels" in finding.title
    assert not finding.serious
    assert small_images(dataset, ImageSettings(height=512, width=512))[0].serious
    assert [f.kind for f in examine(dataset, ImageSettings(height=64, width=64))] == [
        FindingKind.SMALL_IMAGES,
        FindingKind.EXTREME_ASPECT,
    ]


def test_long_and_tall_pictures(changed):
    finding = only(changed({1: {"height": 100, "width": 301}, 2: {"height": 900, "width": 100}, 3: {"width": 300}}))
    assert (finding.kind, finding.groups) == (FindingKind.EXTREME_ASPECT, ((1, 2),))


def test_pictures_whose_size_is_not_known_yet_are_not_called_odd(changed):
    dataset = changed({i: {"height": 0, "width": 0} for i in range(110)})
    assert examine(dataset) == ()


def test_grey_among_colour(changed):
    finding = only(changed({i: {"grey": True} for i in (0, 50, 51)}))
    assert (finding.kind, finding.groups, finding.serious) == (FindingKind.MIXED_COLOUR, ((0, 50, 51),), False)
    assert finding.title == "3 pictures are without colour; the other 107 are coloured."
    mostly_grey = only(changed({i: {"grey": True} for i in range(1, 110)}))
    assert mostly_grey.groups == ((0,),)
    assert mostly_grey.title == "1 picture is coloured; the other 109 are grey."


def test_grey_in_one_class_only_is_serious(changed):
    finding = only(changed({i: {"grey": True} for i in range(40)}))
    assert finding.serious
    assert "in some classes far more than in others" in finding.advice


def test_sentences_end_as_sentences_do(changed):
    dataset = changed(
        {
            0: {"alike": (1,), "same": (1,)},
            101: {"alike": (1,), "same": (1,)},
            8: {"alike": (4,)},
            102: {"alike": (4,)},
            1: {"alike": (2,), "identical": 1},
            2: {"alike": (2,), "identical": 1},
            3: {"alike": (3,)},
            4: {"alike": (3,)},
            5: {"blank": True},
            6: {"height": 5},
            7: {"grey": True},
        },
        {"a": 100, "b": 15},
    )
    findings = examine(dataset, ImageSettings())
    assert len({finding.kind for finding in findings}) == 10
    for finding in findings:
        assert finding.title.endswith(".")
        assert finding.advice.endswith(".")
        assert finding.files
