import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from cnn_studio.core.errors import ModelFileError, StorageError
from cnn_studio.core.evaluation.model_facts import ModelFacts
from cnn_studio.core.experiment.settings import Colour, Fit, ImageSettings
from cnn_studio.core.image.decoder import read_image
from cnn_studio.core.job.events import Progress, Stage, StageStarted
from cnn_studio.core.job.jobs import CancelToken, JobCancelled, JobContext, ignore_reports
from cnn_studio.ml import export
from cnn_studio.ml.build import build_model
from cnn_studio.ml.export import export_model, usage_snippet
from cnn_studio.ml.model_file import load_model, read_facts, save_model
from cnn_studio.ml.predict import predict_files
from cnn_studio.ml.script_check import answers_of_script, write_sample_pictures


@pytest.fixture
def source(make_model, facts, tmp_path):
    path = tmp_path / "run" / "model.keras"
    save_model(make_model(), path, facts)
    return path


@pytest.fixture
def raw():
    return np.random.default_rng(0).integers(0, 256, (11, 16, 16, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def in_this_process(request, monkeypatch):
    """Importing TensorFlow anew takes seconds: only what is marked runs the script in a process of its own."""
    if "fresh_process" not in request.keywords:
        monkeypatch.setattr(export, "answers_of_script", answers_in_this_process)


def answers_in_this_process(script, pictures, _):
    names = {"__name__": "classify"}
    exec(compile(script, "classify.py", "exec"), names)
    names["model"].jit_compile = False  # as in the process of its own: XLA would take seconds
    return np.array([names["classify"](path) for path in pictures])


def exported(source, target, samples=(), cancel=None, report=ignore_reports, **more):
    cancel = cancel or CancelToken()
    return export_model(source, target, samples, JobContext(report, cancel), **{"replace": False, **more})


def in_a_fresh_process(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        env={"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONIOENCODING": "utf-8", "PATH": "/usr/bin"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("colour", Colour)
def test_a_fresh_process_with_plain_keras_gives_the_same_probabilities(tiny_architecture, facts, tmp_path, raw, colour):
    model = build_model(tiny_architecture, ImageSettings(height=16, width=16, colour=colour), 3, 1)
    save_model(model, tmp_path / "model.keras", facts)
    target = tmp_path / "out" / "flowers.keras"
    found = exported(tmp_path / "model.keras", target)
    assert found == replace(facts, outputs=3)
    np.save(tmp_path / "raw.npy", raw)
    code = """
import json, sys, keras, numpy as np
model = keras.models.load_model(sys.argv[1])
raw = np.load(sys.argv[2])
assert not any(name.startswith("cnn_studio") for name in sys.modules)
print(json.dumps([model.predict(raw, verbose=0).tolist(), model.predict(raw.astype("float32"), verbose=0).tolist()]))
"""
    answers = json.loads(in_a_fresh_process(code, target, tmp_path / "raw.npy").splitlines()[-1])
    for answer in answers:
        np.testing.assert_allclose(answer, model.predict(raw, verbose=0), atol=1e-5)


@pytest.mark.parametrize("fit", Fit)
def test_the_snippet_says_what_the_app_says(make_model, tmp_path, facts, fit):
    target = tmp_path / "mi modelo.keras"
    save_model(make_model(), tmp_path / "run.keras", replace(facts, fit=fit))
    exported(tmp_path / "run.keras", target)
    side_car = json.loads(target.with_suffix(".json").read_text(encoding="utf-8"))
    assert side_car["input"]["fit"] == fit.value
    picture = tmp_path / "photo.jpg"
    # So small that a JPEG is not decoded at a fraction of its size, which on noise would be felt.
    pixels = np.random.default_rng(3).integers(0, 256, (30, 23, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.fromarray(pixels).save(picture, quality=95, exif=exif)
    model, found = load_model(target)
    (ours,) = predict_files(model, found, [picture], JobContext())
    printed = in_a_fresh_process(usage_snippet(found, str(target)), picture)
    theirs = [line.rsplit(": ", 1) for line in printed.splitlines() if ": " in line]
    assert [name for name, _ in theirs] == [name for name, _ in ours.ranked]
    np.testing.assert_allclose([float(p) for _, p in theirs], [p for _, p in ours.ranked], atol=1e-5)


@pytest.mark.parametrize(("threshold", "says_so"), [(0.99, True), (0.01, False)])
def test_the_snippet_knows_when_the_model_is_not_sure(make_model, facts, tmp_path, threshold, says_so):
    save_model(make_model(), tmp_path / "model.keras", replace(facts, threshold=threshold))
    target = tmp_path / "out.keras"
    found = exported(tmp_path / "model.keras", target)
    assert found.threshold == threshold
    Image.new("RGB", (20, 20), (120, 90, 60)).save(tmp_path / "photo.png")
    model, loaded = load_model(target)
    (ours,) = predict_files(model, loaded, [tmp_path / "photo.png"], JobContext())
    assert ours.unsure is says_so
    printed = in_a_fresh_process(usage_snippet(loaded, str(target)), tmp_path / "photo.png")
    assert ("not sure" in printed) is says_so


def test_what_is_written(source, tmp_path, facts):
    target = tmp_path / "out" / "flowers.keras"
    events = []
    found = exported(source, target, report=events.append)
    assert events[0] == StageStarted(Stage.EXPORT, 3)
    assert events[-1] == Progress(Stage.EXPORT, 3, 3, unit="steps")
    assert sorted(path.name for path in target.parent.iterdir()) == ["flowers.json", "flowers.keras"]
    assert read_facts(target).class_names == facts.class_names
    side_car = json.loads((target.parent / "flowers.json").read_text(encoding="utf-8"))
    assert side_car["class_names"] == list(facts.class_names)
    assert side_car["input"]["shape"] == [None, 16, 16, 3]
    assert side_car["input"]["value_range"] == [0, 255]
    assert side_car["usage"] == usage_snippet(found, "flowers.keras")
    assert "keras>=3.8" in side_car["usage"]
    assert side_car["versions"]["keras_at_least"] == read_facts(target).versions["keras_at_least"] == "3.8"
    with zipfile.ZipFile(target) as archive:
        assert json.loads(archive.read("cnn_studio.json"))["class_names"] == list(facts.class_names)


@pytest.mark.parametrize("existing", ["flowers.keras", "flowers.json"])
def test_an_existing_file_is_replaced_only_when_told_so(source, tmp_path, existing):
    target = tmp_path / "flowers.keras"
    (tmp_path / existing).write_text("precious")
    with pytest.raises(StorageError, match=f"{existing} exists already"):
        exported(source, target)
    assert (tmp_path / existing).read_text() == "precious"
    exported(source, target, replace=True)
    assert load_model(target)[1].class_count == 3


def test_a_file_that_answers_differently_is_not_kept(source, tmp_path, monkeypatch):
    target = tmp_path / "flowers.keras"
    target.write_text("precious")
    monkeypatch.setattr(
        export, "answers_of_script", lambda *given: answers_in_this_process(*given) + np.array([2e-5, 0, -2e-5])
    )
    with pytest.raises(ModelFileError, match="other probabilities"):
        exported(source, target, replace=True)
    assert target.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["flowers.keras", "run"]


@pytest.mark.parametrize("step", [1, 2])
def test_cancel_leaves_nothing_behind(source, tmp_path, step):
    cancel = CancelToken()

    def report(event):
        if isinstance(event, Progress) and event.done == step:
            cancel.cancel()

    with pytest.raises(JobCancelled):
        exported(source, tmp_path / "out" / "flowers.keras", cancel=cancel, report=report)
    folder = tmp_path / "out"
    assert not folder.exists() or list(folder.iterdir()) == []


def test_a_disk_that_is_really_full(source, tmp_path):
    resource = pytest.importorskip("resource", reason="only Unix limits a file's size")
    target = tmp_path / "out" / "flowers.keras"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_up(event):
        if isinstance(event, Progress) and event.done == 1:  # the source has been loaded
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))

    try:
        with pytest.raises(StorageError, match=r"flowers\.keras could not be written"):
            exported(source, target, report=fill_up)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(target.parent.iterdir()) == []


def test_another_ending_is_refused(source, tmp_path):
    with pytest.raises(ModelFileError, match=r"flowers\.keras"):
        exported(source, tmp_path / "flowers.h5")


def test_a_model_from_elsewhere_needs_names_and_then_exports(tmp_path):
    theirs = keras.Sequential([keras.Input((9, 9, 1)), keras.layers.Flatten(), keras.layers.Dense(1)])
    theirs.save(tmp_path / "theirs.keras")
    target = tmp_path / "ours.keras"
    with pytest.raises(ModelFileError, match="no class names"):
        exported(tmp_path / "theirs.keras", target)
    facts = exported(tmp_path / "theirs.keras", target, class_names=("no", "yes"))
    assert facts.class_names == ("no", "yes")
    answer = keras.saving.load_model(target).predict(np.zeros((2, 9, 9, 3), np.uint8), verbose=0)
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-6)


@pytest.mark.fresh_process
def test_the_script_runs_in_a_process_of_its_own(source, tmp_path):
    exported(source, tmp_path / "flowers.keras", replace=True)
    with pytest.raises(ModelFileError, match=r"did not work: .*no picture"):
        answers_of_script(
            "import keras\nmodel = keras.Model()\ndef classify(path): raise ValueError('no picture')",
            [tmp_path],
            CancelToken(),
        )


@pytest.mark.fresh_process
def test_cancel_ends_the_process_of_the_script():
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(JobCancelled):
        answers_of_script("while True: pass", [], cancel)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # told by plain Pillow; this program's decoder is silent
@pytest.mark.parametrize("fit", Fit)
def test_the_published_script_reads_files_as_the_program_does(make_model, facts, tmp_path, fit):
    """Every kind of picture in every fit, by the text itself: not one answer may differ."""
    save_model(make_model(), tmp_path / "model.keras", replace(facts, fit=fit))
    model, found = load_model(tmp_path / "model.keras")
    pictures = write_kinds(tmp_path)
    ours = np.array([model.predict_on_batch(read_image(path, 16, 16, fit)[None])[0] for path in pictures])
    theirs = answers_in_this_process(usage_snippet(found, str(tmp_path / "model.keras")), pictures, None)
    np.testing.assert_allclose(theirs, ours, atol=1e-6)
    assert ours.std(axis=0).min() > 1e-4  # the pictures are told apart at all


def write_kinds(folder):
    """Pictures of all kinds of files; the names tell what is special."""
    pixels = np.random.default_rng(1).integers(0, 256, (90, 120, 4)).astype(np.uint8)
    picture = Image.fromarray(pixels[..., :3])
    paths = write_sample_pictures(folder, 100, 70)

    def keep(name, image, **options):
        image.save(folder / name, **options)
        paths.append(folder / name)

    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        keep(f"turned {orientation}.jpg", picture, exif=exif)
        keep(f"turned {orientation}.png", picture, exif=exif)
        keep(f"turned {orientation}.tif", picture, exif=exif)
    keep("damaged exif.jpg", picture, exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    keep("progressive.jpg", picture, progressive=True)
    keep("grey.jpg", picture.convert("L"))
    keep("grey.png", picture.convert("L"), transparency=7)
    keep("grey with alpha.png", Image.fromarray(pixels).convert("LA"))
    keep("one colour transparent.png", picture, transparency=(1, 2, 3))
    keep("alpha.webp", Image.fromarray(pixels), lossless=True)
    keep("palette.gif", picture.quantize(8), transparency=3)
    keep("bits.png", picture.convert("1"))
    keep("wide.tif", Image.fromarray(pixels[..., 0].astype(np.uint16) * 13))
    keep("wide.jp2", Image.fromarray(pixels[..., 0].astype(np.uint16) * 13))
    keep("very wide.tif", Image.fromarray(pixels[..., 0].astype(np.int32) * 1300 - 20_000))
    keep("zero to one.tif", Image.fromarray(pixels[..., 0].astype(np.float32) / 250))
    keep("zero to 255.tif", Image.fromarray(pixels[..., 0].astype(np.float32)))
    keep("thin.png", picture.crop((0, 0, 120, 1)))
    keep("tall.png", picture.crop((0, 0, 1, 90)))
    keep("moving.gif", picture, save_all=True, append_images=[Image.new("RGB", picture.size)])
    wide = folder / "wide.pgm"
    wide.write_bytes(b"P5\n120 90\n65535\n" + (pixels[..., 0].astype(">u2") * 13).tobytes())
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    keep("long text.png", picture, pnginfo=text)
    return [*paths, wide]


def test_the_script_in_the_readme_is_the_published_one():
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("## Using an exported model")[2].partition("```python\n")[2].partition("```")[0]
    facts = ModelFacts(("daisy", "roses"), 160, 160, versions={"keras_at_least": "3.8"})
    assert shown == usage_snippet(facts, "flowers.keras")


def test_samples_that_cannot_be_compared_are_passed_over(source, tmp_path, monkeypatch):
    compared = []
    monkeypatch.setattr(
        export, "answers_of_script", lambda *given: compared.extend(given[1]) or answers_in_this_process(*given)
    )
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    Image.new("RGB", (400, 400), "red").save(tmp_path / "large.jpg")
    Image.new("RGB", (200, 400), "red").save(tmp_path / "fine.jpg")
    samples = [tmp_path / name for name in ("broken.jpg", "large.jpg", "fine.jpg", "gone.jpg")]
    exported(source, tmp_path / "flowers.keras", samples)
    assert [path for path in compared if path in samples] == [tmp_path / "fine.jpg"]
    assert len(compared) > 1


def test_real_photographs_are_answered_the_same_and_large_ones_nearly(shared_data, make_model, facts, tmp_path):
    """The quick version of tests/benchmarks/bench_parity.py."""
    save_model(make_model(), tmp_path / "model.keras", facts)
    model, found = load_model(tmp_path / "model.keras")
    photographs = sorted((shared_data / "flowers").rglob("*.jpg"))[::300]
    large = [tmp_path / f"large {number}.jpg" for number in range(len(photographs))]
    for path, target in zip(photographs, large, strict=True):
        with Image.open(path) as picture:
            picture.resize((900, 700), Image.Resampling.LANCZOS).save(target, quality=92)
    for paths, most in ((photographs, 1e-6), (large, 0.03)):
        ours = np.array([model.predict_on_batch(read_image(path, 16, 16)[None])[0] for path in paths])
        theirs = answers_in_this_process(usage_snippet(found, str(tmp_path / "model.keras")), paths, None)
        np.testing.assert_allclose(theirs, ours, atol=most)
        np.testing.assert_array_equal(theirs.argmax(axis=1), ours.argmax(axis=1))
