"""What a study compares: two sides on the same test utterances."""

import dataclasses
from collections.abc import Mapping

from eacl_jax.config import Stage
from eacl_jax.studies import statistics
from eacl_jax.studies.answered import Answered, drawn_by_seed
from eacl_jax.studies.definition import Side, Study
from eacl_jax.studies.table import Comparison


def compare(
    study: Study, groups: Mapping[tuple[str, str, str], list[Answered]]
) -> tuple[Comparison, ...]:
    """Every comparison of the study, on every corpus, by every measure: variants are read against
    the first variant and stage two against stage one, whichever way the study names them.

    Args:
      study: that names them.
      groups: answers of the seeds that are there, by corpus, variant and stage ("": of none).
    """
    # Of other corpora's runs there are answers on some corpora only: none on their own.
    absent = {
        corpus: study.transferred() - study.transferred(to=corpus) for corpus in study.corpora
    }
    found = [
        _pair(corpus, _oriented(sides, study.variants[0]), measure, groups)
        for measure in study.measures
        for corpus in study.corpora
        for sides in study.comparisons
        if not any(side.variant in absent[corpus] for side in sides)
    ]
    corrected: dict[int, float] = {}
    for measure in study.measures:
        known = [
            (number, each.difference.p)
            for number, each in enumerate(found)
            if each.measure == measure and each.difference and each.difference.p is not None
        ]
        by_holm = statistics.holm([p for _, p in known])
        corrected |= dict(zip([number for number, _ in known], by_holm, strict=True))
    return tuple(
        dataclasses.replace(each, p_holm=corrected.get(number)) for number, each in enumerate(found)
    )


def _oriented(sides: tuple[Side, Side], reference: str) -> tuple[Side, Side]:
    """The side that the other is read against, and the other."""
    one, two = sides
    if one.variant == two.variant:
        return sides if one.stage is Stage.ONE else (two, one)
    return (two, one) if two.variant == reference else sides


def _pair(
    corpus: str,
    sides: tuple[Side, Side],
    measure: str,
    groups: Mapping[tuple[str, str, str], list[Answered]],
) -> Comparison:
    names, group = [], []
    for side in sides:
        stage = "" if (corpus, side.variant, "") in groups else str(side.stage)
        names.append((side.variant, stage))
        group.append({each.seed: each for each in groups.get((corpus, side.variant, stage), [])})
    seeds = tuple(sorted({*group[0]} & {*group[1]}))
    first, second = ([side[seed] for seed in seeds] for side in group)
    difference, note = None, ""
    if not seeds:
        note = "no seed is complete on both sides"
    elif not all(a.asked_like(b) for a, b in zip(first, second, strict=True)):
        note = "the sides answered different test utterances or labels"
    else:
        difference = statistics.difference(
            [float(each.score(measure)) for each in first],
            [float(each.score(measure)) for each in second],
            drawn_by_seed(first, measure),
            drawn_by_seed(second, measure),
        )
    return Comparison(corpus, names[0], names[1], measure, seeds, difference, None, note)
