"""Folder names that say what is done with the images below: the usual ones of published sets, in several languages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from cnn_studio.core.data.image_file import Split

_WORDS = {
    Split.TRAIN: "train training trainings trn trainval entrenamiento entreno entrainement apprentissage treino "
    "treinamento addestramento",
    Split.VALIDATION: "val valid validation validate validating dev devel development validacion validacao validazione "
    "validierung validierungs",
    # "eval" may mean either; what chose the epoch would flatter, what is kept for testing does not.
    Split.TEST: "test tests testing tst eval evaluation holdout prueba pruebas teste testes",
}
_OF_WORD = {word: split for split, words in _WORDS.items() for word in words.split()}

# What says nothing about the images, and stands before or behind those words or alone.
_NEUTRAL = (
    *("dataset", "datasets", "data", "daten", "datos", "set", "sets", "archive", "folder", "folders", "classes"),
    *("images", "image", "img", "imgs", "imagenes", "imagen", "pictures", "picture", "pics", "pic", "photos", "photo"),
    *("fotos", "foto", "jpeg", "jpegs", "jpg", "jpgs", "png", "split", "splits", "conjunto", "de"),
)


def _any_of(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_TOKEN = re.compile(f"(?:{_any_of(_NEUTRAL)})*(?:({_any_of(_OF_WORD)})(?:{_any_of(_NEUTRAL)})*)?")
_CAPITAL_WITHIN = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTERS = re.compile(r"[^\W\d_]+")


@lru_cache(maxsize=4096)
def split_of(name: str) -> tuple[Split, str] | None:
    """The split that a folder's name speaks of, and what else the name says; None when it speaks of none.

    ``train``, ``TrainingSet``, ``test1``, ``entrenamiento`` and ``images_train`` say nothing else (""); ``seg_train``
    says ``seg``. A name that speaks of two splits speaks of none.
    """
    found: set[Split] = set()
    rest = []
    for token in _tokens(name):
        match = _TOKEN.fullmatch(token)
        if match is None:
            rest.append(token)
        elif match[1]:
            found.add(_OF_WORD[match[1]])
    return (found.pop(), " ".join(rest)) if len(found) == 1 else None


def is_neutral(name: str) -> bool:
    """Whether a folder's name says nothing of what is on the images in it: ``images``, ``dataset``, ``JPEGImages``."""
    tokens = _tokens(name)
    return bool(tokens) and all((match := _TOKEN.fullmatch(token)) and not match[1] for token in tokens)


def _tokens(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", _CAPITAL_WITHIN.sub(" ", name)).casefold()
    return _LETTERS.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))
