"""Labels that are another one typed wrong, or another form of its word."""

import difflib
import itertools
from collections.abc import Mapping

# Up to few utterances, a fifth of the other's at most show a slip; of more, a twentieth. Of forms
# of one word, half of the other's show that annotators were of two minds.
_FEW, _FEWER, _FAR_FEWER = 5, 5, 20
_FEWER_FORMS = 2
# Two slips in a word.
_LONG, _RATIO = 9, 0.88
# Shorter words are a letter from another word: `mad` and `sad`, `fear` and `dear`.
_WORD = 5
# What two words may end in that say the same emotion; "hopeful" and "hopeless" do not.
_ENDINGS = frozenset(
    ("", *"e y s d ed er ry red ing ness iness ful ous ment ance ence ion ation ity ly".split())  # noqa: SIM905
)
_STEM = 3


def alike(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    """Labels that few utterances have, and the label that each is nearly spelt as.

    Args:
      counts: how many utterances have each.
    """
    found = []
    for rare in filter(counts.__getitem__, counts):
        slips = _FEWER if counts[rare] <= _FEW else _FAR_FEWER
        near = [
            label
            for label in counts
            if counts[label] >= _FEWER_FORMS * counts[rare]
            and (pair := _differing(rare, label))
            and (
                _are_forms(*pair)
                or (counts[label] >= slips * counts[rare] and _is_typed_wrong(*pair))
            )
        ]
        if near:
            found.append((rare, max(near, key=counts.__getitem__)))
    return found


def _differing(one: str, other: str) -> tuple[str, str] | None:
    """The words in which two labels differ, if each has one such."""
    words = [label.casefold().replace("_", " ").replace("-", " ").split() for label in (one, other)]
    if len(words[0]) != len(words[1]):
        return None
    differ = [pair for pair in zip(*words, strict=True) if pair[0] != pair[1]]
    return differ[0] if len(differ) == 1 else None


def _is_typed_wrong(one: str, other: str) -> bool:
    """Whether a letter more, less, another or two in the other order are all; in long words more.

    First letters are hardly typed wrong, and other ones make another word: `anger` and `danger`,
    `happy` and `unhappy`. Digits count something.
    """
    start, (left, right) = _common(one, other)
    if any(letter.isdigit() for letter in one + other):
        return False
    end = _alike_from_start(left[::-1], right[::-1])
    left, right = left[: len(left) - end], right[: len(right) - end]
    if len(left) == 2 and left == right[::-1]:
        return len(one) > 2
    if not start:
        return False
    letter = max(left, right, key=len)
    if len(left) + len(right) == 1 and letter == one[start - 1]:
        return min(len(one), len(other)) > 2  # one letter twice
    if min(len(one), len(other)) < _WORD:
        return False
    if max(len(left), len(right)) == 1:
        return True
    ratio = difflib.SequenceMatcher(None, one, other, autojunk=False).ratio
    return min(len(one), len(other)) >= _LONG and ratio() >= _RATIO


def _are_forms(one: str, other: str) -> bool:
    """Whether two words are forms of one, as `sad` and `sadness`, `anger` and `angry`."""
    start, (left, right) = _common(one, other)
    return start >= _STEM and left in _ENDINGS and right in _ENDINGS


def _common(one: str, other: str) -> tuple[int, tuple[str, str]]:
    """How many letters two words begin with alike, and what follows in each."""
    start = _alike_from_start(one, other)
    return start, (one[start:], other[start:])


def _alike_from_start(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
