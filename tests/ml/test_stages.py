from cnn_studio.core.experiment.settings import (
    BackboneArchitecture,
    FineTuningSettings,
    Optimizer,
    Schedule,
    TrainingSettings,
    TransferMode,
)
from cnn_studio.core.job.events import TrainingStage
from cnn_studio.ml.stages import plan_stages

TRAINING = TrainingSettings(epochs=7, schedule=Schedule.COSINE, warm_up_epochs=2, batch_size=5, patience=3, seed=11)


def test_the_head_follows_the_training_settings():
    (head,) = plan_stages(BackboneArchitecture(), TRAINING)
    assert (head.name, head.depth, head.settings) == (TrainingStage.HEAD, None, TRAINING)
    assert head.rate_field == "training.learning_rate"


def test_fine_tuning_has_its_own_stage_settings_and_the_rest_of_the_training():
    tuning = FineTuningSettings(
        optimizer=Optimizer.SGD, learning_rate=3e-6, epochs=2, schedule=Schedule.PLATEAU, warm_up_epochs=1
    )
    architecture = BackboneArchitecture(transfer=TransferMode.FINE_TUNED, unfreeze_from="conv4", fine_tuning=tuning)
    head, second = plan_stages(architecture, TRAINING)
    assert head.settings == TRAINING
    assert (second.name, second.depth) == (TrainingStage.FINE_TUNING, "conv4")
    assert {name: getattr(second.settings, name) for name in FineTuningSettings.model_fields} == dict(tuning)
    assert (second.settings.batch_size, second.settings.patience, second.settings.seed) == (5, 3, 11)
    assert second.rate_field == "architecture.fine_tuning.learning_rate"
