"""Layouts as people bring them: what is taken for a split, a class, a wrapping, and what is said of the rest."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from cnn_studio.core.data.findings import FindingKind, examine
from cnn_studio.core.data.image_file import Split
from cnn_studio.core.data.scan import scan_folder
from cnn_studio.core.data.split_names import is_neutral, split_of
from cnn_studio.core.errors import DatasetError
from cnn_studio.core.image.issues import IssueKind
from cnn_studio.core.job.events import Message
from cnn_studio.core.job.jobs import JobContext

TRAIN, VALIDATION, TEST = Split.TRAIN, Split.VALIDATION, Split.TEST


@pytest.fixture
def tree(tmp_path, write_image):
    """tree("train/a", "test/a*2", "notes.txt", "empty/") -> a folder with one picture (or so many) in each of those."""
    made = iter(range(10_000))

    def make(*places: str) -> Path:
        root = tmp_path / "set"
        root.mkdir(exist_ok=True)
        for place in places:
            path, _, count = place.partition("*")
            if path.endswith("/"):
                (root / path).mkdir(parents=True)
            elif "." in Path(path).name:
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text("words", encoding="utf-8")
            else:
                for _ in range(int(count or 1)):
                    seed = next(made)
                    write_image(root / path / f"p{seed}.png", seed=seed)
        return root

    return make


def scanned(root: Path):
    return scan_folder(root, JobContext())


def kinds(dataset) -> dict[str, IssueKind]:
    return {issue.path: issue.kind for issue in dataset.issues}


def shares(dataset) -> dict[Split | None, int]:
    found: dict[Split | None, int] = {}
    for file in dataset.files:
        found[file.given_split] = found.get(file.given_split, 0) + 1
    return found


def serious(dataset) -> set[FindingKind]:
    usual = {FindingKind.FEW_IMAGES}
    return {finding.kind for finding in examine(dataset) if finding.serious} - usual


# -- splits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split", "rest"),
    [
        *((name, TRAIN, "") for name in ("train", "Train", "TRAINING", "training_set", "train_data", "TrainingSet")),
        *((name, TRAIN, "") for name in ("traindata", "images_train", "train2017", "entrenamiento", "entraînement")),
        *((name, VALIDATION, "") for name in ("val", "valid", "VALIDATION", "dev", "validación", "valset", "dev-set")),
        *((name, TEST, "") for name in ("test", "Testing", "test_set", "test1", "prueba", "Test images", "evaluation")),
        ("seg_train", TRAIN, "seg"),
        ("asl_alphabet_test", TEST, "asl alphabet"),
        (unicodedata.normalize("NFD", "Validación"), VALIDATION, ""),
    ],
)
def test_names_that_speak_of_a_split(name, split, rest):
    assert split_of(name) == (split, rest)


@pytest.mark.parametrize(
    "name", ["trains", "testimony", "contest", "validity", "latest", "train&test", "cats", "", "7"]
)
def test_names_that_speak_of_none(name):
    assert split_of(name) is None


def test_names_that_say_nothing():
    assert [name for name in ("images", "JPEGImages", "data 1", "dogs", "train", "7") if is_neutral(name)] == [
        "images",
        "JPEGImages",
        "data 1",
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("training_set", "test_set"),
        ("Training", "Testing"),
        ("train", "test"),
        ("Train", "VALIDATION"),
        ("train_data", "dev"),
        ("seg_train", "seg_test"),
        ("flowers_train", "flowers_val"),
        ("entrenamiento", "prueba"),
        ("entrenamiento", unicodedata.normalize("NFD", "validación")),
        ("train1", "Test Images"),
    ],
)
def test_the_usual_pairs_of_names_are_splits(tree, names):
    first, second = names
    dataset = scanned(tree(f"{first}/apple*3", f"{first}/banana*2", f"{second}/apple", f"{second}/banana"))
    assert dataset.counts() == {"apple": 4, "banana": 3}
    assert shares(dataset) == {TRAIN: 5, split_of(second)[0]: 2}
    assert dataset.issues == ()
    assert serious(dataset) == set()


def test_folders_beside_the_splits_are_said(tree):
    root = tree("train/a*2", "train/b*2", "test/a", "test/b", "extra/deep/c*3", "models/notes.txt", "void/")
    dataset = scanned(root)
    assert dataset.counts() == {"a": 3, "b": 3}
    assert kinds(dataset) == {
        "extra": IssueKind.BESIDE_SPLITS,
        "models": IssueKind.WITHOUT_IMAGES,
        "void": IssueKind.WITHOUT_IMAGES,
    }
    (detail,) = [issue.detail for issue in dataset.issues if issue.path == "extra"]
    assert "3 images" in detail
    (finding,) = [one for one in examine(dataset) if one.kind is FindingKind.BESIDE_SPLITS]
    assert finding.serious
    assert finding.title.startswith("extra lies beside the folders for training")
    assert finding.groups == ()


def test_folders_without_pictures_beside_the_splits_are_no_matter_of_concern(tree):
    dataset = scanned(tree("train/a*2", "train/b*2", "test/a", "models/notes.txt"))
    assert kinds(dataset) == {"models": IssueKind.WITHOUT_IMAGES}
    assert serious(dataset) == set()


@pytest.mark.parametrize("wrapped", ["{0}/{0}", "{0}/images", "{0}/dogs-vs-cats"])
def test_splits_that_are_wrapped_once_more(tree, wrapped):
    train, test = wrapped.format("seg_train"), wrapped.format("seg_test")
    dataset = scanned(tree(f"{train}/cat*2", f"{train}/dog*3", f"{test}/cat", f"{test}/dog"))
    assert dataset.counts() == {"cat": 3, "dog": 4}
    assert shares(dataset) == {TRAIN: 5, TEST: 2}
    assert {file.path.rpartition("/")[0] for file in dataset.files} == {
        f"{split}/{name}" for split in (train, test) for name in ("cat", "dog")
    }


def test_a_split_with_one_class_is_not_taken_for_a_wrapping(tree):
    dataset = scanned(tree("train/cat/young*2", "train/cat/old", "train/dog*2", "test/cat/young"))
    assert dataset.counts() == {"cat": 4, "dog": 2}
    assert shares(dataset) == {TRAIN: 5, TEST: 1}


def test_test_images_without_classes_are_left_out_and_said(tree):
    dataset = scanned(tree("train/train/cat*2", "train/train/dog*2", "test1/test1*3", "sampleSubmission.csv"))
    assert dataset.counts() == {"cat": 2, "dog": 2}
    assert set(kinds(dataset).values()) == {IssueKind.OUTSIDE_CLASSES}
    assert len(dataset.issues) == 3


@pytest.mark.parametrize(
    ("places", "classes", "odd"),
    [
        (("train good*2", "test good*2"), ("test good", "train good"), {FindingKind.UNCLEAR_SPLITS}),
        (("car", "plane", "train/steam", "train/diesel"), ("car", "plane", "train"), {FindingKind.UNCLEAR_SPLITS}),
        (("cat/train", "cat/test", "dog/train", "dog/test"), ("cat", "dog"), {FindingKind.UNCLEAR_SPLITS}),
        (("car", "train"), ("car", "train"), set()),
        (("passenger train", "freight train"), ("freight train", "passenger train"), set()),
    ],
)
def test_where_it_stays_unclear_it_is_asked(tree, places, classes, odd):
    dataset = scanned(tree(*places))
    assert dataset.class_names == classes
    assert serious(dataset) == odd


def test_training_alone_beside_one_other_folder_is_a_split_and_that_is_said(tree):
    dataset = scanned(tree("train/a", "train/b", "sample"))
    assert (dataset.class_names, dataset.given_splits) == (("a", "b"), {TRAIN})
    assert serious(dataset) == {FindingKind.BESIDE_SPLITS}


def test_splits_without_one_for_training_are_refused_in_words(tree):
    with pytest.raises(DatasetError, match=r"folders for validation and test \(test and val\) and none for training"):
        scanned(tree("val/a", "val/b", "test/a", "test/b"))


# -- wrappings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inner", ["archive/Fruits", "archive/dataset/Fruits", "a/b/c/d", "images", "data/train", "dogs-vs-cats/train/train"]
)
def test_however_often_a_data_set_is_wrapped(tree, inner):
    said = []
    root = tree(f"{inner}/apple*2", f"{inner}/banana*2", "LICENSE.txt")
    dataset = scan_folder(root, JobContext(said.append))
    assert dataset.counts() == {"apple": 2, "banana": 2}
    if dataset.root != root:
        (told,) = [event.text for event in said if isinstance(event, Message)]
        assert dataset.root.relative_to(root).as_posix() in told


def test_folders_without_pictures_do_not_hide_a_wrapping(tree):
    dataset = scanned(tree("images/train/a", "images/train/b", "images/val/a", "annotations/a.txt"))
    assert (dataset.root.name, dataset.class_names, shares(dataset)) == (
        "images",
        ("a", "b"),
        {TRAIN: 2, VALIDATION: 1},
    )


def test_a_class_beside_one_that_is_still_empty_is_no_wrapping(tree):
    assert scanned(tree("dogs/young", "dogs/old", "cats/")).class_names == ("dogs",)


def test_a_chain_of_folders_that_never_divides_is_one_class(tree):
    assert scanned(tree("a/b/c/d/e/f/g/h/i/j/k/l*2")).class_names == ("a",)


# -- runs of this program, hidden folders --------------------------------------------------------------------------


def test_runs_of_this_program_are_no_data(tree, write_image):
    root = tree("cat*2", "dog*2")
    for run in (root / "my run", root / "cat" / "second run"):
        write_image(run / "heat.png")
        for name in ("run.json", "experiment.toml"):
            (run / name).write_text("{}", encoding="utf-8")
    dataset = scanned(root)
    assert dataset.counts() == {"cat": 2, "dog": 2}
    assert kinds(dataset) == {"cat/second run": IssueKind.RUN_FOLDER, "my run": IssueKind.RUN_FOLDER}


def test_what_is_hidden_is_passed_over_wherever_it_lies_and_counted(tree, write_image):
    root = tree("cat*2", "dog*2")
    for place in ("@eaDir/cat", ".Trash-1000", "$RECYCLE.BIN", "__MACOSX", "cat/.ipynb_checkpoints", "cat/@eaDir"):
        write_image(root / place / "x.png")
    for name in ("._p0.png", "._p1.png", ".hidden.png"):
        write_image(root / "dog" / name)
    dataset = scanned(root)
    assert dataset.counts() == {"cat": 2, "dog": 2}
    assert dataset.issues == ()
    assert dict(dataset.passed_over) == {
        "$RECYCLE.BIN": 1,
        "._*": 2,
        ".Trash-1000": 1,
        ".hidden.png": 1,
        ".ipynb_checkpoints": 1,
        "@eaDir": 2,
        "__MACOSX": 1,
    }


# -- one class whatever its name's form ----------------------------------------------------------------------------


def test_a_class_is_one_whatever_the_form_of_its_letters(tree):
    composed, apart = unicodedata.normalize("NFC", "Café"), unicodedata.normalize("NFD", "Café")
    dataset = scanned(tree(f"train/{composed}*2", "train/Plain*2", f"test/{apart}", "test/Plain"))
    assert dataset.counts() == {composed: 3, "Plain": 3}
    assert dataset.issues == ()


def test_both_forms_side_by_side_are_one_class(tree):
    composed, apart = unicodedata.normalize("NFC", "Café"), unicodedata.normalize("NFD", "Café")
    root = tree(f"{composed}*2", f"{apart}*2", "Plain")
    if len(list(root.iterdir())) < 3:
        pytest.skip("this disk knows one form only")
    assert scanned(root).counts() == {composed: 4, "Plain": 1}


def test_capitals_alone_make_no_other_class_across_splits(tree):
    dataset = scanned(tree("train/Cat*2", "train/Dog*2", "test/cat", "test/DOG", "val/Cat"))
    assert dataset.counts() == {"Cat": 4, "Dog": 3}
    assert dataset.issues == ()


def test_capitals_alone_make_two_classes_side_by_side_and_that_is_asked(tree):
    root = tree("Cat*2", "cat*3", "dog")
    if len(list(root.iterdir())) < 3:
        pytest.skip("this disk does not tell capitals")
    dataset = scanned(root)
    assert dataset.counts() == {"Cat": 2, "cat": 3, "dog": 1}
    (finding,) = [one for one in examine(dataset) if one.kind is FindingKind.CAPITALS_DIFFER]
    assert finding.serious
    assert "Cat / cat" in finding.title
    assert len(finding.files) == 5


# -- classes that no folder says -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("places", "words"),
    [
        (("train", "train/_classes.csv", "test"), r"no class folders in train .* written in train/_classes.csv"),
        (("images*2", "labels.csv"), r"No folder of set says .* written in labels.csv"),
        (("train", "train.csv"), r"no class folders in train .* written in train.csv"),
        (("images/train", "images/val", "labels/train/1.txt", "data.yaml"), r"YOLO: data.yaml"),
        (("train/images", "train/labels/1.txt", "valid/images", "valid/labels/2.txt"), r"train .* YOLO|objects"),
        (("train2017", "val2017", "annotations/instances_val2017.json"), r"COCO: annotations/instances_val2017"),
        (("train", "train/_annotations.coco.json", "valid"), r"COCO: train/_annotations.coco.json"),
        (("JPEGImages", "Annotations/1.xml"), r"Pascal VOC: Annotations/1.xml"),
        ((".", "labels.csv"), r"lie directly in set.* written in labels.csv"),
    ],
)
def test_layouts_that_say_classes_in_files_are_told_what_is_wanted(tree, places, words):
    with pytest.raises(DatasetError, match=words) as caught:
        scanned(tree(*places))
    assert "class folders" in str(caught.value)
    assert "sub-folder of its own" in caught.value.hint


def test_a_table_beside_class_folders_is_nobodys_concern(tree):
    dataset = scanned(tree("cat*2", "dog*2", "labels.csv", "data.yaml"))
    assert dataset.counts() == {"cat": 2, "dog": 2}
    assert dataset.issues == ()
