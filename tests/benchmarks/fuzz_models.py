"""Damaged files of every kind: whatever is in them, the answer is a sentence, soon, and takes little memory.

python tests/benchmarks/fuzz_models.py [--share 1.0]

Files are made from seeds, so a number in the output makes the same file again: `--only archives --first 17 --count 1`.
Each four hundred run in a process of its own, so that one that crashes is counted and the rest go on.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

COUNTS = {"archives": 2000, "weights": 2000, "hdf5": 500, "images": 1000, "toml": 500, "json": 500}
_IN_ONE_PROCESS = 400
_SLOW = 10.0  # seconds of processor time


def mutated(content: bytes, seed: int) -> bytes:
    """Some bytes changed, cut out, put in twice or overwritten."""
    draw = np.random.default_rng(seed)
    data = bytearray(content)
    for _ in range(int(draw.integers(1, 10))):
        if not data:
            break
        place, length = int(draw.integers(len(data))), int(2 ** draw.uniform(0, 8))
        match int(draw.integers(6)):
            case 0:
                data[place] ^= 1 << int(draw.integers(8))
            case 1:
                data[place : place + length] = draw.bytes(length)
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = data[place : place + length] * int(draw.integers(1, 20))
            case 4:
                data[place : place + length] = bytes([int(draw.choice([0, 1, 127, 255]))]) * length
            case 5:
                word = (b"1e999", b"-1", b"[[[[", b'{"', b"null", b"99999999999999999999", b"\x1b[31m", b"\xed\xb0\x80")
                data[place:place] = word[int(draw.integers(len(word)))]
    return bytes(data)


def originals() -> dict[str, bytes]:
    """The parts of a good model file, ``{member: content}``."""
    import keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    hidden = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(layers.Rescaling(1 / 255)(image)))
    hidden = layers.Dense(16, kernel_regularizer="l2")(layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(hidden)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "good.keras"
        keras.Model(image, layers.Dense(3, activation="softmax")(hidden)).save(path)
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
    facts = {"class_names": ["a", "b", "c"], "height": 8, "width": 8, "metrics": {"val_accuracy": 0.5}, "versions": {}}
    return {**parts, "cnn_studio.json": json.dumps(facts).encode()}


def old_style(folder: Path) -> bytes:
    """A good model in one HDF5 file."""
    import logging

    import keras

    layers = keras.layers
    logging.disable(logging.WARNING)  # that the format is old
    model = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(3)])
    model.save(folder / "good.h5")
    return (folder / "good.h5").read_bytes()


def pictures() -> list[bytes]:
    """The same picture in each format that is usual."""
    from PIL import Image

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8))
    found = []
    for name in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM"):
        stream = io.BytesIO()
        picture.save(stream, name)
        found.append(stream.getvalue())
    return found


def packed(parts: dict[str, bytes], method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


def trials(kind: str, parts: dict[str, bytes], folder: Path) -> Callable[[int], None]:
    """A function that makes the file of a seed and reads it as the program does."""
    from cnn_studio.core.experiment.experiment import Experiment, experiment_to_toml, read_experiment
    from cnn_studio.core.image.decoder import probe_image, read_image
    from cnn_studio.core.runs.run import read_run
    from cnn_studio.ml.model_file import load_model, read_facts

    model = folder / "model.keras"
    methods = (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    whole = [packed(parts, method) for method in methods]
    toml = experiment_to_toml(Experiment()).encode()
    run = {"status": "finished", "data_name": "d", "data_root": "d", "class_names": ["a", "b"], "created": "2026"}
    run |= {"architecture": "small_cnn", "metrics": {"val_accuracy": 0.5}, "detail": "completed"}

    def archives(seed: int) -> None:
        model.write_bytes(mutated(whole[seed % len(whole)], seed))
        load_model(model)

    def weights(seed: int) -> None:
        changed = {**parts, "model.weights.h5": mutated(parts["model.weights.h5"], seed)}
        model.write_bytes(packed(changed, zipfile.ZIP_STORED))
        load_model(model)

    old = old_style(folder) if kind == "hdf5" else b""

    def hdf5(seed: int) -> None:
        (folder / "model.h5").write_bytes(mutated(old, seed))
        load_model(folder / "model.h5")

    good = pictures() if kind == "images" else []

    def images(seed: int) -> None:
        (folder / "picture").write_bytes(mutated(good[seed % len(good)], seed))
        probe_image(folder / "picture")
        read_image(folder / "picture", 32, 32)

    def toml_record(seed: int) -> None:
        (folder / "experiment.toml").write_bytes(mutated(toml, seed))
        read_experiment(folder / "experiment.toml")

    def json_record(seed: int) -> None:
        if seed % 2:
            (folder / "run.json").write_bytes(mutated(json.dumps(run).encode(), seed))
            read_run(folder)
        else:
            member = ("config.json", "cnn_studio.json")[seed // 2 % 2]
            model.write_bytes(packed({**parts, member: mutated(parts[member], seed)}, zipfile.ZIP_DEFLATED))
            read_facts(model) if member == "cnn_studio.json" else load_model(model)

    of_kind = {"archives": archives, "weights": weights, "hdf5": hdf5, "images": images}
    return {**of_kind, "toml": toml_record, "json": json_record}[kind]


def outcomes(kind: str, seeds: range, parts: dict[str, bytes], folder: Path) -> list[tuple[int, str, float]]:
    """(seed, "opened", "refused" or the name of an exception that nobody told in words, seconds) of each file."""
    from cnn_studio.core.errors import CnnStudioError

    trial = trials(kind, parts, folder)
    found = []
    for seed in seeds:
        began = time.process_time()
        try:
            trial(seed)
            outcome = "opened"
        except CnnStudioError:
            outcome = "refused"
        except Exception as error:  # noqa: BLE001 -- this is what is looked for
            outcome = type(error).__name__
        found.append((seed, outcome, time.process_time() - began))
    return found


def _child(kind: str, first: int, count: int) -> None:
    import resource

    parts = originals()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            for line in outcomes(kind, range(seed, seed + 1), parts, Path(folder)):
                memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
                print(json.dumps([*line, memory]), flush=True)


def _parent(kind: str, first: int, count: int) -> None:
    lines: list[list[object]] = []
    place, end = first, first + count
    while place < end:
        share = min(_IN_ONE_PROCESS, end - place)
        command = [sys.executable, __file__, "--child", "--only", kind, "--first", str(place), "--count", str(share)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=3600)
        got = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        lines += got
        place += len(got)
        if len(got) < share:
            lines.append([place, f"crash ({done.returncode})", 0.0, 0])
            place += 1
    bad = [line for line in lines if line[1] not in {"opened", "refused"}]
    slow = [line for line in lines if float(str(line[2])) > _SLOW]
    opened = sum(line[1] == "opened" for line in lines)
    longest, memory = max(float(str(line[2])) for line in lines), max(int(str(line[3])) for line in lines)
    print(
        f"| {kind} | {len(lines):,} | {opened:,} | {len(lines) - opened - len(bad):,} | {len(bad)} | {len(slow)} | "
        f"{longest:.1f} s | {memory / 1e6:.0f} MB |",
        flush=True,
    )
    for line in bad + slow:
        print(f"  seed {line[0]}: {line[1]}, {line[2]} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--only", choices=COUNTS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int)
    parser.add_argument("--child", action="store_true")
    asked = parser.parse_args()
    if asked.child:
        _child(asked.only, asked.first, asked.count)
        return
    print("| files | tried | opened | refused in words | uncaught | over 10 s | longest | most memory |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, count in COUNTS.items():
        if asked.only in {None, kind}:
            _parent(kind, asked.first, asked.count or round(count * asked.share))


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
