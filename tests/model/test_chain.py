"""A chain over labels, against sums over every sequence of labels there is."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from eacl_jax.model.chain import (
    Chain,
    Potentials,
    Turns,
    fit,
    log_filtered,
    log_likelihood,
    log_marginals,
    log_unary,
    problems_of,
    viterbi,
)

LABELS = 3
SPEAKERS = [
    ["Ann", "Ann", "Ben", "Ann"],
    ["Ann"],
    ["Cy", "Cy"],
    ["Ann", "Ben", "Ann", "Ben", "Ben"],
]


def _example(seed: int = 0) -> tuple[np.ndarray, Turns, Potentials]:
    rng = np.random.default_rng(seed)
    turns = Turns.of(SPEAKERS)
    unary = np.log(rng.dirichlet(np.ones(LABELS), len(turns.same)))
    potentials = Potentials(rng.normal(size=LABELS), rng.normal(size=(2, LABELS, LABELS)))
    return unary, turns, potentials


def _by_hand(
    unary: np.ndarray, speakers: Sequence[str], potentials: Potentials
) -> dict[tuple[int, ...], float]:
    """The score of every sequence of labels of one dialogue."""
    found = {}
    for labels in itertools.product(range(LABELS), repeat=len(speakers)):
        total = potentials.start[labels[0]] + sum(unary[t, label] for t, label in enumerate(labels))
        for t in range(1, len(labels)):
            same = int(speakers[t] == speakers[t - 1])
            total += potentials.transitions[same, labels[t - 1], labels[t]]
        found[labels] = total
    return found


def _dialogues(unary: np.ndarray) -> Iterator[tuple[np.ndarray, list[str], slice]]:
    begin = 0
    for speakers in SPEAKERS:
        rows = slice(begin, begin + len(speakers))
        yield unary[rows], speakers, rows
        begin = rows.stop


def test_marginals_of_every_sequence() -> None:
    unary, turns, potentials = _example()
    found = np.exp(log_marginals(unary, turns, potentials))
    for own, speakers, rows in _dialogues(unary):
        weights = {labels: np.exp(s) for labels, s in _by_hand(own, speakers, potentials).items()}
        whole = sum(weights.values())
        for t, label in itertools.product(range(len(speakers)), range(LABELS)):
            share = sum(w for labels, w in weights.items() if labels[t] == label) / whole
            np.testing.assert_allclose(found[rows][t, label], share, atol=1e-12)


def test_filtering_is_marginals_of_the_utterances_until_then() -> None:
    unary, turns, potentials = _example(1)
    found = log_filtered(unary, turns, potentials)
    for own, speakers, rows in _dialogues(unary):
        for t in range(len(speakers)):
            until = Turns.of([speakers[: t + 1]])
            last = log_marginals(own[: t + 1], until, potentials)[-1]
            np.testing.assert_allclose(found[rows][t], last, atol=1e-12)


def test_viterbi_is_the_best_of_every_sequence() -> None:
    unary, turns, potentials = _example(2)
    found = viterbi(unary, turns, potentials)
    alone = unary.argmax(axis=1)
    assert (found != alone).any()  # else it would not tell
    for own, speakers, rows in _dialogues(unary):
        every = _by_hand(own, speakers, potentials)
        assert tuple(found[rows]) == max(every, key=lambda labels: every[labels])


def test_without_scores_each_utterance_is_alone() -> None:
    unary, turns, _ = _example(3)
    zero = Potentials.zero(LABELS)
    np.testing.assert_allclose(log_marginals(unary, turns, zero), unary, atol=1e-12)
    np.testing.assert_allclose(log_filtered(unary, turns, zero), unary, atol=1e-12)
    assert (viterbi(unary, turns, zero) == unary.argmax(axis=1)).all()


def test_likelihood_of_every_sequence_and_its_gradient() -> None:
    """Two utterances are not annotated; one of them has no unary scores either."""
    unary, turns, potentials = _example(4)
    gold = np.random.default_rng(5).integers(LABELS, size=len(unary))
    gold[[1, 9]] = -1
    unary[1] = 0
    value, gradient = log_likelihood(unary, gold, turns, potentials)
    expected = 0.0
    for own, speakers, rows in _dialogues(unary):
        every = _by_hand(own, speakers, potentials)
        agree = [
            score
            for labels, score in every.items()
            if all(g in (-1, label) for g, label in zip(gold[rows], labels, strict=True))
        ]
        expected += np.logaddexp.reduce(agree) - np.logaddexp.reduce([*every.values()])
    assert value == pytest.approx(expected, abs=1e-10)

    at, step = potentials.flat, 1e-6
    for index in range(len(at)):
        moved = np.array([at, at])
        moved[:, index] += [step, -step]
        up, down = (
            log_likelihood(unary, gold, turns, Potentials.of(each, LABELS))[0] for each in moved
        )
        assert gradient.flat[index] == pytest.approx((up - down) / (2 * step), abs=1e-6)


def test_fit_finds_what_labels_were_drawn_by() -> None:
    """Transitions of a known chain, to within what 4,000 utterances can tell; more penalty draws
    them to zero.
    """
    rng = np.random.default_rng(6)
    true = Potentials(np.array([1.0, 0, -1]), rng.normal(size=(2, LABELS, LABELS)))
    speakers = [list(rng.choice(["Ann", "Ben"], 20)) for _ in range(200)]
    turns, gold, unary = Turns.of(speakers), [], []
    for names in speakers:
        drawn = np.log(rng.dirichlet(np.ones(LABELS), len(names)))
        alone = Turns.of([names])
        chosen = np.full(drawn.shape, -np.inf)
        for t in range(len(names)):
            # One after the other: what is known so far holds, the rest is still open.
            known = np.where(np.isneginf(chosen).all(axis=1)[:, None], drawn, chosen)
            p = np.exp(log_marginals(known, alone, true)[t])
            label = rng.choice(LABELS, p=p / p.sum())
            chosen[t, label] = drawn[t, label]
            gold.append(label)
        unary.append(drawn)
    found = fit(np.concatenate(unary), np.array(gold), turns, penalty=0.01)

    def steps_of(potentials: Potentials) -> np.ndarray:
        """What the labels can tell of transitions: their double differences."""
        each = potentials.transitions
        return (
            each
            - each.mean(1, keepdims=True)
            - each.mean(2, keepdims=True)
            + each.mean((1, 2), keepdims=True)
        )

    np.testing.assert_allclose(steps_of(found), steps_of(true), atol=0.25)
    much = fit(np.concatenate(unary), np.array(gold), turns, penalty=1e6)
    assert np.abs(much.flat).max() < 0.01


def test_a_conversation_filters_as_a_dialogue() -> None:
    unary, turns, potentials = _example(7)
    chain = potentials.named(["a", "b", "c"], "marginals")
    found = np.exp(log_filtered(unary, turns, potentials))
    for own, speakers, rows in _dialogues(unary):
        known = own[0] + chain.potentials.start
        for t, speaker in enumerate(speakers):
            if t:
                known = own[t] + chain.after(known, same=speaker == speakers[t - 1])
            known = np.exp(known - np.logaddexp.reduce(known))
            np.testing.assert_allclose(known, found[rows][t], atol=1e-12)


def test_certain_probabilities_stay_finite() -> None:
    turns = Turns.of([["Ann", "Ben"]])
    found = log_marginals(log_unary(np.array([[1.0, 0], [0, 1]])), turns, Potentials.zero(2))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found), [[1, 0], [0, 1]], atol=1e-12)


def test_long_dialogues_stay_normalized() -> None:
    rng = np.random.default_rng(8)
    turns = Turns.of([["Ann"] * 20_000])
    unary = np.log(rng.dirichlet(np.ones(4), 20_000))
    potentials = Potentials(np.zeros(4), rng.normal(size=(2, 4, 4)))
    whole = np.exp(log_marginals(unary, turns, potentials)).sum(axis=1)
    np.testing.assert_allclose(whole, 1, atol=1e-9)


def test_no_utterances() -> None:
    turns = Turns.of([])
    assert log_marginals(np.zeros((0, 3)), turns, Potentials.zero(3)).shape == (0, 3)
    assert viterbi(np.zeros((0, 3)), turns, Potentials.zero(3)).shape == (0,)


def test_problems_name_the_field() -> None:
    good = Potentials.zero(2).named(["joy", "anger"], "viterbi")
    assert problems_of(good, ["joy", "anger"]) == []
    bad = Chain(start=(0.0,), same={"joy": (0.0, 0.0)}, other={"joy": (0.0,), "anger": (0.0, 0.0)})
    assert problems_of(bad, ["joy", "anger"]) == [
        "start: expected 2 numbers, one a label, got 1.",
        "same: expected the labels in their order, got joy.",
        "other.joy: expected 2 numbers, one a label, got 1.",
    ]
