"""Agreement of annotators: a textbook's numbers, values by hand, and what has no value."""

import itertools

import numpy as np
import pytest

from eacl_jax.corpora.agreement import (
    agreement_of,
    jaccard,
    krippendorff_alpha,
    masi,
    pairwise_agreement,
)
from eacl_jax.dialogue import Dialogue, Utterance

# Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, section C: four observers,
# twelve units, missing answers.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [[value for value in unit if value is not None] for unit in zip(*OBSERVERS, strict=True)]


def test_the_textbook_example() -> None:
    assert krippendorff_alpha(UNITS) == pytest.approx(0.743, abs=5e-4)
    squared = krippendorff_alpha(UNITS, lambda left, right: (left - right) ** 2)
    assert squared == pytest.approx(0.849, abs=5e-4)


def test_values_by_hand() -> None:
    # Answers a a | b b | a b: D_o = 2 / 6, D_e = 2 * 3 * 3 / (6 * 5).
    assert krippendorff_alpha([["a", "a"], ["b", "b"], ["a", "b"]]) == pytest.approx(1 - 5 / 9)
    assert krippendorff_alpha([["a", "a"], ["b", "b"]]) == 1
    assert krippendorff_alpha([["a", "b"], ["b", "a"]]) == pytest.approx(1 - 3 / 2)
    # Of four pairs two agree, however they are spread over utterances.
    assert pairwise_agreement([["a", "a", "b"], ["b", "b"], ["a"]]) == pytest.approx(2 / 4)
    assert pairwise_agreement([["a"], []]) is None


def test_distances_of_sets() -> None:
    joy, both, other = frozenset({"joy"}), frozenset({"joy", "fear"}), frozenset({"joy", "awe"})
    none: frozenset[str] = frozenset()
    assert [jaccard(joy, both), jaccard(both, other), jaccard(none, none), jaccard(none, joy)] == [
        pytest.approx(x) for x in (1 / 2, 2 / 3, 0, 1)
    ]
    assert [masi(joy, both), masi(both, other), masi(none, none), masi(none, joy)] == [
        pytest.approx(x) for x in (1 - 1 / 3, 1 - 1 / 9, 0, 1)
    ]


def test_answers_by_chance_agree_by_chance() -> None:
    rng = np.random.default_rng(0)
    answers = [[str(x) for x in row] for row in rng.integers(0, 3, (4000, 3))]
    alpha = krippendorff_alpha(answers)
    assert alpha == pytest.approx(0, abs=0.02)
    assert pairwise_agreement(answers) == pytest.approx(1 / 3, abs=0.02)


@pytest.mark.parametrize("answers", [[], [["a"], ["b"], []], [["a", "a"], ["a", "a"]]])
def test_nothing_is_measured_where_nothing_could_differ(answers: list[list[str]]) -> None:
    assert krippendorff_alpha(answers) is None


def dialogues(*annotations: tuple[tuple[str, ...], ...] | None) -> list[Dialogue]:
    return [
        Dialogue("1", tuple(Utterance("Ann", "Hm.", annotations=given) for given in annotations))
    ]


def test_agreement_of_dialogues() -> None:
    given = [
        (("joy", "awe"), ("joy",)),
        (("fear",), ("fear",), ("joy",)),
        ((), ("fear",)),
        (("fear",),),
        None,
    ]
    one = agreement_of(dialogues(*given), "single")
    assert one is not None
    assert (one["utterances"], one["annotators"]) == (3, [2, 3])
    assert one["alpha"] == krippendorff_alpha(
        [["joy", "joy"], ["fear", "fear", "joy"], ["", "fear"]]
    )
    assert one["pairwise"] == pytest.approx((1 + 1 + 0) / 5)
    assert list(one["by_label"]) == ["fear", "joy"]
    several = agreement_of(dialogues(*given), "multi")
    assert several is not None
    assert several["pairwise"] == pytest.approx((1 / 2 + 1 + 0) / 5)
    assert list(several["by_label"]) == ["awe", "fear", "joy"]
    assert several["by_label"]["awe"] == pytest.approx(0)
    sets = [[frozenset(labels) for labels in annotations] for annotations in given[:3]]
    for name, distance in (("alpha", masi), ("alpha_jaccard", jaccard)):
        assert several[name] == pytest.approx(by_definition(sets, distance))
    assert agreement_of(dialogues(None, (("joy",),)), "single") is None


def by_definition(units, distance):
    """1 - D_o / D_e over all ordered pairs of answers, written out."""
    total = sum(map(len, units))
    observed = sum(
        distance(x, y) / (len(unit) - 1)
        for unit in units
        for x, y in itertools.permutations(unit, 2)
    )
    every = [answer for unit in units for answer in unit]
    expected = sum(distance(x, y) for x, y in itertools.permutations(every, 2))
    return 1 - (observed / total) / (expected / (total * (total - 1)))
