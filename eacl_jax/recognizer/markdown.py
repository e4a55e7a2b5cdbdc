"""Names of any characters in Markdown, and tables of them: shown as they are, never as markup or
HTML.
"""

import html
import re
from collections.abc import Callable, Iterable


def plain(text: str) -> str:
    """Text on one line that means nothing to Markdown, in a paragraph or in a table's cell."""
    return re.sub(r"([\\`*_\[\]|~$])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def code(text: str) -> str:
    """Text on one line as code, in a paragraph or in a table's cell; empty text stays empty."""
    line = " ".join(text.split()).replace("|", r"\|")
    if not line:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    pad = " " if "`" in (line[0], line[-1]) else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def table(
    head: Iterable[str], rows: Iterable[Iterable[str]], *, cell: Callable[[str], str] = plain
) -> str:
    """A table; `cell` makes Markdown of what is in its rows."""
    columns = [plain(name) for name in head]
    lines = [columns, ["---"] * len(columns), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
