"""What a study compares: two sides on the same test utterances."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from eacl_jax.config import Stage
from eacl_jax.studies import statistics
from eacl_jax.studies.definition import Side, Study
from eacl_jax.studies.seed_answers import SeedAnswers, drawn_by_seed
from eacl_jax.studies.table import Comparison


def compare(
    study: Study, groups: Mapping[tuple[str, str, str], list[SeedAnswers]]
) -> tuple[Comparison, ...]:
    """Every comparison of the study, on every corpus, by every measure: variants are read against
    the first variant and stage two against stage one, whichever way the study names them.

    Args:
      study: that names them.
      groups: answers of the seeds that are there, by corpus, variant and stage ("": of none).
    """
    found = [
        _pair(corpus, _oriented(sides, study.variants[0]), measure, groups)
        for measure in study.measures
        for corpus in study.corpora
        for sides in study.compared(corpus)
    ]
    return tuple(
        corrected
        for measure in study.measures
        for corrected in _corrected([each for each in found if each.measure == measure])
    )


def _corrected(found: Sequence[Comparison]) -> list[Comparison]:
    """All comparisons of a measure with their p-values by Holm's correction."""
    apart = [each.difference for each in found]
    plain = _by_holm([None if of is None else of.p for of in apart])
    wide = _by_holm([None if of is None else of.wide_p for of in apart])
    return [
        dataclasses.replace(each, p_holm=p, wide_p_holm=wide_p)
        for each, p, wide_p in zip(found, plain, wide, strict=True)
    ]


def _by_holm(p_values: Sequence[float | None]) -> list[float | None]:
    """What is not known yet counts as no difference, so that the correction does not grow as runs
    are completed.
    """
    corrected = statistics.holm([1.0 if p is None else p for p in p_values])
    return [None if p is None else c for p, c in zip(p_values, corrected, strict=True)]


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
    groups: Mapping[tuple[str, str, str], list[SeedAnswers]],
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
        before, after = ([float(each.score(measure)) for each in side] for side in (first, second))
        if np.isnan([before, after]).any():
            note = "no pair of similar labels has test utterances of both"
        else:
            drawn = (drawn_by_seed(side, measure) for side in (first, second))
            difference = statistics.difference(before, after, *drawn)
    left_out = [each.left_out for side in group for each in side.values()]
    return Comparison(
        corpus,
        names[0],
        names[1],
        measure,
        seeds,
        difference,
        None,
        note,
        excluded_label=left_out[0] if left_out and measure == "micro_f1" else "",
    )
