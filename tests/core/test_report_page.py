import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from cnn_studio.core.data.image_file import Split
from cnn_studio.core.evaluation.html_page import RunRecord, report_page
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.percent import format_percent

HISTORY = tuple(
    {"epoch": str(n), "loss": f"{2 / n}", "val_loss": f"{2.2 / n}", "accuracy": "0.5", "val_accuracy": "nan"}
    for n in range(1, 4)
)

VOID = {"meta", "img", "br", "rect", "line", "circle", "polyline", "link", "input"}


class Outline(HTMLParser):
    """Tags that are open and never closed, texts, and everything that would be fetched."""

    def __init__(self):
        super().__init__()
        self.open, self.texts, self.fetched, self.tags = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in {"src", "href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def outline(page):
    found = Outline()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


@pytest.fixture
def random_measured(make_measured, write_image):
    def make(classes, count=60, names=None, **more):
        rng = np.random.default_rng(classes)
        labels = rng.integers(0, classes - 1, count)  # the last class has no images
        probabilities = rng.dirichlet(np.full(classes, 0.2), count)
        names = names or tuple(f"class {number}" for number in range(classes))
        measured = make_measured(probabilities, labels, names, **more)
        for number in range(0, count, 2):  # every other picture is there
            write_image(measured.path_of(number), seed=number)
        return measured

    return make


@pytest.mark.parametrize("classes", [3, 25, 200])
def test_the_page_is_whole_and_needs_nothing_else(random_measured, classes):
    measured = random_measured(classes, count=3 * classes)
    page = report_page(measured, ModelFacts(measured.class_names, 16, 16, "tiny"), RunRecord(HISTORY, 'name = "x"'))
    found = outline(page)
    assert found.fetched
    assert all(link.startswith("data:image/jpeg;base64,") for link in found.fetched)
    assert not re.search(r"url\(|@import|<link|https?://(?!www\.w3\.org/2000/svg)", page)
    assert "$" not in page
    assert found.tags.count("section") == 9
    cells = sum(bool(count) for row in measured.evaluation.confusion for count in row)
    assert page.count("<g><title>") >= cells  # one for each cell, and some for the reliability diagram
    words = " ".join(found.texts)
    assert "no images" in words
    assert format_percent(measured.evaluation.accuracy) in words


def test_the_page_says_what_chose_the_figures_and_what_guessing_scores(make_measured):
    measured = make_measured(np.eye(3)[[0, 0, 1, 2]], [0, 0, 1, 1])
    facts = ModelFacts(measured.class_names, 16, 16)
    words = " ".join(outline(report_page(measured, facts)).texts)
    assert "50 % what guessing the largest class would score" in words
    assert "chose the model" not in words
    chosen = replace(measured, evaluation=replace(measured.evaluation, split=Split.VALIDATION))
    assert "These images chose the model" in " ".join(outline(report_page(chosen, facts)).texts)


def test_names_are_shown_as_they_are_and_never_run(random_measured):
    names = ("<script>alert(1)</script>", 'a & b\'s "c"', "$title ${x}")
    measured = random_measured(3, names=names)
    page = report_page(measured, ModelFacts(names, 16, 16, data_name="</title><b>"))
    found = outline(page)
    assert found.tags.count("script") == 1
    assert "</title><b>" not in page
    words = "".join(found.texts)
    for name in names:
        assert name in words


def test_what_is_not_there_is_left_out_or_told(random_measured):
    measured = random_measured(3, temperature=1.5, threshold=0.7)
    told = []
    page = report_page(measured, ModelFacts(measured.class_names, 16, 16), None, lambda *done: told.append(done))
    words = " ".join(outline(page).texts)
    assert "How it learnt" not in words
    assert "Settings of the run" not in words
    assert "temperature of 1.500" in words
    assert "Below a probability of 70 %" in words
    assert "no longer there" in words
    assert told[-1][0] == told[-1][1] == len(told)


def test_an_unfinished_history_draws_no_curves(random_measured):
    measured = random_measured(3)
    facts = ModelFacts(measured.class_names, 16, 16)
    assert "How it learnt" not in report_page(measured, facts, RunRecord((), ""))
    assert "How it learnt" in report_page(measured, facts, RunRecord(HISTORY[:1], ""))
    fine_tuned = tuple(row | {"stage": "head" if n < 2 else "fine_tuning"} for n, row in enumerate(HISTORY))
    assert "fine-tuning begins" in report_page(measured, facts, RunRecord(fine_tuned, ""))


def test_every_answer_right(make_measured):
    measured = make_measured(np.eye(3), [0, 1, 2])
    words = " ".join(outline(report_page(measured, ModelFacts(measured.class_names, 16, 16))).texts)
    assert "No image was taken for another class." in words
    assert "Wrong, and sure of it" not in words


@pytest.mark.parametrize("broken", [4, 9])
def test_answers_that_are_no_numbers_are_told(make_measured, broken):
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 9)
    probabilities[:broken] = np.nan
    measured = make_measured(probabilities, np.arange(9) % 3)
    words = " ".join(outline(report_page(measured, ModelFacts(measured.class_names, 16, 16))).texts)
    assert f"answered {broken} images with what is no number" in words
    assert "calibration error" not in words


def test_a_folder_called_test_does_not_pass_for_the_test_images(make_measured):
    measured = make_measured(np.eye(3), [0, 1, 2])
    folder = replace(measured, evaluation=replace(measured.evaluation, split=None, folder="test"))
    divided = replace(measured, evaluation=replace(measured.evaluation, folder="flowers"))
    for each, title, figure in (
        (measured, "model: test images", "test accuracy"),
        (folder, "model: images of the folder test", "accuracy on the folder test"),
        (divided, "model: test images of the folder flowers", "test accuracy on the folder flowers"),
    ):
        texts = outline(report_page(each, ModelFacts(measured.class_names, 16, 16))).texts
        assert title in texts
        assert figure in texts
