"""Speakers' names as prompts have them. One unknown token beside "feels" weighs more than a text
does: an emoji in each name turns half of the answers round. What is left out or replaced here does
not.
"""

from collections.abc import Callable, Sequence

# In place of names that cannot be read: each of them a token to common tokenizers.
_NAMES = """
    Alice Adam Amy Andrew Anna Ben Beth Brian Carol Carl Claire Chris Diana
    Daniel Ellen David Emma Eric Eva Frank Grace Fred Hannah George Helen Henry
    Irene Jack Jane James Julia John Karen Kevin Kate Leo Laura Luke Linda
    Mark Lisa Martin Lucy Max Maria Michael Mary Nick Nina Oliver Nora Oscar
    Olivia Paul Rachel Peter Rose Robert Ruth Sam Sarah Simon Susan Thomas
"""
FIRST_NAMES = tuple(_NAMES.split())


def readable_name(
    name: str, first_names: Sequence[str], encode: Callable[[str], list[int]], unknown: int | None
) -> str:
    """A speaker's name without what the tokenizer does not know; one of the first names where no
    letters are left, or where there were none. A name becomes the same in every conversation.

    Args:
      name: as it was given.
      first_names: `FIRST_NAMES`.
      encode: text -> ids without special tokens.
      unknown: id of the unknown token, if there is one.
    """
    left = name
    if unknown in encode(name):
        words = "".join(" " if unknown in encode(letter) else letter for letter in name).split()
        left = " ".join(word for word in words if (ids := encode(word)) and unknown not in ids)
    if any(letter.isalpha() for letter in left):
        return left
    return first_names[sum(name.encode()) % len(first_names)]


def replaced_names(speakers: Sequence[str], index: int, first_names: Sequence[str]) -> list[str]:
    """First names in place of speakers' names: the first one for who speaks, the next for who spoke
    last before, and so on; then for who speaks first afterwards.

    Args:
      speakers: of an utterance and of those around it that its prompt may hold, in their order.
      index: the utterance's among them.
      first_names: `FIRST_NAMES`.
    """
    found = dict.fromkeys([*speakers[index::-1], *speakers[index + 1 :]])
    names = {who: first_names[number % len(first_names)] for number, who in enumerate(found)}
    return [names[who] for who in speakers]
