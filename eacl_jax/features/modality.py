"""What a model knows of one kind of features, and how they become its inputs."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from eacl_jax.dialogue import count
from eacl_jax.errors import UserError

MOST_DEVIATIONS = 10.0
"""Standardized numbers are cut here: one that is far out would else drown all others."""
CONSTANT = 1e30
"""Divides to 0: what a number means that was always the same, nothing was learnt of."""
_SHOWN = 20
"""Names of columns in a message."""
_SAME = 1e-6
"""Standardized numbers are the same where they differ by less."""
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
"""What a modality may be called: names of files, settings and fields are made of it."""
MAY_BE_FEATURES = re.compile(NAME.pattern + r"\..")
"""Begins as the name of a column NAME.COLUMN does."""


@dataclasses.dataclass(frozen=True)
class Modality:
    """One kind of features, as a model takes them.

    Attributes:
      width: numbers a frame, F.
      frames: of an utterance at most, T; of longer ones the last count.
      mean: of each number over the frames that are taken of the training utterances, F of them.
      deviation: likewise; `CONSTANT` where a number is always the same, or never known: then it
        says nothing.
      columns: what the numbers are; empty where it is not known.
      made_by: what makes them from sound; empty where it is not known.
    """

    width: int
    frames: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    columns: tuple[str, ...] = ()
    made_by: str = ""

    @classmethod
    def of(
        cls,
        found: Sequence[Float[np.ndarray, "t F"]],
        *,
        frames: int,
        columns: tuple[str, ...] = (),
        made_by: str = "",
    ) -> "Modality":
        """Of the training utterances that have them.

        Args:
          found: their frames; NaN is left out.
          frames: at most so many are taken of an utterance.
          columns, made_by: see `Modality`.
        """
        found = [known_frames(each)[-frames:] for each in found]
        rows = np.concatenate(found).astype(np.float64)
        known = np.isfinite(rows)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, rows, 0).sum(axis=0) / count
        centred = np.where(known, rows - mean, 0)
        deviation = np.sqrt((centred**2).sum(axis=0) / count)
        # Of numbers that are all the same, rounding leaves a little.
        same = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-6)
        longest = max(len(each) for each in found)
        return cls(
            rows.shape[1],
            longest,
            tuple(mean.tolist()),
            tuple(np.where(same, CONSTANT, deviation).tolist()),
            columns,
            made_by,
        )

    def standardized(self, rows: Float[np.ndarray, "t F"]) -> Float[np.ndarray, "u F"]:
        """Of mean 0 and deviation 1 over the training utterances; what is not known is the mean.
        Of more than `frames`, the last.
        """
        rows = known_frames(rows)[-self.frames :].astype(np.float64)
        rows = (rows - np.asarray(self.mean)) / np.asarray(self.deviation)
        rows = np.clip(np.where(np.isnan(rows), 0.0, rows), -MOST_DEVIATIONS, MOST_DEVIATIONS)
        return rows.astype(np.float32)

    def differ(self, found: Iterable[Float[np.ndarray, "t F"]]) -> bool:
        """Whether any number that is taken of utterances is another than in their other frames."""
        taken = (self.standardized(each) for each in found)
        first = next(taken)
        every = itertools.chain([first], taken)
        return any(np.abs(each - first[0]).max() > _SAME for each in every)


def described(modalities: Mapping[str, Modality]) -> str:
    """What a model reads beside the text, a line a modality."""
    return "".join(
        f"features {name}: {count(each.width, 'number')}"
        f"{': ' * bool(each.columns)}{shown_columns(each.columns)}\n"
        for name, each in modalities.items()
    )


def shown_columns(columns: Sequence[str]) -> str:
    """Names of columns for a message, the first of many."""
    more = f" and {len(columns) - _SHOWN:,} more" if len(columns) > _SHOWN else ""
    return ", ".join(columns[:_SHOWN]) + more


def is_filled_up(rows: Float[np.ndarray, "T F"]) -> bool:
    """Whether frames at the beginning or at the end, but not all, are zeros alone: as those of
    arrays that are filled up to one length. Frames of NaN are passed over.
    """
    zeros = np.all(known_frames(rows) == 0, axis=1)
    return bool((zeros[0] or zeros[-1]) and not zeros.all())


def known_frames(rows: Float[np.ndarray, "T F"]) -> Float[np.ndarray, "t F"]:
    """The frames of which any number is known, or the first where none is: arrays of one length
    have others at their ends.
    """
    known = ~np.isnan(rows).all(axis=1)
    return rows[known] if known.any() else rows[:1]


def check_rows(value: object, where: str) -> Float[np.ndarray, "T F"]:
    """Frames of an utterance, float32, from a list of numbers (one frame) or of such lists.

    Args:
      value: a list, or an array; None in it is a number that is not known.
      where: for the message.

    Raises:
      UserError: it is something else, is empty, or a number is infinite.
    """
    if isinstance(value, np.ndarray) and not are_numbers(value):
        raise UserError(
            f"{where}: expected an array of real numbers, got one of type {value.dtype}; convert it"
            " by astype('float32') where its values are features."
        )
    try:
        rows = np.asarray(value, np.float64)
        given = np.asarray(value, object) if isinstance(value, (list, tuple)) else rows
    except (TypeError, ValueError, OverflowError):  # the last: an integer of hundreds of digits
        rows = given = np.zeros(())
    plain = isinstance(value, np.ndarray) or not any(
        isinstance(each, (bool, np.bool_, str)) for each in given.ravel()
    )
    if rows.ndim not in (1, 2) or not rows.size or not plain:
        raise UserError(
            f"{where}: expected a list of numbers, or a list of frames of equally many numbers, got"
            f" {value!r:.60}."
        )
    with np.errstate(over="ignore"):
        rows = np.atleast_2d(rows).astype(np.float32)
    _check_finite(rows, where)
    return rows


def _check_finite(rows: np.ndarray, where: str) -> None:
    if np.isinf(rows).any():
        raise UserError(
            f"{where}: a number is infinite; leave it out (null) where it is not known."
        )


def are_numbers(rows: np.ndarray) -> bool:
    """Whether an array is of real numbers: not of complex ones, texts, truth values or objects."""
    kind = rows.dtype
    return kind.kind in "iuf" or kind.name.startswith(("bfloat", "float"))


def read_features(value: Any, where: str) -> dict[str, Float[np.ndarray, "T F"]]:
    """An utterance's features by modality, from the field that holds them; none from None.

    Args:
      value: `{"prosody": [0.1, 0.7], "face": [[0.1, 0.2], [0.3, null]]}`.
      where: for the message.

    Raises:
      UserError: it is something else, or a name cannot be a modality's.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UserError(
            f"{where}: field 'features' must be an object of numbers by modality, such as"
            f' {{"prosody": [0.1, 0.7]}}, got {value!r:.60}.'
        )
    return {
        check_name(name, where): check_rows(rows, f"{where}: features {name!r:.60}")
        for name, rows in value.items()
    }


