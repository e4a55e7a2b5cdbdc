"""Intervals and p-values against scipy, handmade values, and a simulation whose truth is known."""

import numpy as np
import pytest
from scipy import stats

from eacl_jax.studies import scoring, statistics
from eacl_jax.studies.statistics import Draws

SIMULATIONS, DIALOGUES, UTTERANCES, CLASSES = 600, 100, 8, 3

# Of an utterance, by its label times C plus its answer, both of C labels: [C C, K] counts.
CELLS = scoring.dialogue_counts(
    np.repeat(np.eye(CLASSES, dtype=bool), CLASSES, axis=0),
    np.tile(np.eye(CLASSES, dtype=bool), (CLASSES, 1)),
    np.arange(CLASSES**2),
)


def weighted_f1(counts):
    return scoring.summary(counts, "weighted_f1")


def bootstrap(counts, measure, draws):
    """The mean over S seeds [S, D, K] of a measure in each draw."""
    return sum(statistics.redrawn(seed, measure, draws) for seed in counts) / len(counts)


def simulate_cells(rng: np.random.Generator, dialogues: int, systems: int = 1) -> np.ndarray:
    """How many utterances have which label and answer, [systems, D, C C], in dialogues that are
    easy or hard as a whole, for all systems alike; systems err independently, and as often.
    """
    gold = rng.choice(CLASSES, p=[0.6, 0.3, 0.1], size=(dialogues, UTTERANCES))
    right = rng.beta(1.0, 0.7, size=(1, dialogues, 1)) > rng.random((systems, *gold.shape))
    wrong = (gold + rng.integers(1, CLASSES, (systems, *gold.shape))) % CLASSES
    cells = gold * CLASSES + np.where(right, gold, wrong)
    return (cells[..., None] == np.arange(CLASSES**2)).sum(axis=-2)


def simulate(rng: np.random.Generator, dialogues: int, systems: int = 1) -> np.ndarray:
    """Counts [systems, D, K] of `simulate_cells`."""
    return simulate_cells(rng, dialogues, systems) @ CELLS


@pytest.fixture(scope="module")
def truth():
    return float(weighted_f1(simulate(np.random.default_rng(1), 200_000)[0].sum(0)))


def within(rate: float, expected: float) -> bool:
    """Whether a rate of the simulations is the expected one, give or take three standard errors."""
    return abs(rate - expected) < 3 * np.sqrt(expected * (1 - expected) / SIMULATIONS)


