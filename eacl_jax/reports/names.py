"""Short names that a figure can draw, whatever characters a label holds."""

from collections.abc import Sequence
from functools import cache

from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

LONGEST = 16
_LONGEST_WORDS = 32


@cache
def _drawn_characters() -> frozenset[int]:
    # DejaVu Sans comes with matplotlib, so that figures look alike on every machine.
    return frozenset(FT2Font(findfont(FontProperties(family="DejaVu Sans"))).get_charmap())


def drawn_words(words: str, otherwise: str) -> str:
    """Words for an axis, such as a measure's with a label in it; the others where the figures' font
    cannot draw them, or they would be too long.
    """
    fits = len(words) <= _LONGEST_WORDS and words.isprintable()
    return words if fits and {*map(ord, words)} <= _drawn_characters() else otherwise


def figure_names(labels: Sequence[str], longest: int = LONGEST) -> list[str]:
    """Names for figures, all different, at most so many characters.

    A long label keeps its beginning and its end. A label that the figures' font cannot draw, or
    that would look like another one when shortened, becomes its number: `#3` is the third label.
    """
    names = []
    for number, label in enumerate(labels, start=1):
        name = " ".join(label.split())
        if len(name) > longest:
            name = f"{name[: longest - 7].rstrip()}…{name[-6:].lstrip()}"
        drawable = name.isprintable() and all(
            ord(character) in _drawn_characters() for character in name
        )
        names.append(name if name and drawable else f"#{number}")
    return [
        name if names.count(name) == 1 else f"#{number}"
        for number, name in enumerate(names, start=1)
    ]
