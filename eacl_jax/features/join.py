"""Features of files put to the utterances that they are of."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eacl_jax.errors import UserError
from eacl_jax.features.table import ALL, FeatureTable, Rows

_PLAIN = re.compile(r"(?:train|dev|test|val|valid)_(.+)", re.DOTALL)


def names_of(dialogue: str, utterance: int | str, identity: Any = None) -> tuple[str, ...]:
    """The keys that features of an utterance may have, the plainest first.

    Args:
      dialogue: its id. `train_12`, as MELD's are read here, whose numbers begin anew in each split,
        is also called 12.
      utterance: its number in the dialogue, as the corpus' file has it, or else from 0.
      identity: the utterance's own id; what is no string is none.
    """
    plain = _PLAIN.fullmatch(dialogue)
    found = []
    for each in (dialogue, *(plain.groups() if plain else ())):
        found += [f"{each}/{utterance}", f"{each}_{utterance}", f"dia{each}_utt{utterance}"]
    return (*found, identity) if isinstance(identity, str) else tuple(found)


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


def joined(
    rows: Rows, utterances: Iterable[tuple[str, Sequence[str]]], where: str
) -> Mapping[str, str]:
    """Whose features are whose: by what `utterances` call each, the key of its row.

    Args:
      rows: of the split.
      utterances: an identity, and the keys that its features may have.
      where: for the message.

    Raises:
      UserError: two utterances claim the same row, or no utterance has any.
    """
    of: dict[str, str] = {}
    claimed: dict[str, str] = {}
    asked: list[str] = []
    for identity, names in utterances:
        asked.append(names[0])
        key = next((name for name in names if name in rows), None)
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
        there = ", ".join(repr(key) for key in list(rows)[:3]) or "nothing"
        raise UserError(
            f"{where}: no utterance has features there. Their keys are {there}..., and the corpus'"
            f" first utterances are {', '.join(map(repr, asked[:3]))}; keys are DIALOGUE/UTTERANCE,"
            " DIALOGUE_UTTERANCE or diaDIALOGUE_uttUTTERANCE."
        )
    return of
