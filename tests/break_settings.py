"""Breaks one setting after another on purpose and says which test notices: no setting may be ignored in silence.

Run by hand from the checkout (``python tests/break_settings.py``); pytest does not collect it. Each breakage is a piece
of source replaced in a copy of the tree, tried in a process of its own with the tests of that setting alone. It prints
a Markdown table for ``tests/benchmarks/RESULTS.md`` and ends with 1 when a breakage was not noticed, or when its piece
of source is not there any more: then write it anew for the code as it is now.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
EFFECTS, OPTIONS = "tests/e2e/test_setting_effects.py", "tests/e2e/test_train_options.py"


@dataclass(frozen=True)
class Breakage:
    """A setting that does nothing, or not what it is for.

    Attributes:
        setting: its dotted name, or the option.
        how: what is wrong then.
        file: within ``cnn_studio``.
        old: a piece of it that occurs once.
        new: what stands there instead.
        tests: pytest's ``-k`` that selects the tests of this setting; the setting's name when "".
    """

    setting: str
    how: str
    file: str
    old: str
    new: str
    tests: str = ""


_PLAN, _STAGES, _RATE = "core/experiment/layer_plan.py", "ml/stages.py", "ml/learning_rate.py"
_AUGMENT, _SPLIT, _GROUPS = "ml/augment.py", "core/data/split.py", "core/data/groups.py"
_BATCHES, _FIT, _WATCH, _JOB = "ml/split_batches.py", "ml/train.py", "ml/training_watch.py", "tasks/training.py"
_TRAIN_COMMAND, _CHOICES = "cli/training.py", "core/advice/choices.py"
_SCRATCH, _TUNING = "architecture.scratch", "architecture.backbone.fine_tuning"

BREAKAGES = (
    # the four that passed the whole suite before
    Breakage("training.class_weights", "balanced is ignored", _BATCHES, "is ClassWeights.BALANCED:", "is None:"),
    Breakage(
        "training.optimizer",
        "SGD is Adam",
        _FIT,
        "keras.optimizers.SGD(settings.learning_rate, momentum=settings.momentum)",
        "keras.optimizers.Adam(settings.learning_rate)",
    ),
    Breakage(
        f"{_TUNING}.schedule",
        "is ignored",
        _STAGES,
        "dict(architecture.fine_tuning)",
        'dict(architecture.fine_tuning) | {"schedule": training.schedule}',
    ),
    Breakage(
        "--test",
        "takes the value of --validation",
        _TRAIN_COMMAND,
        '"split.test": test,',
        '"split.test": validation,',
        "train-test or train-validation",
    ),
    # training
    Breakage("training.optimizer", "SGD without momentum", _FIT, "momentum=settings.momentum", "momentum=0.0"),
    Breakage("training.momentum", "is 0.9", _FIT, "momentum=settings.momentum", "momentum=0.9"),
    Breakage("training.optimizer", "RMSprop is Adam", _FIT, "keras.optimizers.RMSprop(", "keras.optimizers.Adam("),
    Breakage(
        "training.learning_rate",
        "is Keras's own",
        _FIT,
        "keras.optimizers.Adam(settings.learning_rate)",
        "keras.optimizers.Adam()",
    ),
    Breakage(
        "training.batch_size",
        "is 32",
        _BATCHES,
        "labels, settings.batch_size, settings.seed",
        "labels, 32, settings.seed",
    ),
    Breakage("training.epochs", "are 15", _FIT, "first_epoch - 1 + settings.epochs", "first_epoch - 1 + 15"),
    Breakage("training.early_stopping", "always", _WATCH, "if self._settings.early_stopping and", "if"),
    Breakage("training.patience", "is 5", _WATCH, ">= self._settings.patience", ">= 5"),
    Breakage(
        "training.seed",
        "not of the order",
        _BATCHES,
        "settings.batch_size, settings.seed, weights",
        "settings.batch_size, 0, weights",
    ),
    Breakage("training.seed", "not of the weights", "ml/build.py", "seed * 1000 + number", "number"),
    Breakage(
        "training.seed",
        "not of augmentation",
        _FIT,
        "training_network(model, augmentation, settings.seed)",
        "training_network(model, augmentation, 0)",
    ),
    Breakage(
        "training.seed",
        "not of augmented views",
        _JOB,
        "Views(augmentation, settings.seed, training)",
        "Views(augmentation, 0, training)",
    ),
    Breakage(
        "training.precision",
        "is that of the device",
        _JOB,
        "with_precision(runtime.acceleration(), settings.precision)",
        "runtime.acceleration()",
    ),
    Breakage(
        "training.precision",
        "float32 is auto",
        "ml/acceleration.py",
        "return replace(acceleration, policy=FLOAT32)",
        "return acceleration",
        "32_bits",
    ),
    # split
    Breakage("split.validation", "is 0.15", _SPLIT, "validation = settings.validation if", "validation = 0.15 if"),
    Breakage("split.test", "is that of validation", _SPLIT, "test = settings.test if", "test = settings.validation if"),
    Breakage("split.seed", "is 0", _GROUPS, "_rank(settings.seed,", "_rank(0,"),
    Breakage("split.keep_similar_together", "always", _GROUPS, "if together and file.similar:", "if file.similar:"),
    Breakage("split.group_pattern", "is ignored", _GROUPS, "if settings.group_pattern else None", "if None else None"),
    # image
    Breakage(
        "image.width", "is the height", _JOB, "(dataset, image.height, image.width,", "(dataset, *[image.height] * 2,"
    ),
    Breakage("image.colour", "is not grey", _PLAN, "GREY:\n        shape = (*shape", "RGB:\n        shape = (*shape"),
    Breakage("image.fit", "is squash", _JOB, ", fit=image.fit)", ")"),
    # a network of its own
    Breakage(f"{_SCRATCH}.kernel", "is 3", _PLAN, "            kernel=kernel,", "            kernel=3,"),
    Breakage(
        f"{_SCRATCH}.kernel",
        "begins anew in each block",
        _PLAN,
        "_one_of(architecture.kernel, before + place)",
        "_one_of(architecture.kernel, place)",
    ),
    Breakage(
        f"{_SCRATCH}.padding", "is same", _PLAN, "            padding=padding,", "            padding=Padding.SAME,"
    ),
    Breakage(
        f"{_SCRATCH}.padding",
        "is the first one's",
        _PLAN,
        "_one_of(architecture.padding, before + place)",
        "architecture.padding[0]",
    ),
    Breakage(f"{_SCRATCH}.stride", "is 1", _PLAN, "stride = architecture.stride if", "stride = 1 if"),
    Breakage(f"{_SCRATCH}.pool_size", "is 2", _PLAN, "_one_of(architecture.pool_size, number)", "2"),
    Breakage(
        f"{_SCRATCH}.initializer",
        "not of convolutions",
        _PLAN,
        "            initializer=architecture.initializer,\n",
        "",
    ),
    Breakage(
        f"{_SCRATCH}.initializer",
        "not of dense layers",
        _PLAN,
        "architecture.activation, architecture.initializer)",
        "architecture.activation)",
    ),
    Breakage(
        f"{_SCRATCH}.initializer",
        "He is Glorot",
        "ml/layer_makers.py",
        "keras.initializers.HeUniform",
        "keras.initializers.GlorotUniform",
    ),
    Breakage(
        f"{_SCRATCH}.pooling",
        "average is max",
        _PLAN,
        "LayerKind.MAX_POOLING if architecture.pooling is Pooling.MAX else LayerKind.AVERAGE_POOLING",
        "LayerKind.MAX_POOLING",
    ),
    Breakage(
        f"{_SCRATCH}.activation",
        "not in hidden layers",
        _PLAN,
        "shape[0], units, architecture.activation, architecture.initializer)",
        'shape[0], units, "relu", architecture.initializer)',
    ),
    Breakage(
        f"{_SCRATCH}.batch_normalization",
        "never",
        _PLAN,
        "normalized = architecture.batch_normalization",
        "normalized = False",
    ),
    Breakage(
        f"{_SCRATCH}.dropout",
        "is that of hidden layers",
        _PLAN,
        'yield PlannedLayer(LayerKind.DROPOUT, "dropout", shape, rate=architecture.dropout)',
        'yield PlannedLayer(LayerKind.DROPOUT, "dropout", shape, rate=architecture.dense_dropout)',
    ),
    Breakage(
        f"{_SCRATCH}.dense_dropout",
        "not after the last",
        _PLAN,
        "if architecture.dense_dropout:",
        "if architecture.dense_dropout and number < len(architecture.dense):",
    ),
    # a backbone
    Breakage(
        "architecture.backbone.transfer",
        "always frozen",
        _STAGES,
        "if architecture.transfer is TransferMode.FROZEN:",
        "if architecture:",
    ),
    Breakage(
        "architecture.backbone.transfer",
        "one stage is two",
        _STAGES,
        "if architecture.transfer is TransferMode.ONE_STAGE:",
        "if None:",
    ),
    Breakage(
        "architecture.backbone.unfreeze_from",
        "everything",
        _STAGES,
        "depth = architecture.unfreeze_from",
        'depth = "everything"',
    ),
    Breakage(
        "architecture.backbone.dense_dropout",
        "is that of features",
        _PLAN,
        "layers.append(PlannedLayer(LayerKind.DROPOUT, name, shape, rate=architecture.dense_dropout))",
        "layers.append(PlannedLayer(LayerKind.DROPOUT, name, shape, rate=architecture.dropout))",
    ),
    Breakage(
        f"{_TUNING}.learning_rate",
        "is that of the head",
        _STAGES,
        "dict(architecture.fine_tuning)",
        'dict(architecture.fine_tuning) | {"learning_rate": training.learning_rate}',
    ),
    Breakage(
        f"{_TUNING}.optimizer",
        "is that of the head",
        _STAGES,
        "= plan.settings,",
        '= plan.settings.model_copy(update={"optimizer": training.optimizer}),',
    ),
    Breakage(
        f"{_TUNING}.momentum",
        "is that of the head",
        _STAGES,
        "dict(architecture.fine_tuning)",
        'dict(architecture.fine_tuning) | {"momentum": training.momentum}',
    ),
    Breakage(
        f"{_TUNING}.epochs",
        "are those of the head",
        _STAGES,
        "= plan.settings,",
        '= plan.settings.model_copy(update={"epochs": training.epochs}),',
    ),
    Breakage(
        f"{_TUNING}.warm_up_epochs", "are none", _RATE, "return self._rate * step / self._warm_up", "return self._rate"
    ),
    Breakage(f"{_TUNING}.schedule", "cosine is constant", _RATE, "0.5 * (1 + math.cos(math.pi * share))", "1"),
    Breakage(
        f"{_TUNING}.schedule", "plateau is constant", _RATE, "self._factor *= PLATEAU_FACTOR", "self._factor *= 1"
    ),
    # augmentation
    Breakage("augmentation.rotation", "is the shear", _AUGMENT, '("rotation", on.rotation)', '("rotation", on.shear)'),
    Breakage(
        "augmentation.stretch_width",
        "is that of the height",
        _AUGMENT,
        '("stretch_width", on.stretch_width)',
        '("stretch_width", on.stretch_height)',
    ),
    Breakage(
        "augmentation.translation",
        "sideways only",
        _AUGMENT,
        '("translation_y", on.translation)',
        '("translation_y", 0)',
    ),
    Breakage("augmentation.hue", "is the saturation", _AUGMENT, '("hue", on.hue)', '("hue", on.saturation)'),
    Breakage("augmentation.noise", "is always 0.05", _AUGMENT, "on.noise * half", "0.05 * half"),
    Breakage("augmentation.fill", "is reflect", _AUGMENT, "fill_mode=self.settings.fill.value", 'fill_mode="reflect"'),
    Breakage(
        "augmentation.mix_up",
        "is CutMix",
        "ml/training_network.py",
        "if augmentation.mix_up:",
        "if augmentation.cut_mix:",
    ),
    Breakage(
        "augmentation.views",
        "are 2",
        "ml/features.py",
        "list(views.training), views.augmentation.views, True",
        "list(views.training), 2, True",
    ),
    Breakage("augmentation.views", "0 is ahead too", _JOB, "augmentation.views > 0", "augmentation.views >= 0"),
    # decisions
    Breakage("decisions.left_out", "is ignored", "core/data/decisions.py", "if path in left_out:", "if None:"),
    Breakage(
        "decisions.belongs_to",
        "is ignored",
        "core/data/decisions.py",
        'label_of.get(decisions.belongs_to.get(path, ""), file.label)',
        "file.label",
    ),
    # options
    Breakage("--seed", "not of the split", _TRAIN_COMMAND, '"split.seed": seed,', "", "train-seed"),
    Breakage(
        "--fine-tuning-rate",
        "is ignored",
        _CHOICES,
        '"architecture.fine_tuning.learning_rate": self.fine_tuning_rate',
        '"architecture.fine_tuning.learning_rate": None',
        "fine-tuning",
    ),
    Breakage("--group-by", "is ignored", _TRAIN_COMMAND, '"split.group_pattern": group_by,', "", "train-group-by"),
    Breakage(
        "--image-size", "sets the height only", _TRAIN_COMMAND, '"image.width": image_size,', "", "train-image-size"
    ),
)


def main() -> int:
    """Try the breakages; 0 when each was noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="those whose setting or file holds this text")
    only = parser.parse_args().only
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    chosen = [each for each in BREAKAGES if only in f"{each.setting} {each.file}"]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / "tree"
        without = shutil.ignore_patterns(".*", "__pycache__")
        shutil.copytree(TREE, copy, ignore=without)
        status, told = tested(copy, [EFFECTS, OPTIONS])
        if status:
            sys.stdout.write(f"Unbroken, the tests do not pass:\n{told}\n")
            return 1
        outcomes = []
        for each in chosen:
            outcomes.append(tried(each, copy))
            sys.stderr.write(f"{each.setting} {each.how}: {outcomes[-1]}\n")  # it takes a while
    caught = [outcome for outcome in outcomes if outcome.startswith("`")]
    seconds = time.monotonic() - began
    sys.stdout.write(
        f"{datetime.now(UTC):%Y-%m-%d}: {len(caught)} of {len(chosen)} breakages noticed, of "
        f"{len({each.setting for each in chosen})} settings and options, in {seconds / 60:.0f} minutes.\n\n"
        "| setting | broken so that | noticed by |\n| --- | --- | --- |\n"
    )
    for each, outcome in zip(chosen, outcomes, strict=True):
        sys.stdout.write(f"| `{each.setting}` | {each.how} | {outcome} |\n")
    return 0 if len(caught) == len(chosen) else 1


