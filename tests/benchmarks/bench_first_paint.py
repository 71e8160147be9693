"""Time from process start to the first painted window, beside a bare Qt window (the floor) and bare imports.

Programs take turns, so that a change in the machine's mood meets them all; the first turn warms the file cache and is
not counted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from environment import heading

BARE_WINDOW = """
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMainWindow

class Window(QMainWindow):
    def paintEvent(self, event):
        super().paintEvent(event)
        print("first-paint", flush=True)
        QTimer.singleShot(0, app.quit)

app = QApplication([])
window = Window()
window.resize(1100, 720)
window.show()
app.exec()
"""
OURS = """
from PySide6.QtWidgets import QApplication
from cnn_studio.gui.main_window import MainWindow
made = MainWindow.__init__

def make(window, session):
    made(window, session)
    window.first_painted.connect(lambda: (print("first-paint", flush=True), QApplication.quit()))

MainWindow.__init__ = make
from cnn_studio.__main__ import main
main([])
"""
PROGRAMS = {
    "`cnn-studio`": ["-c", OURS],
    "bare QMainWindow": ["-c", BARE_WINDOW],
    "`import PySide6.QtWidgets` only": ["-c", "import PySide6.QtWidgets; print('first-paint', flush=True)"],
    "Python only": ["-c", "print('first-paint', flush=True)"],
}


def measure(arguments, environment):
    """Seconds from starting Python with these arguments until it prints that it has painted."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True) as process:
        limit = threading.Timer(60, process.kill)
        limit.start()
        line = process.stdout.readline()
        seconds = time.perf_counter() - began
        process.stdout.read()
        limit.cancel()
    if not line.startswith("first-paint") or process.returncode:
        raise SystemExit(f"{arguments[:2]} printed {line!r} and ended with {process.returncode}")
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="turns that count (15)")
    parser.add_argument("--platform", default="offscreen", help="Qt platform: offscreen, or xcb for a real display")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "CNN_STUDIO_HOME": home,
            "QT_QPA_PLATFORM": options.platform,
        }
        seconds = {name: [] for name in PROGRAMS}
        for turn in range(options.repeats + 1):
            for name, arguments in PROGRAMS.items():
                taken = measure(arguments, environment)
                if turn:
                    seconds[name].append(taken)
    print(heading("First paint"))
    print(f"{options.repeats} starts of each in turn, Qt platform {options.platform}; ms.\n")
    print("| program | median | fastest | slowest |\n| --- | ---: | ---: | ---: |")
    for name, values in seconds.items():
        figures = (statistics.median(values), min(values), max(values))
        print(f"| {name} | {' | '.join(f'{1000 * figure:.0f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
