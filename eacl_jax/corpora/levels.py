"""Levels: coarser groupings of a corpus' labels, by which answers are scored too.

Unlike `groups.Groups`, they change no label.
"""

from collections.abc import Sequence

from eacl_jax.corpora.labels import clean_label
from eacl_jax.errors import UserError

_FORM = "LEVEL: GROUP=LABEL,LABEL,..."


def read_levels(rows: Sequence[str], labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Reads the rows of `data.levels`.

    Args:
      rows: "LEVEL: GROUP=LABEL,LABEL,...", a row a group.
      labels: of the taxonomy, in order.

    Returns:
      By level, the group of each label, in the order of the labels.

    Raises:
      UserError: names the row that is none, or whose label is unknown or in a group already; or the
        level that leaves a label out or has less than two groups.
    """
    levels: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows):
        level, colon, rest = row.partition(":")
        group, equals, members = rest.partition("=")
        level, group = clean_label(level), clean_label(group)
        names = [clean_label(name) for name in members.split(",")]
        found = levels.setdefault(level, {})
        problem = ""
        if not (colon and equals and level and group and all(names)):
            problem = f"expected '{_FORM}'"
        elif group in found.values():
            problem = f"the level {level!r} has a row for the group {group!r} already"
        elif strange := [name for name in names if name not in labels]:
            problem = f"there is no label {strange[0]!r}"
        elif twice := [name for index, name in enumerate(names) if name in names[:index]]:
            problem = f"the label {twice[0]!r} is there twice"
        elif other := [name for name in names if name in found]:
            problem = f"the label {other[0]!r} is in the group {found[other[0]]!r} already"
        if problem:
            raise UserError(
                f"config.data.levels[{number}]: {problem}, got {row!r:.120}. The labels are"
                f" {', '.join(labels)}."
            )
        found.update(dict.fromkeys(names, group))
    for level, found in levels.items():
        if without := [label for label in labels if label not in found]:
            raise UserError(
                f"config.data.levels: the level {level!r} has no group for"
                f" {', '.join(map(repr, without))}; each level has every label once."
            )
        if len(set(found.values())) < 2:
            raise UserError(
                f"config.data.levels: the level {level!r} has one group; it needs at least two."
            )
    return {level: tuple(found[label] for label in labels) for level, found in levels.items()}
