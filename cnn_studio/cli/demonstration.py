"""The whole way on the sample data set, without the window."""

from __future__ import annotations

from pathlib import Path

from cnn_studio import tasks
from cnn_studio.cli.console import Face
from cnn_studio.cli.wording import accuracy_sentence
from cnn_studio.core import paths
from cnn_studio.core.atomic_file import write_text
from cnn_studio.core.evaluation.predictions import predictions_csv


def run_demonstration(out: Path, face: Face) -> None:
    """Train on the sample data set, evaluate, predict images held out of training, export.

    Args:
        out: new folder for the run, the predictions and the exported model.
        face: where to tell about it.
    """
    with face.working():
        dataset = tasks.scan(paths.sample_dataset_dir(), face.context)
        face.say(
            f"Sample data set {dataset.name}: {len(dataset.files):,} photographs of {len(dataset.class_names)} classes."
        )
        request = tasks.TrainRequest(dataset, tasks.demo_experiment(dataset), out / "run")
        trained = tasks.train(request, face.context)
        face.say(accuracy_sentence(trained.validation))
        if trained.test:
            face.say(accuracy_sentence(trained.test))
        held_out = tasks.held_out_images(trained.run, count=5)
        predictions = tasks.predict(
            tasks.PredictRequest(trained.model, tuple(path for path, _ in held_out)),
            face.context,
        )
        face.say("Images it has never seen:")
        for (path, truth), prediction in zip(held_out, predictions, strict=True):
            said = f"{prediction.label} ({prediction.probability:.0%})" if not prediction.error else prediction.error
            face.say(f"  {path.name}: {said}; it is {truth}")
        write_text(out / "predictions.csv", predictions_csv(predictions, trained.model))
        target = out / "model.keras"
        tasks.export(tasks.ExportRequest(trained.model, target), face.context)
    face.say(f"Exported model: {target} (loaded again and compared: it answers the same)")
