"""Damaged files: a share of what ``tests/benchmarks/fuzz_models.py`` tries."""

import importlib.util
from pathlib import Path

import pytest

_SCRIPT = Path(__file__).parents[1] / "benchmarks" / "fuzz_models.py"
_spec = importlib.util.spec_from_file_location("fuzz_models", _SCRIPT)
fuzz = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(fuzz)


@pytest.fixture(scope="module")
def parts():
    return fuzz.originals()


@pytest.mark.filterwarnings("ignore")  # what Keras warns of in a damaged description is no matter here
@pytest.mark.parametrize("kind", fuzz.COUNTS)
def test_a_damaged_file_is_opened_or_refused_in_words(kind, parts, tmp_path):
    found = fuzz.outcomes(kind, range(60), parts, tmp_path)
    assert [line for line in found if line[1] not in {"opened", "refused"}] == []
    assert [line for line in found if line[2] > 10] == []
    assert any(line[1] == "refused" for line in found)
    assert fuzz.mutated(b"x" * 100, 3) == fuzz.mutated(b"x" * 100, 3) != b"x" * 100