def tried(breakage: Breakage, copy: Path) -> str:
    """The test that notices, in backticks; else what is wrong."""
    file = copy / "cnn_studio" / breakage.file
    whole = file.read_text(encoding="utf-8") if file.exists() else ""
    if (found := whole.count(breakage.old)) != 1:
        return f"NOT TRIED: the source is there {found} times"
    file.write_text(whole.replace(breakage.old, breakage.new), encoding="utf-8")
    try:
        file_of_tests = OPTIONS if breakage.setting.startswith("--") else EFFECTS
        status, told = tested(copy, [file_of_tests, "-k", breakage.tests or breakage.setting])
    finally:
        file.write_text(whole, encoding="utf-8")
    if status == 0:
        return "SURVIVED"
    failed = re.search(r"^FAILED \S*::(.+?)(?: - .*)?$", told, re.MULTILINE)
    return f"`{failed[1]}`" if status == 1 and failed else f"NOT TRIED: {told.strip().splitlines()[-1]}"


def tested(copy: Path, arguments: list[str]) -> tuple[int, str]:
    """Pytest's exit status and what it printed, in a new process that imports the copy's own package."""
    printed = copy / "printed"
    process = _PROCESSES.Process(target=_run_pytest, args=(copy, arguments, printed))
    process.start()
    process.join()
    return process.exitcode or 0, printed.read_text(encoding="utf-8")


def _run_pytest(copy: Path, arguments: list[str], printed: Path) -> None:
    with printed.open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True  # two versions of a file may have been written within the same second
    import pytest

    sys.exit(int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *arguments])))


# Forked from a process that has imported TensorFlow and nothing of ours: importing it takes longer than most tests.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tensorflow", "keras", "pytest", "PIL.Image", "scipy.sparse.csgraph"])

if __name__ == "__main__":
    sys.exit(main())
