"""Names of corpora and variants, and the folders that they get."""

import re
import unicodedata
from collections.abc import Iterable

_LONGEST = 100  # bytes of a folder's name; most file systems take 255

# Of devices, with whatever stands after a dot.
_RESERVED = frozenset(
    ("con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)))
)


def slug(name: str) -> str:
    """A name as a folder's: lower case, and a hyphen for whatever is no letter, digit or `_ . + =`.

    >>> slug("No angle, k=2")
    'no-angle-k=2'
    """
    plain = unicodedata.normalize("NFC", name).lower()
    return re.sub(r"[^\w.+=]+", "-", plain).strip("-.")


def check_names(what: str, names: Iterable[str]) -> list[str]:
    """What is wrong with names that become folders beside one another.

    Args:
      what: the names are of, as "variant".
      names: all of them.

    Returns:
      A line a problem.
    """
    problems: list[str] = []
    folders: dict[str, str] = {}
    for name in names:
        if reason := _unusable(name):
            problems.append(f"{what} {name!r:.80}: {reason}.")
            continue
        other = folders.setdefault(slug(name), name)
        if other == name and list(names).count(name) > 1:
            line = f"{what} {name!r}: there twice; names must differ."
            problems += [line] if line not in problems else []
        elif other != name:
            problems.append(
                f"{what} {name!r}: its folder would be that of {other!r} ({slug(name)}); rename"
                " one of them."
            )
    return problems


def _unusable(name: str) -> str:
    if name != name.strip() or not name:
        return "a name must not be empty, or begin or end with a space"
    if not name.isprintable() or "/" in name or "\\" in name:
        return "a name becomes a folder's, so it must be one line without slashes"
    if " @ " in name:
        return "` @ ` divides a variant from its stage, so no name has it"
    try:
        size = len(slug(name).encode())
    except UnicodeEncodeError:
        return "a name becomes a folder's, so it must be UTF-8"
    if not size:
        return "a name becomes a folder's, so it needs a letter or digit"
    if slug(name).partition(".")[0] in _RESERVED:
        return "its folder’s name is one that Windows keeps for itself; rename it"
    if size > _LONGEST:
        return f"its folder's name would have {size} bytes, and may have {_LONGEST}; shorten it"
    return ""
