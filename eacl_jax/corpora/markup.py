"""Texts that a web page's markup was left in."""

import re

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
