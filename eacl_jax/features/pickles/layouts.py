"""The layouts of exchanged pickles, and what is in a file of one of them.

Each is a row of fields in the order in which they unpack, dicts from a dialogue's id to a list over
its utterances, and then the ids of the splits. They are those of the public loaders of DialogueRNN,
COSMIC, MMGCN, MM-DFN and SDT.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from eacl_jax.errors import UserError
from eacl_jax.features.join import ids_of, names_of
from eacl_jax.features.pickles.arrays import Array, Objects
from eacl_jax.features.pickles.reading import read_pickles

Family = Literal["iemocap", "meld", "emorynlp", "dailydialog"]
"""The corpora of which such files go round."""

LABELS: Mapping[str, tuple[str, ...]] = {
    "iemocap": ("happy", "sad", "neutral", "angry", "excited", "frustrated"),
    "meld": ("neutral", "surprise", "fear", "sadness", "joy", "disgust", "anger"),
}
"""What the numbers of labels stand for, where that is published, as the text corpora have them."""

ONLY_ANNOTATED: frozenset[Family] = frozenset({"iemocap"})
"""Whose files lack the utterances that nobody annotated: an utterance's place there is not its
number in the text corpus."""

_SPLITS = {"train": "train", "test": "test", "valid": "dev"}
_ROBERTA = "roberta1 roberta2 roberta3 roberta4 sentences train test valid"
_TEXTS = "text1 text2 text3 text4 audio visual sentences train test"
_LAYOUTS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "iemocap": (
        ("IEMOCAP_features", "ids speakers labels text audio visual sentences train test"),
        ("iemocap_features_roberta", f"speakers labels {_ROBERTA}"),
        ("iemocap_multimodal_features", f"ids speakers labels {_TEXTS}"),
    ),
    "meld": (
        ("MELD_features_raw1", "ids speakers labels text audio visual sentences train test rest"),
        ("meld_features_roberta", f"speakers labels sentiments {_ROBERTA}"),
        ("meld_multimodal_features", f"ids speakers labels {_TEXTS} rest"),
        ("meld_multimodal_features", f"ids speakers labels sentiments {_TEXTS} rest"),
    ),
    "emorynlp": (("emorynlp_features_roberta", f"speakers labels {_ROBERTA}"),),
    "dailydialog": (("dailydialog_features_roberta", f"speakers labels {_ROBERTA}"),),
}


_MOST_UTTERANCES = 1 << 19
"""Of all dialogues, and dialogues of a split; five times what the largest of these corpora has."""
_ROW = 64
"""What an utterance's features take beside their numbers, as so many numbers."""

_UNREAD = ("speakers", "sentiments", "rest")
_NO_FEATURES = frozenset((*_UNREAD, *_SPLITS, "ids", "labels", "sentences"))


@dataclasses.dataclass(frozen=True)
class Exchanged:
    """What a file holds, by the dialogue's id in it.

    Attributes:
      layout: which it is, by the name of the file that it is known by.
      splits: the ids of train and test, and of dev where the file has it; texts, of numbers too.
      labels: of each utterance, numbers.
      sentences: of each utterance.
      names: the utterances' own ids, as `join.ids_of` has them; None where the file has none, or
        its ids only count them.
      features: by modality, dialogue and utterance (from 0), float32 [T, F].
      infinite: by modality, how many numbers were infinite; they are NaN now.
      left_out: how many dialogues it has that are in none of its splits.
    """

    layout: str
    splits: Mapping[str, Sequence[str]]
    labels: Mapping[str, Sequence[int]]
    sentences: Mapping[str, Sequence[str]]
    names: Mapping[str, Sequence[str]] | None
    features: Mapping[str, Mapping[tuple[str, int], Float[np.ndarray, "T F"]]]
    infinite: Mapping[str, int]
    left_out: int

    @functools.cached_property
    def plain(self) -> Mapping[str, tuple[str, ...]]:
        """`plain` of the sentences. One that is there a thousand times is made plain once, or a
        small file could take much memory.
        """
        every = dict.fromkeys(text for each in self.sentences.values() for text in each)
        made = {text: plain(text) for text in every}
        return {key: tuple(made[text] for text in each) for key, each in self.sentences.items()}

    @property
    def utterances(self) -> int:
        """How many there are in all splits."""
        return sum(len(self.labels[key]) for key in itertools.chain(*self.splits.values()))


