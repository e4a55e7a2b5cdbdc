"""Texts that a web page's markup was left in."""

import logging
import re
from collections.abc import Iterable

from eacl_jax.dialogue import counted

logger = logging.getLogger(__name__)

# `&#39;`, `&amp;`, `<br>`, `</p>`, `<a href="...">`, but not `<3` or `a < b`.
_MARKUP = re.compile(
    r"&(#\d+|#x[0-9a-f]+|amp|apos|gt|lt|nbsp|quot);"
    r"|</?(a|b|blockquote|br|code|div|em|i|img|li|p|pre|s|span|strong|u|ul)(\s[^<>]*)?/?>",
    re.IGNORECASE,
)


def markup_in(text: str) -> str:
    """The first entity or tag of HTML in a text, which the encoder would read as words; empty where
    there is none.
    """
    found = _MARKUP.search(text) if "&" in text or "<" in text else None
    return found[0] if found else ""


def about_markup(texts: Iterable[str]) -> str:
    """What to say of texts that hold HTML; empty where none does."""
    marks = [mark for text in texts if (mark := markup_in(text))]
    if not marks:
        return ""
    hold = counted(len(marks), "text holds", "texts hold")
    return (
        f"{hold} HTML, such as {marks[0]!r:.60}, which is read as words and turns answers round:"
        " give plain text."
    )


def warn_of_markup(texts: Iterable[str], where: str = "") -> None:
    """Logs how many texts hold HTML.

    Args:
      texts: of utterances.
      where: what the message begins with, as the name of a split.
    """
    if message := about_markup(texts):
        logger.warning("%s%s", where and f"{where}: ", message)
