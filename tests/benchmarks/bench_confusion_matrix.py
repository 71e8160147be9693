"""How long the window takes to draw a large confusion matrix and to answer a click on one of its cells.

Each time runs from the event to the end of the painting it causes, on the GUI thread; the pictures of a cell come
later, off that thread, and are counted in a row of their own.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_many_images import write_images
from environment import heading, percentile


def made_up(folder, classes, images):
    """A model's answers on so many images: mostly right, and each class taken for its neighbour now and then."""
    from cnn_studio.core.data.image_file import Split
    from cnn_studio.core.evaluation.measured import Measured
    from cnn_studio.core.evaluation.scores import score_probabilities

    random = np.random.default_rng(0)
    labels = random.integers(0, classes, images).astype(np.int32)
    logits = random.normal(0, 1, (images, classes)).astype(np.float32)
    logits[np.arange(images), labels] += 6
    logits[np.arange(images), (labels + 1) % classes] += 3.5
    raised = np.exp(logits)
    probabilities = raised / raised.sum(axis=1, keepdims=True)
    names = tuple(f"species {number}" for number in range(classes))
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.jpg"))
    paths = tuple(files[number % len(files)] for number in range(images))
    evaluation = score_probabilities(probabilities, labels, names, Split.TEST)
    return Measured(evaluation, names, folder / "model.keras", folder, paths, labels, probabilities)


def drive(measured, repeats):
    """Show the page with these answers; give the seconds of each step by its name."""
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    from cnn_studio import tasks
    from cnn_studio.core.data.image_file import Split
    from cnn_studio.core.evaluation.model_facts import ModelFacts
    from cnn_studio.core.runs import run as runs
    from cnn_studio.gui.app import make_application
    from cnn_studio.gui.look import theme
    from cnn_studio.gui.main_window import MainWindow
    from cnn_studio.gui.state.session import Session

    app = make_application(["bench"])
    # What lies on disk is another benchmark's: the answers are there at once.
    runs.measurable_splits = lambda model: {Split.TEST: len(measured.labels)}
    tasks.saved_evaluation = lambda model, split: measured
    session = Session()
    window = MainWindow(session)
    window.show()
    window.show_page("evaluate")
    page = window.page("evaluate")
    page.tabs.setCurrentIndex(1)
    app.processEvents()
    seconds = {}

    def timed(name, act):
        began = time.perf_counter()
        act()
        app.processEvents()
        seconds.setdefault(name, []).append(time.perf_counter() - began)

    def show():
        session.models.take(measured.model, ModelFacts(measured.class_names, 64, 64, "small_cnn", data_name="species"))

    def forget():
        session.models.forget_in(measured.model.parent)
        app.processEvents()

    matrix, gallery = page.matrix.matrix, page.matrix.gallery
    random = np.random.default_rng(1)
    for turn in range(repeats):
        timed("measurement taken, matrix drawn", show)
        true = int(random.integers(len(measured.class_names)))
        for name, predicted in (("mistakes", (true + 1) % len(measured.class_names)), ("right answers", true)):
            spot = matrix.point_of(true, predicted)
            timed(
                f"click on a cell of {name}: frame, words, gallery",
                lambda spot=spot: QTest.mouseClick(
                    matrix.picture(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot
                ),
            )
            assert matrix.chosen() == (true, predicted)
            began = time.perf_counter()
            while any(gallery.loader.pixmap(path) is None for path in gallery.visible_paths()):
                app.processEvents()
            seconds.setdefault("… until the last picture in view is there", []).append(time.perf_counter() - began)
        timed("arrow key", lambda: QTest.keyClick(matrix, Qt.Key.Key_Right))
        timed("enlarged by a step", lambda: QTest.keyClick(matrix, Qt.Key.Key_Plus))
        timed("images or percent", (page.matrix.counts if turn % 2 else page.matrix.shares).click)
        timed("light or dark", lambda turn=turn: theme.apply_theme(app, "dark" if turn % 2 else "light"))
        forget()
    window.close()
    session.close()
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--platform", default="offscreen", help="Qt platform: offscreen, or xcb for a real display")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"CNN_STUDIO_HOME": home, "QT_QPA_PLATFORM": options.platform, "XDG_CONFIG_HOME": home}
        write_images(Path(home) / "images", 1000)
        seconds = drive(made_up(Path(home) / "images", options.classes, options.images), options.repeats)
    print(heading(f"Confusion matrix of {options.classes} classes and {options.images:,} images"))
    print(f"Milliseconds from an event to the end of the painting it causes, Qt platform {options.platform}.\n")
    print("| step | times | p50 | max |\n| --- | ---: | ---: | ---: |")
    for name, found in seconds.items():
        print(f"| {name} | {len(found)} | {1000 * percentile(found, 0.5):.0f} | {1000 * max(found):.0f} |")


if __name__ == "__main__":
    main()
