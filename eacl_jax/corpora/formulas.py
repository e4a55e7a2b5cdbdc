"""Cells of tables that a spreadsheet would take for formulas."""

import re
import unicodedata
from collections.abc import Sequence

from eacl_jax.corpora.forms import PROBABILITY

_FORMULA = "=+-@＝＋－＠"
_OF_ANSWERS = ("confidence", "truncated", "unknown_text")
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]+)?([eE][+-]?[0-9]+)?")


def guarded(value: object) -> object:
    """A cell with an apostrophe before it where a spreadsheet would take it for a formula and run
    it.

    The same rule as the page's (`serving/page/download.js`): a sign of a formula after any blanks
    and invisible characters, or a tab or line end first. Plain numbers stay, which say the same to
    a spreadsheet.
    """
    # Most cells begin with a letter or digit, which is told at once.
    if not isinstance(value, str) or value[:1].isalnum() or _NUMBER.fullmatch(value):
        return value
    first = next(
        (
            letter
            for letter in value
            if not letter.isspace() and unicodedata.category(letter) != "Cf"
        ),
        "",
    )
    return (
        f"'{value}"
        if (first and first in _FORMULA) or value.startswith(("\t", "\r", "\n"))
        else value
    )


def as_written(cells: list[str], header: Sequence[str]) -> list[str]:
    """A row of answers as it was before `guarded`: without the apostrophes, which would else be
    part of ids and texts when answers are read again. One before a plain number stays: `guarded`
    writes none there, so it is the text's own. Other tables' rows as they are: an answer has a
    column that no other table has.
    """
    if not {"dialogue", "utterance"} <= set(header) or not any(
        name in _OF_ANSWERS or PROBABILITY.fullmatch(name) for name in header
    ):
        return cells
    return [
        cell[1:] if cell.startswith("'") and guarded(cell[1:]) == cell else cell for cell in cells
    ]
