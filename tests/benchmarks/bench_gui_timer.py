"""How late a 5 ms timer fires on the GUI thread: window idle, TensorFlow starting, images preparing, training.

The real window is driven: it opens a folder, shows the Train page with its live curves and trains in its job thread.
A timer that is due every 5 ms is late whenever the GUI thread, or the interpreter's lock, is busy elsewhere; a person
notices from about 50 ms on.
"""

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from environment import heading, percentile

INTERVAL_MS = 5
IDLE_SECONDS = 5
PHASES = ("idle", "starting TensorFlow", "scanning and preparing", "first epoch", "later epochs", "evaluating")


class Probe:
    """Collects, per phase, by how many milliseconds each timeout came after 5 ms had passed since the last."""

    def __init__(self, timer):
        self.phase = "idle"
        self.late = defaultdict(list)
        self._last = None
        timer.timeout.connect(self._on_timeout)

    def _on_timeout(self):
        now = time.perf_counter()
        if self._last is not None:
            self.late[self.phase].append(max(0.0, 1000 * (now - self._last) - INTERVAL_MS))
        self._last = now


def drive(folder, epochs, page):
    """Open ``folder``, train, and give the probe when it is done."""
    from PySide6.QtCore import Qt, QTimer

    from cnn_studio.core.job import events
    from cnn_studio.gui.app import make_application
    from cnn_studio.gui.jobs.job_thread import JobKind
    from cnn_studio.gui.main_window import MainWindow
    from cnn_studio.gui.state.session import Session

    app = make_application(["bench"])
    session = Session()
    window = MainWindow(session)
    window.show()
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    probe = Probe(timer)
    failures = []

    def on_reported(job, event):
        if isinstance(event, events.EpochEnded):
            probe.phase = "later epochs"
        elif isinstance(event, events.TrainingStarted):
            probe.phase = "first epoch"
        elif isinstance(event, events.StageStarted) and event.stage is events.Stage.EVALUATE:
            probe.phase = "evaluating"

    def on_ended(job):
        if job.kind is JobKind.START:
            probe.phase = "scanning and preparing"
            session.project.open_folder(folder)
        elif job.kind is JobKind.SCAN:
            if problem := session.project.change({"training.epochs": epochs, "training.early_stopping": False}):
                failures.append(str(problem))
            window.show_page(page)
            session.training.train()
            if session.queue.current is None:
                failures.append("training did not start")
                app.quit()
        elif job.kind is JobKind.TRAIN:
            app.quit()

    def start_tensorflow():
        probe.phase = "starting TensorFlow"
        session.runtime.start()

    session.queue.reported.connect(on_reported)
    session.queue.ended.connect(on_ended)
    timer.start(INTERVAL_MS)
    QTimer.singleShot(1000 * IDLE_SECONDS, start_tensorflow)
    app.exec()
    timer.stop()
    trained = session.training.last
    window.close()
    session.close()
    if failures or trained is None:
        raise SystemExit(f"Training failed: {failures}")
    return probe, trained


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="data set; the sample when not given")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--page", default="train", help="page shown meanwhile (train, with its live curves)")
    parser.add_argument("--platform", default="offscreen", help="Qt platform: offscreen, or xcb for a real display")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"CNN_STUDIO_HOME": home, "QT_QPA_PLATFORM": options.platform, "TF_CPP_MIN_LOG_LEVEL": "3"}
        from PySide6.QtCore import QSettings

        from cnn_studio.core import paths

        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, home)
        folder = (options.folder or paths.sample_dataset_dir()).resolve()
        probe, trained = drive(folder, options.epochs, options.page)
    print(heading("GUI timer"))
    facts = trained.facts
    print(
        f"Lateness of a {INTERVAL_MS} ms timer in ms; {folder.name}, {facts.architecture}, "
        f"{facts.width} × {facts.height} pixels, {options.epochs} epochs on {trained.device}, "
        f"{options.page} page shown, Qt platform {options.platform}.\n"
    )
    print("| phase | timeouts | p50 | p99 | max |\n| --- | ---: | ---: | ---: | ---: |")
    rows = [(phase, probe.late[phase]) for phase in PHASES if probe.late[phase]]
    rows.append(("**training, all epochs**", probe.late["first epoch"] + probe.late["later epochs"]))
    for phase, late in rows:
        figures = (percentile(late, 0.5), percentile(late, 0.99), max(late))
        print(f"| {phase} | {len(late):,} | {' | '.join(f'{figure:.1f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