def plain(text: str) -> str:
    """A sentence without what copies of a corpus differ in: case, punctuation, remarks."""
    text = text.lower()
    # Behind the last bracket that closes, each that opens would be looked from to the end.
    closed = text.rfind("]") + 1
    text = re.sub(r"\[[^\]]*\]", "", text[:closed]) + text[closed:]
    return re.sub(r"[^a-z0-9]+", "", text)


def read_exchanged(file: Path, family: Family, most_bytes: int) -> Exchanged:
    """Reads an exchanged pickle.

    Args:
      file: the pickle.
      family: whose it is.
      most_bytes: a larger file is not read; features may take twice as much.

    Raises:
      UserError: it is no such file, is damaged, asks for anything but data, or its fields do not
        fit each other.
    """
    fields = read_pickles(file, most_bytes)
    if len(fields) == 1 and isinstance(fields[0], (list, tuple)):
        fields = list(fields[0])
    layout, found = _recognized(file, family, fields)
    del fields
    splits = _splits(file, found)
    labels: dict[str, list[int]] = {}
    sentences: dict[str, list[str]] = {}
    utterances, letters = 0, 0
    for key in itertools.chain(*splits.values()):
        where = f"{file}: dialogue {key!r:.60}"
        labels[key] = _of(found["labels"], key, "labels", where, _is_integer)
        sentences[key] = _of(found["sentences"], key, "sentences", where, _is_text)
        if len(labels[key]) != len(sentences[key]):
            raise UserError(
                f"{where} has {len(labels[key])} labels and {len(sentences[key])} sentences; each"
                " utterance must have one of both: take a fresh copy of the file."
            )
        utterances += len(labels[key])
        letters += sum(map(len, sentences[key]))
        if utterances > _MOST_UTTERANCES or letters > most_bytes:
            raise UserError(
                f"{where}: with it, the file has {utterances:,} utterances of {letters:,} letters,"
                " far more than a corpus has."
            )
    features: dict[str, dict[tuple[str, int], np.ndarray]] = {}
    infinite = {}
    allowed = most_bytes // 2  # of 4 bytes each
    for name in [name for name in found if name not in _NO_FEATURES]:
        rows, infinite[name] = _features(file, name, found.pop(name), labels, allowed)
        if not rows:
            raise UserError(f"{file}: no utterance has features in the field {name!r}.")
        allowed -= sum(each.size for each in rows.values())
        features[name] = rows
    names = _names(found.get("ids"), labels)
    left_out = len(found["labels"].keys() - labels.keys())
    return Exchanged(layout, splits, labels, sentences, names, features, infinite, left_out)


