"""How late a 5 ms timer fires on the GUI thread while 100,000 images are opened, looked through and decided on."""

import argparse
import io
import os
import tempfile
from pathlib import Path

import numpy as np
from bench_gui_timer import INTERVAL_MS, Probe
from environment import heading, percentile
from PIL import Image

CLASSES = 10


def write_images(folder, count):
    """Small JPEG files of noise; each of a hundred contents many times over, since only their number matters."""
    random = np.random.default_rng(0)
    contents = []
    for _ in range(100):
        data = io.BytesIO()
        Image.fromarray(random.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(data, "JPEG")
        contents.append(data.getvalue())
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
        for number in range(count // CLASSES):
            (folder / f"class {label}" / f"{number:06}.jpg").write_bytes(contents[number % 100])


def drive(folder):
    """Open ``folder``, scroll through all of its grid, choose classes, leave pictures out; give the probe."""
    from PySide6.QtCore import Qt, QTimer

    from cnn_studio.gui.app import make_application
    from cnn_studio.gui.main_window import MainWindow
    from cnn_studio.gui.state.session import Session

    app = make_application(["bench"])
    session = Session()
    window = MainWindow(session)
    window.show()
    page = window.page("data")
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    probe = Probe(timer)
    probe.phase = "at rest"  # how late it is because of what else the machine does
    steps = iter(range(400))
    decisions = iter(range(10))

    def on_scanned(job):
        probe.phase = "showing the data set"
        QTimer.singleShot(500, scroll)

    def scroll():
        probe.phase = "scrolling the grid"
        bar = page.grid.verticalScrollBar()
        step = next(steps, None)
        if step is None:
            QTimer.singleShot(0, choose)
        else:
            bar.setValue(bar.maximum() * step // 400)
            QTimer.singleShot(20, scroll)

    def choose():
        probe.phase = "choosing a class, moving the split"
        page.shown_class.setCurrentIndex(page.shown_class.currentIndex() + 1)
        page.validation.setValue(page.validation.value() + 1)
        if page.shown_class.currentIndex() < CLASSES:
            QTimer.singleShot(200, choose)
        else:
            QTimer.singleShot(2000, find)

    def find():
        probe.phase = "showing a finding"
        found = session.data.view.findings
        if found:
            page.browse.show_only(found[0].kind)
        QTimer.singleShot(1000, decide)

    def decide():
        probe.phase = "leaving pictures out, undoing it"
        step = next(decisions, None)
        if step is None:
            app.quit()
            return
        if step % 2:
            session.decisions.undo()
        else:
            first = 1000 * step
            session.decisions.leave_out(session.project.dataset.files[first : first + 50])
        QTimer.singleShot(1000, decide)

    session.queue.ended.connect(on_scanned)

    def scan():
        probe.phase = "scanning"
        session.project.open_folder(folder)

    QTimer.singleShot(5000, scan)
    timer.start(INTERVAL_MS)
    app.exec()
    timer.stop()
    window.close()
    session.close()
    return probe


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--platform", default="offscreen", help="Qt platform: offscreen, or xcb for a real display")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"CNN_STUDIO_HOME": home, "QT_QPA_PLATFORM": options.platform, "XDG_CONFIG_HOME": home}
        write_images(Path(home) / "many", options.images)
        probe = drive(Path(home) / "many")
    print(heading(f"{options.images:,} images in the window"))
    print(f"Lateness of a {INTERVAL_MS} ms timer in ms, Qt platform {options.platform}.\n")
    print("| phase | timeouts | p50 | p99 | max |\n| --- | ---: | ---: | ---: | ---: |")
    for phase, late in probe.late.items():
        figures = (percentile(late, 0.5), percentile(late, 0.99), max(late))
        print(f"| {phase} | {len(late):,} | {' | '.join(f'{figure:.1f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
