"""Features of files put to the utterances that they are of."""

import dataclasses
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from eacl_jax.dialogue import count, counted
from eacl_jax.errors import UserError
from eacl_jax.features.files import plain_key
from eacl_jax.features.table import ALL, FeatureTable, Rows

log = logging.getLogger(__name__)

SHOWN = 3
"""Utterances, and keys of a file, that a message shows."""
_BEHIND = 3
"""Numbers behind a dialogue's last utterance that are looked at; some may have no features."""
_MOST = 0.95
"""Share of dialogues that must show that numbers are off by one."""
_NUMBERED = re.compile(r"(|.*[^0-9])(0|[1-9][0-9]{0,17})", re.DOTALL)
"""An id that ends with a number, without zeros before it."""
_PLAIN = re.compile(r"(?:train|dev|test|val|valid)_(.+)", re.DOTALL)


def names_of(dialogue: str, utterance: int | str) -> tuple[str, ...]:
    """The keys that features of an utterance may have by its number, the plainest first.

    Args:
      dialogue: its id. `train_12`, as MELD's are read here, whose numbers begin anew in each split,
        is also called 12.
      utterance: its number in the dialogue, as the corpus' file has it, or else from 0.
    """
    plain = _PLAIN.fullmatch(dialogue)
    found = []
    for each in (dialogue, *(plain.groups() if plain else ())):
        found += [f"{each}/{utterance}", f"{each}_{utterance}", f"dia{each}_utt{utterance}"]
    return tuple(found)


def ids_of(identity: Any) -> tuple[str, ...]:
    """The keys that an utterance's own id may be, as features name it: a string, also without the
    ending of a sound file, or a whole number. Blanks around it are no part of it, as they are none
    of a table's keys. What is none of these is none.
    """
    if isinstance(identity, float) and identity.is_integer():  # beside empty cells
        identity = int(identity)
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = str(identity)
    if not isinstance(identity, str) or not (identity := identity.strip()):
        return ()
    return tuple(dict.fromkeys((identity, plain_key(identity))))


def has_row(rows: Rows, identity: Any) -> bool:
    """Whether an utterance's own id names a row."""
    return _first(rows, ids_of(identity)) is not None


def number_of(rows: Rows, dialogue: str, utterance: int, identity: Any) -> int | None:
    """The number that an own id gives an utterance which its file does not number; None where it
    gives none. An id that is a key of its dialogue as the rows are named, A/2, says that it is not
    the counted one, A/1, also where it has no row.

    Args:
      rows: by key.
      dialogue: its id.
      utterance: as it is counted.
      identity: its own id, if it has one.
    """
    for name in ids_of(identity):
        if (parts := _NUMBERED.fullmatch(name)) is None:
            continue
        number = int(parts[2])
        names = names_of(dialogue, number)
        if name not in names:
            continue
        if name in rows or names_of(dialogue, utterance)[names.index(name)] in rows:
            return number
    return None


def key_of(
    rows: Rows, names: Sequence[str], identity: Any, where: str, *, numbered: bool = False
) -> str | None:
    """The key of an utterance's row; None where it has none. An own id that names a row decides:
    where utterances are counted, those before it may have been left out.

    Args:
      rows: by key.
      names: its keys by its number; see `names_of`.
      identity: its own id, if it has one.
      where: for the message.
      numbered: whether its file has its number, which then says as much as an id.

    Raises:
      UserError: the number that its file has names one row, and its id another.
    """
    own, counted_to = _first(rows, ids_of(identity)), _first(rows, names)
    if own is None:
        return counted_to
    if numbered and counted_to not in (None, own):
        raise UserError(
            f"{where}: an utterance has the features of {counted_to!r:.60} by its number and those"
            f" of {own!r:.60} by its id: leave the column or field out that does not name its"
            " features."
        )
    return own


def _first(rows: Rows, names: Iterable[str]) -> str | None:
    return next((name for name in names if name in rows), None)


def shown(name: str, identity: Any = None) -> str:
    """An utterance's key and its own id, for a message."""
    ids = ids_of(identity)
    return f"{name!r:.60}" + (f" (its id {ids[0]!r:.60})" if ids else "")


def rows_of(table: FeatureTable, split: str, name: str) -> Rows:
    """The rows of a split, or all where they are not divided. Raises `UserError` for a split that
    is not there.
    """
    found = table.splits.get(split, table.splits.get(ALL))
    if found is None:
        raise UserError(
            f"the features {name!r} have no split {split}; they have {', '.join(table.splits)}."
        )
    return found