def check_name(name: Any, where: str) -> str:
    """The same name. Raises `UserError` where no modality can be called so."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise UserError(
            f"{where}: {name!r:.60} cannot be a modality's name; expected letters, digits, - and _,"
            " at most 40, the first a letter."
        )
    return name


def has_known(features: Mapping[str, Float[np.ndarray, "T F"]], name: str) -> bool:
    """Whether an utterance has a modality: any number of it is known. Of rows of NaN alone it is
    missing, everywhere.
    """
    return name in features and not np.isnan(features[name]).all()


def check_modalities(
    features: Mapping[str, Float[np.ndarray, "T F"]], known: Mapping[str, Modality], where: str
) -> None:
    """Raises `UserError` where features are of another width than the model's, or no frames."""
    for name, rows in features.items():
        if (
            not isinstance(rows, np.ndarray)
            or rows.ndim != 2
            or not rows.size
            or not are_numbers(rows)
        ):
            raise UserError(
                f"{where}: its features {name!r} must be an array [T, F] of real numbers, in T"
                f" frames, got {rows!r:.60}."
            )
        _check_finite(rows, f"{where}: features {name!r}")
        if name in known and rows.shape[1] != known[name].width:
            columns = known[name].columns
            raise UserError(
                f"{where}: its features {name!r} have {rows.shape[1]} numbers, and the model knows"
                f" {known[name].width}" + (f": {', '.join(columns)}." if columns else ".")
            )
