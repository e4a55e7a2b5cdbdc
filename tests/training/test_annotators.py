"""A run beside its annotators: divergences by hand and by scipy, answers where annotators agree."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import entropy

from eacl_jax.config import Stage
from eacl_jax.dialogue import Corpus, Dialogue, Taxonomy, Utterance
from eacl_jax.model.task import task_of
from eacl_jax.recognizer.results import Calibration
from eacl_jax.training.annotators import compare_with_annotators, divergence
from eacl_jax.training.answers import StageAnswers

LABELS = ("anger", "joy")
# Labels that stand, and what each annotator gave.
GIVEN = (
    (("joy",), (("joy",), ("joy",))),
    (("anger", "joy"), (("joy", "anger"), ("anger", "joy"))),
    (("anger",), (("anger",), ("joy",), ("anger",))),
    ((), ((), ("anger",))),
    (("joy",), (("joy",),)),
    (("joy",), None),
)


def corpus(task: str) -> Corpus:
    """With one label, only the utterances that have one."""
    utterances = [
        Utterance("Ann", "hello", None, labels, annotations)
        if task == "multi"
        else Utterance("Ann", "hello", labels[0], None, annotations)
        for labels, annotations in GIVEN
        if task == "multi" or len(labels) == 1
    ]
    splits = {
        "train": (Dialogue("a", (Utterance("Ann", "hello", "joy", ("joy",)),)),),
        "dev": (Dialogue("b", tuple(utterances)),),
        "test": (Dialogue("c", tuple(utterances)),),
    }
    return Corpus("custom", Taxonomy(LABELS, LABELS), splits, task)


def experiment(task: str):
    found = corpus(task)
    of = task_of(found)
    return SimpleNamespace(
        corpus=found, task=of, gold=lambda split: of.targets(found.splits[split])
    )


def answered(answers: np.ndarray, scores: np.ndarray) -> dict[Stage, StageAnswers]:
    calibration = Calibration(
        temperature=2.0,
        expected_calibration_error={},
        expected_calibration_error_uncalibrated={},
    )
    of = StageAnswers(
        None, *(dict.fromkeys(("dev", "test"), each) for each in (scores, answers)), calibration
    )
    other = dataclasses.replace(of, scores=dict.fromkeys(("dev", "test"), scores + 1))
    return {Stage.ONE: of, Stage.TWO: other}


def test_divergence_is_scipys():
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(5, 3))
    shares = rng.dirichlet([1, 1, 1], 5)
    shares[0] = [1, 0, 0]
    one = divergence(shares, logits, several=False)
    np.testing.assert_allclose(one, entropy(shares, softmax(logits, axis=1), axis=1))
    shares = rng.random((5, 3)).round(1)
    shares[0] = [1, 0, 0.5]
    q = expit(logits)
    expected = entropy(np.stack([shares, 1 - shares]), np.stack([q, 1 - q]), axis=0).sum(axis=1)
    np.testing.assert_allclose(divergence(shares, logits, several=True), expected)
    assert np.isfinite(divergence(shares, 1e6 * logits, several=True)).all()


def test_answers_are_scored_where_annotators_agree_and_where_not():
    of = experiment("multi")
    answers = np.array([[0, 1], [1, 0], [1, 0], [0, 1], [0, 0], [0, 0]], bool)
    scores = np.zeros((6, 2))
    found = compare_with_annotators(of, answered(answers, scores))
    assert found is not None
    assert set(found.agreement) == {"dev", "test"}
    assert (found.agreement["test"].utterances, found.agreement["test"].annotators) == (4, (2, 3))
    test = found.stage_one["test"]
    assert (test.agreed.utterances, test.differed.utterances) == (2, 2)
    assert test.agreed.scores["accuracy"] == test.differed.scores["accuracy"] == 50
    assert test.agreed.scores["jaccard"] == pytest.approx(75)
    # Of one label: log 2 - H(share) each, for probabilities of a half.
    halves = [2 * np.log(2), 2 * np.log(2)]
    third = -(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3)
    differ = [2 * (np.log(2) - third), np.log(2)]
    assert test.divergence == pytest.approx(np.mean([*halves, *differ]))
    assert found.stage_two["test"].divergence != test.divergence
    with_one = compare_with_annotators(experiment("single"), answered(np.ones(4, int), scores[:4]))
    assert with_one is not None
    assert with_one.stage_one["test"].agreed.scores["accuracy"] == 100
    assert with_one.stage_one["test"].differed.scores["accuracy"] == 0
    mean = (np.log(2) + np.log(2) - third) / 2
    assert with_one.stage_one["test"].divergence == pytest.approx(mean)


def test_with_one_label_all_that_an_annotator_gave_counts_in_agreement_as_in_shares():
    of = experiment("single")
    voices = [  # Two annotators name the same label first, and one of them gives another, too.
        (("joy", "anger"), ("joy",)),
        (("joy", "anger"), ("anger", "joy")),
    ]
    utterances = tuple(Utterance("Ann", "hello", "joy", None, each) for each in voices)
    splits = {split: (Dialogue("a", utterances),) for split in ("train", "dev", "test")}
    of.corpus = dataclasses.replace(of.corpus, splits=splits)
    of.gold = lambda split: of.task.targets(splits[split])
    # Right where they differ alone.
    found = compare_with_annotators(of, answered(np.array([1, 0]), np.zeros((2, 2))))
    test = found.stage_one["test"]
    assert (test.agreed.utterances, test.differed.utterances) == (1, 1)
    assert (test.agreed.scores["accuracy"], test.differed.scores["accuracy"]) == (0, 100)
    # Their shares are 3/4 and 1/4 where they differ, and halves where they agree.
    assert test.divergence == pytest.approx((np.log(2) - entropy([0.75, 0.25])) / 2)


def test_nothing_is_compared_of_single_annotators():
    of = experiment("multi")
    alone = {
        split: tuple(
            dataclasses.replace(
                d,
                utterances=tuple(
                    dataclasses.replace(u, annotations=(u.annotations or ((),))[:1])
                    for u in d.utterances
                ),
            )
            for d in dialogues
        )
        for split, dialogues in of.corpus.splits.items()
    }
    of.corpus = dataclasses.replace(of.corpus, splits=alone)
    assert compare_with_annotators(of, answered(np.zeros((6, 2), bool), np.zeros((6, 2)))) is None
