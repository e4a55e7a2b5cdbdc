"""Features as words in the text: "I got it! (loud, high, fast)".

A number in the upper third of the training utterances' is a word, and one in the lower third
another; thirds are the speaker's own where training knows enough of them. What is not known, and
the middle third, is no word.
"""

import dataclasses
import logging
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import SettingsError
from eacl_jax.features.modality import Modality, has_known

ENOUGH = 50
"""Training utterances of a speaker, from which on their own thirds count."""
_MANY = 12  # words an utterance, from which on they are told of
_LOG = logging.getLogger(__name__)
# The first row of which a part of a column's name is: `avg_pitch` has two. Spread, length and how
# clear a voice is have no words.
_WORDS: tuple[tuple[re.Pattern[str], tuple[str, str] | None], ...] = (
    (re.compile(r"variation|deviation|std|stdev|stddev|sd|(pctl)?range[0-9]*|var|variance"), None),
    (re.compile(r"duration|length|hnr|harmonics|voiced"), None),
    (re.compile(r"intensity|loudness|energy|volume|rms"), ("quiet", "loud")),
    (re.compile(r"pitch|f0|f0semitone"), ("low", "high")),
    (re.compile(r"rate|speed|tempo"), ("slow", "fast")),
)
_BORDERS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Where the lower third of each number ends, and where the upper one begins."""

    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Thirds:
    """How the numbers of a modality become words.

    Attributes:
      low: the word for the lower third of each number; empty for one without words.
      high: likewise for the upper third.
      all: of all training utterances.
      speakers: of the speakers of whom there are enough.
    """

    low: tuple[str, ...]
    high: tuple[str, ...]
    all: Bounds
    speakers: dict[str, Bounds] = dataclasses.field(default_factory=dict)

    def words(self, rows: Float[np.ndarray, "T F"], speaker: str) -> list[str]:
        """The words for an utterance."""
        bounds = self.speakers.get(speaker, self.all)
        values = _means(rows)
        found = [
            low if value < least else high if value > most else ""
            for value, low, high, least, most in zip(
                values, self.low, self.high, bounds.low, bounds.high, strict=True
            )
        ]
        return [word for word in found if word]


def thirds_of(
    name: str, modality: Modality, utterances: Sequence[Utterance], *, by_speaker: bool = True
) -> Thirds:
    """Of the training utterances.

    Args:
      name: of the modality.
      modality: its columns' names choose the words.
      utterances: of the training split; those without the features are passed over.
      by_speaker: whether a name stands for one person, whose own thirds then count.

    Raises:
      UserError: nothing says what its numbers are.
    """
    if not modality.columns:
        raise SettingsError(
            f"config.features.fusion=words needs names of the numbers of {name!r}, which has none;"
            " give them as a table with columns, or choose another fusion."
        )
    # What is made of sound here has words where it needs any.
    pairs = [_words(column, plain=not modality.made_by) for column in modality.columns]
    if not any(pairs):
        pairs = [_plain(column) for column in modality.columns]
    if (many := sum(map(bool, pairs))) > _MANY:
        _LOG.warning(
            "features %r: config.features.fusion=words puts up to %d words behind each text, one"
            " for each column, which take room from what was said before; give a table of the few"
            " columns that matter, or choose another fusion",
            name,
            many,
        )
    has = [u for u in utterances if has_known(u.features, name)]
    values = np.array([_means(u.features[name]) for u in has])
    has_words = np.array([bool(pair) for pair in pairs])
    of_speaker: dict[str, list[int]] = {}
    for number, utterance in enumerate(has):
        of_speaker.setdefault(utterance.speaker, []).append(number)
    return Thirds(
        tuple(pair[0] if pair else "" for pair in pairs),
        tuple(pair[1] if pair else "" for pair in pairs),
        _bounds(values, has_words),
        {
            speaker: _bounds(values[numbers], has_words)
            for speaker, numbers in sorted(of_speaker.items())
            if by_speaker and len(numbers) >= ENOUGH
        },
    )


def described(dialogues: Iterable[Dialogue], thirds: Mapping[str, Thirds]) -> list[Dialogue]:
    """The dialogues with their features' words behind the texts."""
    if not thirds:
        return list(dialogues)

    def with_words(utterance: Utterance) -> Utterance:
        words = [
            word
            for name, each in thirds.items()
            if has_known(utterance.features, name)
            for word in each.words(utterance.features[name], utterance.speaker)
        ]
        if not words:
            return utterance
        return dataclasses.replace(utterance, text=f"{utterance.text} ({', '.join(words)})")

    return [
        dataclasses.replace(each, utterances=tuple(map(with_words, each.utterances)))
        for each in dialogues
    ]


def _words(column: str, *, plain: bool) -> tuple[str, str] | None:
    """The words for a column's thirds: where no part of its name is known its own name's, if
    `plain`.
    """
    parts = [part.casefold() for part in _BORDERS.split(column)]
    for pattern, pair in _WORDS:
        if any(map(pattern.fullmatch, parts)):
            return pair
    return _plain(column) if plain else None


def _plain(column: str) -> tuple[str, str]:
    name = column.replace("_", " ")
    return f"low {name}", f"high {name}"


def _means(rows: Float[np.ndarray, "T F"]) -> list[float]:
    """Over the frames; NaN where a number is known in none."""
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    total = np.where(known, rows, 0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).tolist()


def _bounds(values: Float[np.ndarray, "N F"], has_words: np.ndarray) -> Bounds:
    """Where a number has no words, or is never known, nothing is beyond the bounds."""
    low, high = [], []
    for column, worded in zip(values.T, has_words, strict=True):
        known = column[np.isfinite(column)]
        third, other = np.quantile(known, (1 / 3, 2 / 3)) if worded and len(known) else (0.0, 0.0)
        some = worded and len(known) > 0
        low.append(float(third) if some else -1e300)
        high.append(float(other) if some else 1e300)
    return Bounds(tuple(low), tuple(high))