def test_intervals_are_scipys():
    counts = simulate(np.random.default_rng(2), 60, systems=2)
    drawn = bootstrap(counts, weighted_f1, Draws(60, 20_000))
    low, high = statistics.interval(drawn)
    theirs = stats.bootstrap(
        (np.arange(60),),
        lambda rows, axis: weighted_f1(counts[:, rows].sum(2)).mean(0),
        n_resamples=20_000,
        method="percentile",
        batch=1000,
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert high - low > 5
    assert low == pytest.approx(theirs.low, abs=0.15)
    assert high == pytest.approx(theirs.high, abs=0.15)


def covered(counts, truth: float) -> bool:
    draws = Draws(len(counts), 500)
    low, high = statistics.interval(statistics.redrawn(counts, weighted_f1, draws))
    return low <= truth <= high


def test_intervals_cover_the_truth_as_often_as_they_promise(truth):
    rng = np.random.default_rng(4)
    rate = np.mean([covered(simulate(rng, DIALOGUES)[0], truth) for _ in range(SIMULATIONS)])
    assert within(rate, 0.95)


def test_drawing_utterances_would_promise_too_much(truth):
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(SIMULATIONS):
        total = simulate_cells(rng, DIALOGUES)[0].sum(0)
        # Utterances drawn with replacement: their cells of the confusion matrix are multinomial.
        drawn = rng.multinomial(total.sum(), total / total.sum(), size=500)
        low, high = statistics.interval(weighted_f1(drawn @ CELLS))
        hits += low <= truth <= high
    assert hits / SIMULATIONS < 0.9
    assert not within(hits / SIMULATIONS, 0.95)


def test_p_values_of_equal_systems_are_uniform():
    rng = np.random.default_rng(5)
    p_values = []
    for _ in range(SIMULATIONS):
        first, second = simulate(rng, DIALOGUES, systems=2)
        draws = Draws(DIALOGUES, 500)
        drawn = [statistics.redrawn(each, weighted_f1, draws)[None] for each in (first, second)]
        p_values.append(statistics.difference([0.0], [0.0], *drawn).p)
    assert within(np.mean(np.array(p_values) < 0.05), 0.05)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


def test_differences_are_paired():
    rng = np.random.default_rng(6)
    first = simulate(rng, 80)
    second = first.copy()
    second[0, :20] += 2 * CELLS[0]  # Right where the other has no answer at all: a little better.
    draws = Draws(80)
    drawn = [bootstrap(each, weighted_f1, draws) for each in (first, second)]
    scores = [weighted_f1(each.sum(1)) for each in (first, second)]
    found = statistics.difference(*scores, *(each[None] for each in drawn))
    assert found.mean == pytest.approx(float(scores[1][0] - scores[0][0]))
    assert 0 < found.low < found.mean < found.high
    assert found.p == pytest.approx(2 / 10_001)
    assert (found.higher, found.deviation) == (1, None)
    mean = statistics.estimate(scores[0], drawn[0])
    # Either's interval alone is far wider than that of their difference.
    assert found.high - found.low < 0.5 * (mean.high - mean.low)
    back = statistics.difference(*scores[::-1], *(each[None] for each in drawn[::-1]))
    assert (back.p, back.mean, back.higher) == (found.p, -found.mean, 0)


def test_equal_answers_differ_by_nothing():
    drawn = np.full((2, 99), 50.0)
    found = statistics.difference([50.0, 50.0], [50.0, 50.0], drawn, drawn)
    assert (found.mean, found.deviation, found.p, found.higher) == (0, 0, 1, 0)


def test_p_value_and_interval_say_the_same():
    differences = np.random.default_rng(0).normal(1.0, 0.6, 9999)
    for shift in np.linspace(-1.5, 1.5, 61):
        low, high = statistics.interval(differences + shift)
        assert (statistics.two_sided(differences + shift) < 0.05) == (low > 0 or high < 0)


def test_where_seeds_vary_more_than_dialogues_drawing_them_too_keeps_the_promise():
    """Two recipes that are equal, five seeds each: dialogues alone find a difference often."""
    rng = np.random.default_rng(8)
    hits = {"dialogues": 0, "seeds too": 0}
    for _ in range(1000):
        seeds, dialogues = rng.normal(0, 1, (5, 1)), rng.normal(0, 0.3)
        drawn = seeds + dialogues + rng.normal(0, 0.3, 400)
        for name, values in (
            ("dialogues", drawn.mean(axis=0)),
            ("seeds too", statistics.seeds_drawn(drawn)),
        ):
            low, high = statistics.interval(values)
            hits[name] += low <= 0 <= high
    assert hits["dialogues"] < 850
    assert 930 < hits["seeds too"] < 980


def drawn_of_equal_recipes(rng, seeds: int, dialogues: float, draws: int = 2000, count: int = 1):
    """Differences by seed and draw of so many recipes from one that is as good, each: seeds vary by
    1, dialogues move all alike by `dialogues`.
    """
    reference = rng.normal(0, 0.5**0.5, seeds)
    for _ in range(count):
        apart = rng.normal(0, 0.5**0.5, seeds) - reference
        moved = rng.normal(0, dialogues) + rng.normal(0, dialogues, draws)
        yield apart[:, None] + moved


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equal_recipes_of_few_seeds_are_called_different_as_seldom_as_promised(seeds):
    rng = np.random.default_rng(9)
    p_values = []
    for _ in range(SIMULATIONS):
        (drawn,) = drawn_of_equal_recipes(rng, seeds, 0.2)
        p_values.append(statistics.two_sided(statistics.seeds_drawn(drawn)))
    assert within(np.mean(np.array(p_values) < 0.05), 0.05)


def test_a_table_of_equal_recipes_seldom_has_a_difference():
    """Thirteen comparisons of three seeds with one reference: Holm's correction keeps its promise
    too, for which p-values far below 0.05 have to be right.
    """
    rng = np.random.default_rng(10)
    tables = 150
    found = 0
    for _ in range(tables):
        drawn = list(drawn_of_equal_recipes(rng, 3, 0.2, draws=1000, count=13))
        p_values = [statistics.two_sided(statistics.seeds_drawn(each)) for each in drawn]
        found += min(statistics.holm(p_values)) < 0.05
    assert found / tables < 0.05 + 3 * np.sqrt(0.05 * 0.95 / tables)


def test_where_dialogues_move_nothing_drawing_seeds_is_students_t():
    values = np.array([1.0, 2.5, 4.0])
    drawn = statistics.seeds_drawn(np.repeat(values[:, None], 10_000, axis=1))
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert statistics.interval(drawn) == pytest.approx((low, high), rel=0.01)
    expected = stats.ttest_1samp(values, 0).pvalue
    assert statistics.two_sided(drawn) == pytest.approx(expected, rel=0.01)


def test_p_value_and_interval_over_seeds_say_the_same():
    rng = np.random.default_rng(11)
    for _ in range(100):
        second = rng.normal(0.7, 0.5, (3, 1)) + rng.normal(0, 0.1, 9999)
        found = statistics.difference([0.0] * 3, [1.0] * 3, np.zeros((3, 9999)), second)
        if abs(found.wide_p - 0.05) > 0.001:  # draws are counted, and the interval's ends between
            assert (found.wide_p < 0.05) == (found.wide_low > 0 or found.wide_high < 0)


def test_equal_seeds_are_neither_higher_nor_lower():
    found = statistics.difference([60.0, 60.0, 60.0], [57.0, 60.0, 58.0], None, None)
    assert (found.higher, found.equal) == (0, 1)


def test_holm_by_hand():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.01, 0.02, 0.5, 0.9]) == pytest.approx([0.04, 0.06, 1.0, 1.0])
    assert statistics.holm([0.2]) == [0.2]
    assert statistics.holm([]) == []


def test_what_cannot_be_stated_is_left_out():
    assert statistics.estimate([50.0], None) == statistics.Estimate(50.0, None, None, None, (50.0,))
    assert statistics.difference([50.0], [51.0], None, None).p is None
    assert statistics.deviation([1.0, 3.0]) == pytest.approx(np.sqrt(2))
    assert len(statistics.limits(1, 1)) == 2
    assert statistics.limits(3, 100) == []
    assert "few" in statistics.limits(3, 12)[0]
