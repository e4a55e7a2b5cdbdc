"""Ids of the dialogues of a list, which answers are joined by."""

import dataclasses
import itertools
from collections.abc import Sequence

from eacl_jax.dialogue import Dialogue


def same_id(dialogues: Sequence[Dialogue], named: Sequence[bool]) -> tuple[int, int] | None:
    """Indices of the first two dialogues that were given one id; None where there are none.

    Args:
      dialogues: of the list.
      named: whether each was given its id. An empty one is none.
    """
    first: dict[str, int] = {}
    for index, (dialogue, given) in enumerate(zip(dialogues, named, strict=True)):
        if given and dialogue.id and first.setdefault(dialogue.id, index) != index:
            return first[dialogue.id], index
    return None


def numbered_apart(dialogues: Sequence[Dialogue], named: Sequence[bool]) -> list[Dialogue]:
    """The dialogues; those whose number stands for an id, and is the id of another one, with a
    number beyond. Arguments as of `same_id`.
    """
    taken = {dialogue.id for dialogue, given in zip(dialogues, named, strict=True) if given}
    free = (n for n in map(str, itertools.count(len(dialogues) + 1)) if n not in taken)
    return [
        dataclasses.replace(dialogue, id=next(free))
        if not given and dialogue.id in taken
        else dialogue
        for dialogue, given in zip(dialogues, named, strict=True)
    ]
