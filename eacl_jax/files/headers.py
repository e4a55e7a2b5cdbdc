"""Names of a table's columns, as people and programs write them."""

import functools
import unicodedata

LABELS = frozenset(
    "emotion emotions emotionlabel emo label labels goldlabel category choice".split()  # noqa: SIM905
)
"""Names, as `plain` gives them, of columns that hold labels: of a corpus they are read as these, of
features refused.
"""


def composed(name: str) -> str:
    """A column's name without blanks around it, in Unicode's composed form: some programs write
    "ä" as one character, some as two.
    """
    return unicodedata.normalize("NFC", name).strip()


@functools.lru_cache(4096)  # asked of each row's
def plain(name: str) -> str:
    """A column's name without capitals, blanks and punctuation."""
    return "".join(
        letter for letter in unicodedata.normalize("NFKC", name).casefold() if letter.isalnum()
    )
