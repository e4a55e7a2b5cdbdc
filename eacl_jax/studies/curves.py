"""Which variants differ in one number only, so that a line can be drawn through them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from eacl_jax.studies.table import Row, Table
from eacl_jax.studies.words import by_test

# Two values are a comparison, not a curve.
FEWEST = 3


@dataclasses.dataclass(frozen=True)
class Curve:
    """Rows of one corpus and stage that differ in one setting.

    Attributes:
      setting: as `group.name`.
      points: its values, ascending, and their rows.
      others: the varied settings that are the same along the curve, where the study has several
        curves of this setting; else empty.
    """

    setting: str
    points: tuple[tuple[float, Row], ...]
    others: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def curves(table: Table, corpus: str) -> list[Curve]:
    """Of stage two, for every setting that has at least three numbers while all others stay; none
    through rows that were tested on different things.
    """
    varied = table.settings.get(corpus, {})
    rows = {row.variant: row for row in table.of(corpus) if row.variant in varied}
    names = dict.fromkeys(name for settings in varied.values() for name in settings)
    found = []
    for name in names:
        groups: dict[str, list[str]] = {}
        for variant in rows:
            others = {k: v for k, v in varied[variant].items() if k != name}
            groups.setdefault(repr(sorted(others.items(), key=lambda item: item[0])), []).append(
                variant
            )
        drawn = []
        for variants in groups.values():
            values = {v: varied[v].get(name) for v in variants}
            numbers = {
                float(value): rows[variant]
                for variant, value in values.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            }
            same_test = len(by_test(list(numbers.values()))) == 1
            if len(numbers) >= FEWEST and same_test:
                others = {k: v for k, v in varied[variants[0]].items() if k != name}
                drawn.append(Curve(name, tuple(sorted(numbers.items())), others))
        alone = len(drawn) == 1
        found += [dataclasses.replace(each, others={}) if alone else each for each in drawn]
    return found