def _recognized(file: Path, family: Family, fields: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    problems = []
    for layout, row in _LAYOUTS[family]:
        names = row.split()
        if len(names) != len(fields):
            continue
        found = {
            name: _by_id(value)
            if name in ("labels", "sentences") or name not in _NO_FEATURES
            else value
            for name, value in zip(names, fields, strict=True)
        }
        wrong = next((name for name, value in found.items() if not _fits(name, value)), None)
        if wrong is None:
            return layout, found
        at = names.index(wrong)
        problems.append(
            f"field {at + 1} of {len(names)} should be {_wanted(wrong)}, and is a"
            f" {_kind(fields[at])}"
        )
    known = "; ".join(f"{layout}: {', '.join(row.split())}" for layout, row in _LAYOUTS[family])
    has = f"it has {len(fields)} fields ({', '.join(map(_kind, fields[:16]))})"
    raise UserError(
        f"{file} is of no layout that is known for {family}: {problems[0] if problems else has}."
        f" Known are {known}. Is the named corpus right?"
    )


def _fits(name: str, value: Any) -> bool:
    if name in _SPLITS:
        listed = value.value if isinstance(value, Array) else value
        return isinstance(listed, (list, tuple, set, frozenset, np.ndarray))
    if name in ("ids", "speakers", "sentiments"):
        return isinstance(value, dict)
    if name == "rest":
        return True
    if not isinstance(value, dict) or not value:
        return False
    first = next(iter(value.values()))
    if isinstance(first, Array) and isinstance(first.value, Objects):
        return name not in _NO_FEATURES  # which `_features` tells, by dialogue
    items = _items(first)
    if items is None:
        return False
    item = items[0] if len(items) else None
    if name == "labels":
        return item is None or _is_integer(item)
    if name == "sentences":
        return item is None or isinstance(item, str)
    return item is None or isinstance(item, (list, tuple, Array, np.ndarray))


def _wanted(name: str) -> str:
    if name in _SPLITS:
        return f"the ids of {_SPLITS[name]}, a list"
    what = {"labels": "numbers", "sentences": "texts"}.get(name, "vectors")
    return f"{name}, a dict from a dialogue's id to a list of {what}"


def _kind(value: Any) -> str:
    if isinstance(value, Array):
        return "array"
    if isinstance(value, dict) and value:
        return f"dict of {type(next(iter(value.values()))).__name__.lower()}s"
    return type(value).__name__


def _by_id(value: Any) -> Any:
    """A dict by the text of its ids; the value itself where it is none, or two are the same."""
    if not isinstance(value, dict):
        return value
    named = {str(key): each for key, each in value.items()}
    return named if len(named) == len(value) else None


def _items(value: Any) -> Sequence[Any] | np.ndarray | None:
    """The items of a list, or of an array of at least one dimension; an array's rows are not made
    before they are asked for, as there may be far more than utterances.
    """
    if isinstance(value, Array):
        value = value.value
    if isinstance(value, np.ndarray):
        if not value.ndim or (value.ndim == 1 and len(value) > _MOST_UTTERANCES):
            return None
        return value.tolist() if value.ndim == 1 else value
    return value if isinstance(value, (list, tuple)) else None


def _splits(file: Path, found: Mapping[str, Any]) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {}
    first: dict[str, str] = {}
    for name, split in _SPLITS.items():
        if name not in found:
            continue
        value = found[name]
        items = value if isinstance(value, (set, frozenset)) else _items(value)
        if (
            items is None
            or not 0 < len(items) <= _MOST_UTTERANCES
            or not all(_is_integer(each) or _is_text(each) for each in items)
        ):
            raise UserError(f"{file}: the ids of {split} must be texts or whole numbers, some.")
        keys = list(map(str, items))
        # A set has no order that stays.
        splits[split] = sorted(keys, key=natural) if isinstance(value, (set, frozenset)) else keys
        for key in keys:
            if key in first:
                raise UserError(
                    f"{file}: the dialogue {key!r:.60} is in {first[key]} and in {split}; it must"
                    " be in one of them, once: take a fresh copy of the file."
                )
            first[key] = split
    return splits


def natural(key: str) -> tuple[Any, ...]:
    """Sorts ids as people do: 2 before 10."""
    parts = re.split(r"(\d+)", key, flags=re.ASCII)
    return tuple(_digits(part) if at % 2 else part for at, part in enumerate(parts))


def _digits(text: str) -> tuple[int, str, str]:
    """Sorts as the number does, which may have more digits than `int` takes."""
    number = text.lstrip("0")
    return len(number), number, text


def _of(
    found: Mapping[str, Any], key: str, name: str, where: str, check: Callable[[Any], bool]
) -> list[Any]:
    items = _items(found.get(key))
    if items is None or not len(items):
        raise UserError(f"{where} is in a split, and has no {name}: its ids are other ones.")
    for each in items:
        if not check(each):
            raise UserError(
                f"{where}: its {name} should be {'texts' if name == 'sentences' else 'integers'},"
                f" and one is a {type(each).__name__}."
            )
    return list(items)


def _names(ids: Any, labels: Mapping[str, Sequence[int]]) -> dict[str, list[str]] | None:
    """The utterances' own ids; None where they do not tell all utterances apart, or count them: it
    would not be known whether those that nobody annotated count too.
    """
    ids = _by_id(ids)
    if not isinstance(ids, dict):
        return None
    names: dict[str, list[str]] = {}
    for key, numbers in labels.items():
        found = _items(ids.get(key))
        named = [] if found is None else [ids_of(each)[-1:] for each in found]
        if len(named) != len(numbers) or not all(named):
            return None
        names[key] = [name for (name,) in named]
    every = [name for each in names.values() for name in each]
    counts = all(
        name in names_of(key, at) for key, each in names.items() for at, name in enumerate(each)
    )
    return None if counts or len(set(every)) < len(every) else names


def _features(
    file: Path, name: str, found: Mapping[str, Any], labels: Mapping[str, Sequence[int]], most: int
) -> tuple[dict[tuple[str, int], np.ndarray], int]:
    rows: dict[tuple[str, int], np.ndarray] = {}
    infinite, width, first = 0, 0, ""
    for key, numbers in labels.items():
        if key not in found:
            continue
        where = f"{file}: {name} of dialogue {key!r:.60}"
        _check_objects(found[key], where)
        items = _items(found[key])
        if items is None or len(items) != len(numbers):
            raise UserError(
                f"{where}: expected a vector for each of its {len(numbers)} utterances, got"
                f" {'none' if items is None else len(items)}: take a fresh copy of the file."
            )
        for at, item in enumerate(items):
            vector = _vector(item, f"{where}, utterance {at}", most)
            if not vector.size:
                continue
            width, first = width or vector.shape[1], first or where
            if vector.shape[1] != width:
                raise UserError(
                    f"{where}, utterance {at}, has {vector.shape[1]} numbers, and {first} has"
                    f" {width}; all must have equally many."
                )
            most -= vector.size + _ROW
            if (wide := np.isinf(vector)).any():
                infinite += int(wide.sum())
                vector[wide] = np.nan
            rows[key, at] = vector
    return rows, infinite


def _vector(value: Any, where: str, most: int) -> np.ndarray:
    """float32 [T, F], a copy; empty where there is nothing. Of more than `most` numbers none is
    made.
    """
    _check_objects(value, where)
    try:
        found = _numbers(value, most)
        if found is None:
            raise UserError(
                f"{where}: the features take more memory than the limit of its size allows for."
            )
        numbers = np.asarray(found, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: expected numbers, a vector or rows of equally many.") from error
    if numbers.ndim not in (1, 2):
        raise UserError(f"{where}: expected a vector or rows of numbers, got {numbers.ndim} axes.")
    with np.errstate(over="ignore"):
        return np.atleast_2d(numbers).astype(np.float32)


def _check_objects(value: Any, where: str) -> None:
    """Raises `UserError` for an array of objects that cannot be read as numbers."""
    if isinstance(value, Array) and isinstance(value.value, Objects):
        raise UserError(
            f"{where}: it is an array of Python objects of {value.value.axes} axes; save a list"
            " instead, of an array of numbers an utterance."
        )


def _numbers(value: Any, most: int, deeper: int = 1) -> Any:
    """An array, a list of numbers or of rows of them; None where they are more than `most`. A row
    that stands there many times, as a small file may say, is looked at once.
    """
    if isinstance(value, Array):
        value = value.value
    if value is None:
        return []
    if isinstance(value, np.ndarray):
        return value if value.size <= most else None
    if not isinstance(value, (list, tuple)):
        raise TypeError
    if all(type(each) in (int, float) for each in value):
        return value if len(value) <= most else None
    if not deeper:
        raise TypeError
    rows, known, count = [], dict[int, Any](), 0
    for each in value:
        if id(each) not in known:
            known[id(each)] = _numbers(each, most, deeper - 1)
        if (row := known[id(each)]) is None:
            return None
        count += row.size if isinstance(row, np.ndarray) else len(row)
        if count > most:
            return None
        rows.append(row)
    return rows


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
