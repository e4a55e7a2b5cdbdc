"""Labels as annotators spell them.

The rule: blanks around a label go (no-break and zero-width ones too), runs of blanks within are
one, and Unicode's composed form stands for the decomposed one (NFC): nobody means these to be
different labels. What people may mean to be different, capitals, full-width letters, underscores or
nothing for blanks, a full stop or quotes around, is counted and refused, and so are words that say
"no label" and labels joined out of others; unless the labels are listed, which says what is meant.
"""

import ast
import json
import math
import numbers
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from eacl_jax.corpora.found import Found
from eacl_jax.dialogue import TaskName
from eacl_jax.errors import UserError

_WORDS = "- -- --- – — . ? n/a #n/a na <na> nan none null nil unlabeled unlabelled"
KEEP_ALL = "keep all with config.data.task=multi"
"""What to do in training with utterances of several labels."""

NO_LABEL = frozenset(_WORDS.split())
"""Words, without capitals, that stand where nobody annotated."""

NONE = "[]"
"""A cell that says: annotated, with none of the labels. An empty one: nobody annotated."""

# Characters of no width, a byte order mark among them. Joiners stay: emoji and some scripts are
# written with them.
_BLANKS = re.compile(r"[\s\u200b\u2060\ufeff]+")


_AROUND = " .,;:!?\"'`*()[]{}“”‘’"
"""Signs that make no other label of one that they stand around."""


def clean_label(label: str) -> str:
    """A label in the one form that it has here: composed characters, single blanks within, none
    around.
    """
    return _BLANKS.sub(" ", unicodedata.normalize("NFC", label)).strip()


def word_of(label: str) -> str:
    """The word of a label that is given none: itself, but for `|`, which would divide several."""
    return " ".join(label.replace("|", " ").split()) if "|" in label else label


