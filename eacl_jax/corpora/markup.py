"""Texts that a web page's markup was left in."""

import logging
import re
from collections.abc import Iterable
from html.entities import html5

from eacl_jax.dialogue import counted

logger = logging.getLogger(__name__)

# `&#39;`, `&uuml;`, `<br>`, `</p>`, `<a href="...">`, but not `<3` or `a < b`.
_MARKUP = re.compile(
    r"&(?:#\d+|#x[0-9a-f]+|(?P<entity>[a-z][a-z0-9]{1,31}));"
    r"|</?(a|b|blockquote|br|code|div|em|i|img|li|p|pre|s|span|strong|u|ul)(\s[^<>]*)?/?>",
    re.IGNORECASE,
)
# Those that are read in any capitals.
_USUAL = frozenset({"amp", "apos", "gt", "lt", "nbsp", "quot"})


def markup_in(text: str) -> str:
    """The first entity or tag of HTML in a text, which the encoder would read as words; empty where
    there is none.
    """
    for found in _MARKUP.finditer(text) if "&" in text or "<" in text else ():
        name = found["entity"]
        if name is None or f"{name};" in html5 or name.lower() in _USUAL:
            return found[0]
    return ""


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
