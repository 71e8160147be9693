"""What temperature scaling does to the calibration error of real runs, on test images that it has not seen.

Each run trains a small CNN from scratch, is measured on its test split, gets a temperature fitted on its validation
split, and is measured again with the file that has the temperature in it: a second pass, not arithmetic.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from environment import heading

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
# Learning rates above the usual one, so that the networks are surer than they should be, as trained ones often are.
RUNS = {
    "cifar10": {"image.height": 32, "image.width": 32, "training.learning_rate": 3e-3},
    "cats_dogs": {"image.height": 64, "image.width": 64, "training.learning_rate": 2e-3},
    "sign_digits": {"image.height": 32, "image.width": 32, "training.learning_rate": 3e-3},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="holds these folders: " + ", ".join(RUNS))
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["CNN_STUDIO_HOME"] = home
        rows = [row_of(name, settings, options, Path(home)) for name, settings in RUNS.items()]
    print(heading("Calibration"))
    print(
        f"small_cnn, {options.epochs} epochs at most, the epoch with the lowest validation loss kept. ECE: 15 bins of "
        "equal width. All on the test split but the temperature, which is fitted on the validation split.\n"
    )
    print(
        "| run | validation / test images | temperature | ECE before | ECE after | log loss before | log loss after | "
        "accuracy before | accuracy after |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    print("\n".join(rows))


def row_of(name, settings, options, home):
    import numpy as np

    from cnn_studio import tasks
    from cnn_studio.core.advice.suggestions import suggest_experiment
    from cnn_studio.core.data.image_file import Split
    from cnn_studio.core.evaluation.calibration import calibration_figures
    from cnn_studio.core.experiment.experiment import with_values
    from cnn_studio.core.job.jobs import JobContext

    def job(function, request):
        return function(request, JobContext())

    dataset = job(tasks.scan, options.data / name)
    changes = {"training.epochs": options.epochs, "training.early_stopping": False, "training.batch_size": 64}
    experiment = with_values(suggest_experiment(dataset), changes | settings)
    model = job(tasks.train, tasks.TrainRequest(dataset, experiment, home / name)).model
    measured = job(tasks.evaluate, tasks.EvaluateRequest(model, split=Split.TEST))
    calibrated = job(tasks.calibrate, tasks.CalibrateRequest(model, tasks.Temperature.FIT))
    again = job(tasks.evaluate, tasks.EvaluateRequest(model, split=Split.TEST))
    if not np.array_equal(measured.predicted, again.predicted):
        raise SystemExit(f"{name}: a temperature must not change an answer, and changed some")
    before, after = calibration_figures(measured), calibration_figures(again)
    return (
        f"| {name}, {experiment.image.height} pixels | {calibrated.images} / {measured.evaluation.images} | "
        f"{calibrated.facts.temperature:.3f} | {before.error:.4f} | **{after.error:.4f}** | {before.loss:.4f} | "
        f"{after.loss:.4f} | {before.accuracy:.4f} | {after.accuracy:.4f} |"
    )


if __name__ == "__main__":
    main()