@dataclasses.dataclass
class Counted:
    """Whether a file's numbers of utterances or of dialogues are one too high or too low for a
    corpus: counted from 1 where the corpus counts from 0, nearly all find a row, which is another
    utterance's; or whether the corpus lacks utterances that the file has.

    Attributes:
      rows: by key.
      where: for the message.
      found: rows of the dialogues so far.
    """

    rows: Rows
    where: str
    found: int = 0
    _fits: dict[int, int] = dataclasses.field(default_factory=lambda: {0: 0, 1: 0, -1: 0})
    _for: dict[int, int] = dataclasses.field(default_factory=lambda: {1: 0, -1: 0})
    _against: dict[int, int] = dataclasses.field(default_factory=lambda: {1: 0, -1: 0})
    # Dialogues whose utterances are counted, how many of these have rows behind the last one, and
    # how many the last warning counted.
    _all: int = 0
    _past: int = 0
    _warned_of: int = 0
    # Dialogues with a number for an id, and of these by shift, whose utterances are those of the
    # rows to the number.
    _numbered: int = 0
    _same: dict[int, int] = dataclasses.field(default_factory=lambda: {0: 0, 1: 0, -1: 0})

    def add(self, dialogue: str, numbers: Collection[int], *, numbered: bool) -> None:
        """Counts a dialogue with the numbers of its utterances, of those without an id that has a
        row or with one that is a number.

        Args:
          dialogue: its id.
          numbers: of its utterances.
          numbered: whether its file has these, or their ids are (`number_of`); else some are
            counted from 0.
        """
        if not numbers:
            return
        least, most = min(numbers), max(numbers)
        near = {number + shift for number in numbers for shift in (-1, 0, 1)}
        there = {number for number in near if self._has(dialogue, number)}
        self.found += len(there)
        for shift in self._fits:
            self._fits[shift] += len(there & {number + shift for number in numbers})
        for shift, beyond, end in ((1, most + 1, least), (-1, least - 1, most)):
            self._for[shift] += beyond in there and end not in there
            self._against[shift] += end in there
        if not numbered:
            self._all += 1
            behind = range(most + 1, most + 1 + _BEHIND)
            self._past += any(self._has(dialogue, number) for number in behind)
        if (parts := _NUMBERED.fullmatch(dialogue)) is None:
            return
        self._numbered += 1
        for shift in self._same:
            other = f"{parts[1]}{int(parts[2]) + shift}"
            self._same[shift] += {n for n in near if self._has(other, n)} == set(numbers)

    def _has(self, dialogue: str, number: int) -> bool:
        return any(name in self.rows for name in names_of(dialogue, number))

    def check(self) -> None:
        """Raises `UserError` where more utterances have a row when one is taken from or added to
        each number, and it shows at both ends of nearly all dialogues; or where nearly all
        dialogues have the rows of the one before or behind, and fewer their own.
        """
        self._check_dialogues()
        for shift in (1, -1):
            shows, all_ends = self._for[shift], self._for[shift] + self._against[shift]
            if self._fits[shift] > self._fits[0] and shows >= _MOST * all_ends:
                how, end, beyond, whose, change = (
                    ("high", "first", "behind its last", "the one before", "subtract 1 from")
                    if shift == 1
                    else ("low", "last", "before its first", "the one behind", "add 1 to")
                )
                raise UserError(
                    f"{self.where}: the numbers of utterances in its keys are one too {how}: a"
                    f" dialogue's {end} utterance has no features, and there are some {beyond}, so"
                    f" that each would get those of {whose}. Utterances count from 0, or as the"
                    f" file of dialogues numbers them: {change} each number in the keys."
                )

    def warn(self) -> None:
        """Logs how many dialogues have rows behind their last utterance, unless it has said so: as
        utterances are counted, rows of a corpus that were left out give those behind them the
        features of others.
        """
        if self._past == self._warned_of:
            return
        self._warned_of = self._past
        log.warning(
            "%s: of %s whose file does not number the utterances, %s features behind the last one:"
            " where utterances were left out of the file, those after them get the features of"
            " others. Number the rows as the keys do, in a column 'turn' of a table, or give each"
            " utterance its key as `id`; where none but a dialogue's last ones were left out, all"
            " is well",
            self.where,
            count(self._all, "dialogue"),
            counted(self._past, "has", "have"),
        )

    def _check_dialogues(self) -> None:
        for shift, how, whose, change in (
            (1, "high", "behind", "subtract 1 from"),
            (-1, "low", "before", "add 1 to"),
        ):
            same = self._same[shift]
            if self._numbered > 1 and same > self._same[0] and same >= _MOST * self._numbered:
                raise UserError(
                    f"{self.where}: the numbers of dialogues in its keys are one too {how}: of"
                    f" {self._numbered} dialogues {same} have the utterances of the one {whose}"
                    f" there, and {self._same[0]} their own, so that each would get another's"
                    f" features: {change} each number in the keys. Dialogues without an id count"
                    " from 1."
                )


def joined(
    rows: Rows,
    utterances: Iterable[tuple[str, Sequence[str]]],
    where: str,
    *,
    ids: Mapping[str, Any] | None = None,
    numbered: Collection[str] = (),
) -> Mapping[str, str]:
    """Whose features are whose: by what `utterances` call each, the key of its row.

    Args:
      rows: of the split.
      utterances: an identity, and the keys that its features may have by its number.
      where: for the message.
      ids: likewise, by the identity the utterances' own ids.
      numbered: identities of those whose file has their number.

    Raises:
      UserError: two utterances claim the same row, one claims two, or no utterance has any.
    """
    ids = ids or {}
    of: dict[str, str] = {}
    claimed: dict[str, str] = {}
    asked: list[str] = []
    for identity, names in utterances:
        if len(asked) < SHOWN:
            asked.append(shown(names[0], ids.get(identity)))
        key = key_of(rows, names, ids.get(identity), where, numbered=identity in numbered)
        if key is None:
            continue
        if key in claimed:
            raise UserError(
                f"{where}: the features of {key!r} may be those of {claimed[key]} or of {identity};"
                " name them DIALOGUE/UTTERANCE."
            )
        claimed[key] = identity
        of[identity] = key
    if asked and not of:
        there = ", ".join(repr(key) for key in list(rows)[:SHOWN]) or "nothing"
        raise UserError(
            f"{where}: no utterance has features there. Their keys are {there}..., and the corpus'"
            f" first utterances are {', '.join(asked)}; keys are DIALOGUE/UTTERANCE,"
            " DIALOGUE_UTTERANCE, diaDIALOGUE_uttUTTERANCE or an utterance's own `id`."
        )
    return of
