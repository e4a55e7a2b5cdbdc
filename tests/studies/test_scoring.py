"""Counts of dialogues and what is measured by them, against the measures of a run."""

import numpy as np
import pytest

from eacl_jax.model import metrics
from eacl_jax.studies import scoring
from eacl_jax.studies.seed_answers import SeedAnswers, estimates

# Of four dialogues; others have no annotated utterance.
NUMBERS = np.sort(np.random.default_rng(0).choice([0, 3, 4, 9], 60))


def one_label(seed: int, excluded: str = "") -> tuple[np.ndarray, np.ndarray, SeedAnswers]:
    """Gold labels, answers, and both as what a study measures: a label is in neither, and one is
    never answered.
    """
    rng = np.random.default_rng(seed)
    gold, answers = rng.choice([0, 1, 3], 60), rng.choice([0, 1], 60)
    asked = SeedAnswers("", "", 0, tuple("abcd"), gold, NUMBERS, answers, excluded=excluded)
    return gold, answers, asked


def test_measures_of_several_labels_are_those_of_the_library():
    gold, answers = np.random.default_rng(0).random((2, 60, 4)) < 0.3
    gold[:, 2] = answers[:, 2] = False  # a label neither in gold nor answered
    counts = scoring.dialogue_counts(gold, answers, NUMBERS)
    assert counts.shape == (4, 15)
    assert counts[1, -3] == (NUMBERS == 3).sum()
    expected = metrics.summarize_several(gold, answers, "abcd")
    for name in scoring.SUMMARIES:
        assert scoring.summary(counts.sum(0), name) == pytest.approx(expected[name])
    margins = scoring.margins(counts.sum(0))
    f1 = scoring.label_scores(*margins, "f1")
    assert np.isnan(f1[2])
    assert np.nan_to_num(f1) == pytest.approx(list(expected["per_class_f1"].values()))
    precision = (gold & answers)[:, 0].sum() / answers[:, 0].sum()
    assert scoring.label_scores(*margins, "precision")[0] == pytest.approx(100 * precision)
    assert list(margins[1]) == list(gold.sum(axis=0))
    with pytest.raises(ValueError, match="no measure"):
        scoring.summary(counts, "f2")


def test_measures_of_one_label_are_those_of_the_library():
    gold, answers, found = one_label(1, excluded="b")
    confusion = metrics.confusion_matrix(gold, answers, 4)
    expected = metrics.summarize(confusion, "abcd", "b")
    assert found.measures[:4] == ("weighted_f1", "macro_f1", "accuracy", "micro_f1")
    for name in found.measures[:4]:
        assert found.score(name) == pytest.approx(expected[name])
    f1 = found.score("f1")
    assert np.isnan(f1).tolist() == [False, False, True, False]  # of nothing
    assert np.isnan(found.score("precision")).tolist() == [False, False, True, True]
    assert np.isnan(found.score("recall")).tolist() == [False, False, True, False]
    assert np.nan_to_num(f1) == pytest.approx(list(expected["per_class_f1"].values()))
    assert found.score("recall")[0] == pytest.approx(100 * confusion[0, 0] / confusion[0].sum())
    precision = confusion[0, 0] / confusion[:, 0].sum()
    assert found.score("precision")[0] == pytest.approx(100 * precision)
    assert list(found.support) == list(confusion.sum(axis=1))
    assert list(found.answered) == list(confusion.sum(axis=0))


def test_dialogues_are_measured_all_at_once():
    gold, answers, found = one_label(2, excluded="b")
    parts = [number == NUMBERS for number in np.unique(NUMBERS)]
    expected = [
        metrics.summarize(metrics.confusion_matrix(gold[some], answers[some], 4), "abcd", "b")
        for some in parts
    ]
    assert list(found.counts[:, -3]) == [some.sum() for some in parts]
    for name in found.measures[:4]:
        scores = scoring.summary(found.counts, name, 1)
        assert scores == pytest.approx([each[name] for each in expected])


def test_what_one_label_each_cannot_be_measured_by_is_refused():
    for excluded in ("", "e"):  # neither is one of the labels
        *_, found = one_label(3, excluded)
        for name in ("micro_f1", "jaccard", "similar_pairs_f1"):
            assert name not in found.measures
            with pytest.raises(ValueError, match="no measure"):
                found.score(name)


@pytest.mark.parametrize(("there", "undefined", "interval"), [(2, 10, None), (8, 0.1, (100, 100))])
def test_draws_without_a_label_are_no_scores_of_0(there, undefined, interval):
    """All answers are right; "c" is in some of thirty dialogues."""
    dialogues = np.repeat(np.arange(30), 4)
    gold = np.where(np.arange(120) % 2, 0, 1)
    gold[4 * np.arange(there)] = 2
    made = SeedAnswers("", "", 0, tuple("abc"), gold, dialogues, gold)
    for name in scoring.LABEL_SCORES:
        *_, found = estimates([made], name)
        assert (found.mean, found.values) == (100, (100,))
        assert found.undefined == pytest.approx(undefined, rel=1)
        assert (found.low, found.high) == (interval or (None, None))
    # Beside a seed that answers it often too: not of one seed in some draws and of two in others.
    often = SeedAnswers("", "", 1, tuple("abc"), gold, dialogues, np.full(120, 2))
    *_, precise = estimates([often, made], "precision")
    assert precise.mean == pytest.approx(50 * (1 + there / 120))
    assert (precise.low is None) == (interval is None)
    assert precise.undefined == pytest.approx(undefined, rel=1)
    # A seed that never answers it has no such score in any draw, and is left out of all.
    never = SeedAnswers("", "", 1, tuple("abc"), gold, dialogues, np.zeros(120, int))
    *_, alone = estimates([never, made], "precision")
    assert (alone.mean, alone.low) == (100, (interval or (None,))[0])
    # The mean of all labels is of those that a draw has.
    assert estimates([made], "macro_f1")[0].low == 100


def test_seeds_that_never_answer_a_label_have_no_precision_of_it():
    gold = np.tile([0, 0, 1, 1], 10)
    seeds = [
        SeedAnswers("", "", seed, ("a", "b", "c"), gold, np.arange(40) // 2, answers)
        for seed, answers in enumerate((gold, np.zeros(40, int), np.where(gold == 0, 2, 1)))
    ]
    a, b, c = estimates(seeds, "precision")
    assert (b.mean, b.values) == (100, (100, None, 100))
    assert (a.mean, a.values) == (75, (100, 50, None))
    # "c" has no utterance: right are none of the answers of the one seed that gives it.
    assert (c.mean, c.deviation, c.values) == (0, None, (None, None, 0))
    assert estimates(seeds[:2], "f1")[2].mean is None
    assert estimates(seeds, "f1")[1].values == (100, 0, 100)