def written_list(value: Any) -> Any:
    """A list that stands as text in a cell, as `["joy", "surprise"]` in JSON or Python; the value
    itself where it is no such text. A cell of `NONE` is one of its own.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not (text.startswith("[") and text.endswith("]")) or text == NONE:
        return value
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return found if isinstance(found, list) else value
    return value


def read_label(value: Any, where: str, *, field: str = "", keep_all: str = KEEP_ALL) -> str | None:
    """The label that a cell or a JSON value gives; None for an empty one.

    Args:
      value: a string, None, NaN, a whole number, or a list of at most one of them, which may be
        written as text (`written_list`).
      where: file and line, for the error message.
      field: that it stands in, as "field 'label'", for the error message; empty for the one that
        the place tells.
      keep_all: how a user keeps all of several labels, for the error message.

    Raises:
      UserError: several labels, or a value of another type.
    """
    inside = field and f" in {field}"
    also_inside = inside and f",{inside}"
    value = written_list(value)
    if isinstance(value, (list, tuple)):
        if len(value) > 1:
            raise UserError(
                f"{where} has {len(value)} labels, {list(value)!r:.80}{also_inside}; one utterance"
                f" has one: decide between them, or {keep_all}."
            )
        value = value[0] if value else None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if (
        isinstance(value, float) and value.is_integer()
    ):  # whole numbers beside empty cells, as pandas writes them
        value = int(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise UserError(
            f"{where}: the emotion must be a string, or empty where nobody annotated, got"
            f" {value!r:.60}{inside}."
        )
    return clean_label(value) or None


def read_labels(value: Any, where: str, field: str) -> tuple[str, ...] | None:
    """The labels in a list; None where nothing is given.

    Args:
      value: a list of strings or whole numbers, empty for none of the labels; or None.
      where: file and line, for the error message.
      field: its name, for the error message.

    Raises:
      UserError: it is no such list, or a label in it is empty or there twice.
    """
    if value is None:
        return None
    value = _listed(value)
    if not isinstance(value, (list, tuple)):
        raise UserError(
            f'{where}: field {field!r} must be a list of labels, as ["joy", "surprise"], or left'
            f" out where nobody annotated, got {value!r:.60}."
        )
    labels: list[str] = []
    for item in value:
        if isinstance(item, int) and not isinstance(item, bool):
            item = str(item)
        if not isinstance(item, str):
            raise UserError(
                f"{where}: field {field!r} must be a list of strings, but holds {item!r:.60}."
            )
        label = clean_label(item)
        if not label or label == NONE:
            raise UserError(
                f"{where}: field {field!r} holds {'an empty label' if not label else repr(label)};"
                " for none of the labels the list is empty."
            )
        if label in labels:
            raise UserError(f"{where}: field {field!r} has the label {label!r:.60} twice.")
        labels.append(label)
    return tuple(labels)


def read_annotations(value: Any, where: str) -> tuple[tuple[str, ...], ...] | None:
    """What each annotator gave; None where nothing is given.

    Args:
      value: a list with a list of labels an annotator (`read_labels`); or None.
      where: file and line, for the error message.

    Raises:
      UserError: it is no such list.
    """
    if value is None:
        return None
    value = _listed(value)
    if not isinstance(value, (list, tuple)) or not all(
        isinstance(_listed(item), (list, tuple)) for item in value
    ):
        raise UserError(
            f"{where}: field 'annotations' must be a list with a list of labels an annotator, as"
            f' [["joy"], ["joy", "surprise"], []], got {value!r:.80}.'
        )
    return tuple(
        read_labels(item, f"{where}: annotator {number}", "annotations") or ()
        for number, item in enumerate(value, 1)
    )


def _listed(value: Any) -> Any:
    """An array, as parquet files give lists, as a list."""
    return value.tolist() if type(value).__module__ == "numpy" else value


def check_spellings(
    found: Iterable[Found], listed: Sequence[str], how: str, task: TaskName = "single"
) -> None:
    """Several spellings of one label, words for "no label" and joined labels must be meant.

    Args:
      found: the dialogues of all files, as `tasks.settle` leaves them; what their annotators gave
        counts, too.
      listed: the labels that the user lists; whatever is among them is meant.
      how: how labels are listed, for messages.
      task: how many labels an utterance has.

    Raises:
      UserError: names spellings, counts and files, and says what to do.
    """
    counts: Counter[str] = Counter()
    files: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in found:
        for utterance in item.dialogue.utterances:
            voices = utterance.annotations or ()
            for label in {*utterance.labels, *(label for voice in voices for label in voice)}:
                if label not in listed:
                    counts[label] += 1
                    files[label][item.file.name] += 1
    problems = []
    by_key: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted({*counts, *listed}):
        by_key[spelling_key(label)].append(label)
    for spellings in by_key.values():
        if len(spellings) > 1 and (strange := [label for label in spellings if label in counts]):
            known = [f"{visible(label)} (listed)" for label in spellings if label not in counts]
            problems.append(
                f"one label in {len(spellings)} spellings:"
                f" {', '.join([*known, *_counted(strange, counts, files)])}"
            )
    if words := [label for label in sorted(counts) if label.casefold() in NO_LABEL]:
        problems.append(f"words for 'no label': {', '.join(_counted(words, counts, files))}")
    if task == "single" and NONE in counts:
        problems.append(
            f"{NONE!r}, none of the labels, where an utterance has one:"
            f" {', '.join(_counted([NONE], counts, files))}"
        )
    labels = {*counts, *listed}
    if joined := [
        label
        for label in sorted(counts)
        if len(parts := _parts(label)) > 1 and (parts <= labels or ";" in label)
    ]:
        what = (
            "several labels in one place, where an utterance has one"
            if task == "single"
            else "several labels where one should stand"
        )
        problems.append(f"{what}: {', '.join(_counted(joined, counts, files))}")
    if problems:
        several = (
            " Where an utterance may have several labels: config.data.task=multi."
            if (joined or NONE in counts) and task == "single"
            else " What divides labels in a cell: config.data.label_separator."
            if joined
            else ""
        )
        raise UserError(
            f"the annotations hold {'; and '.join(problems)}. Correct the files: one spelling a"
            f" label, nothing where nobody annotated.{several} If they are labels all the same,"
            f" list all labels with {how}."
        )


def visible(label: str) -> str:
    """A label in quotes, written so that no two look the same."""
    plain = label.isprintable() and unicodedata.normalize("NFKC", label) == label
    return repr(label) if plain else f"{label!r} [{ascii(label)[1:-1]}]"


def _counted(
    labels: Sequence[str], counts: Counter[str], files: defaultdict[str, Counter[str]]
) -> list[str]:
    return [
        f"{visible(label)} ({counts[label]}:"
        f" {', '.join(f'{name} {count}' for name, count in files[label].most_common(3))})"
        for label in labels
    ]


def _parts(label: str) -> set[str]:
    """The labels that one label joins, as doccano does with `joy#fear`."""
    return {part.strip() for part in re.split(r"[#,;|/&+]", label)}


def spelling_key(label: str) -> str:
    """What all spellings of one label have in common."""
    seen = "".join(
        c
        for c in unicodedata.normalize("NFKC", label).casefold()
        if unicodedata.category(c) != "Cf"
    )
    # Between letters or digits only: "-1" and "1", or two emoji, are different labels; "1 2" and
    # "12" too.
    joined = re.sub(r"(?<=[^\W\d_])[\s_\-]+(?=[^\W\d_])", "", seen)
    joined = re.sub(r"(?<=[^\W_])[\s_\-]+(?=[^\W_])", " ", joined)
    joined = _BLANKS.sub(" ", joined).strip()
    return joined.strip(_AROUND) or joined
