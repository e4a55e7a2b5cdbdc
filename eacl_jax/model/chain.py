"""The dialogue as a sequence: a linear-chain conditional random field over its labels.

With unary scores u_t[c], the logarithms of each utterance's calibrated probabilities, the labels
y_1 .. y_T of a dialogue have the score

    start[y_1] + sum_t u_t[y_t] + sum_{t>1} T_t[y_{t-1}, y_t]

where T_t is `same` where the speaker is that of the utterance before, else `other`. All zero, each
utterance is answered alone. Three ways to answer: the most probable sequence (Viterbi), the
marginals given the whole dialogue, and those given the utterances so far (forward filtering).

All by NumPy in float64, for many dialogues at once: at step t those that are longer than t.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from eacl_jax.config import Decoding

_LEAST = 1e-300  # a probability of 0 has no logarithm


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chain:
    """What is added to the scores of sequences of C labels; as a model's config.json holds it.

    Attributes:
      start: of each label, where it is a dialogue's first.
      same: by label what each label after it gets, in their order, where the speaker goes on.
      other: likewise, where the speaker is another.
      decoding: how whole dialogues are answered: by their most probable sequence of labels, or each
        utterance by its most probable one.
    """

    start: tuple[float, ...]
    same: dict[str, tuple[float, ...]]
    other: dict[str, tuple[float, ...]]
    decoding: Decoding = "viterbi"

    @property
    def potentials(self) -> "Potentials":
        """As arrays."""
        rows = [[*self.other.values()], [*self.same.values()]]
        return Potentials(np.asarray(self.start, np.float64), np.asarray(rows, np.float64))

    def whole(
        self, unary: Float[np.ndarray, "N C"], turns: "Turns"
    ) -> tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N C"]]:
        """The answers to whole dialogues, and the `log_marginals` of their utterances."""
        found = log_marginals(unary, turns, self.potentials)
        if self.decoding == "viterbi":
            return viterbi(unary, turns, self.potentials), found
        return found.argmax(axis=1), found

    def after(self, probability: Sequence[float], *, same: bool) -> Float[np.ndarray, " C"]:
        """What the next utterance's unary scores get when those until now are known, up to a
        constant.

        Args:
          probability: of the last utterance's labels, given all until then.
          same: whether its speaker goes on.
        """
        known = np.log(np.maximum(probability, _LEAST))
        return np.logaddexp.reduce(known[:, None] + self.potentials.transitions[int(same)], axis=0)


class Potentials(NamedTuple):
    """The parameters: [C], and [2, C, C], another speaker first; rows come before columns."""

    start: Float[np.ndarray, " C"]
    transitions: Float[np.ndarray, "2 C C"]

    @classmethod
    def zero(cls, count: int) -> "Potentials":
        """Of so many labels: each utterance alone."""
        return cls(np.zeros(count), np.zeros((2, count, count)))

    @classmethod
    def of(cls, flat: Float[np.ndarray, " P"], count: int) -> "Potentials":
        """From `flat`."""
        return cls(flat[:count], flat[count:].reshape(2, count, count))

    @property
    def flat(self) -> Float[np.ndarray, " P"]:
        """All in one row."""
        return np.concatenate([self.start, self.transitions.ravel()])

    def named(self, labels: Sequence[str], decoding: Decoding) -> Chain:
        """As a model holds them."""
        other, same = (
            {name: tuple(row) for name, row in zip(labels, rows.tolist(), strict=True)}
            for rows in self.transitions
        )
        return Chain(start=tuple(self.start.tolist()), same=same, other=other, decoding=decoding)


class Turns(NamedTuple):
    """Where dialogues begin and who goes on speaking, of N utterances one after the other.

    Attributes:
      steps: by t, rows of the utterances that are number t of their dialogue, those of the longest
        dialogues first; so row i of step t follows row i of step t - 1.
      same: whether the speaker is that of the utterance before; not looked at for the first.
    """

    steps: tuple[Int[np.ndarray, " n"], ...]
    same: Int[np.ndarray, " N"]

    @classmethod
    def of(cls, speakers: Sequence[Sequence[str]]) -> "Turns":
        """From the speakers of each dialogue's utterances."""
        lengths = np.array([len(each) for each in speakers], int)
        begins = np.cumsum(lengths) - lengths
        order = np.argsort(-lengths, kind="stable")
        steps = tuple(
            begins[order[: int((lengths > t).sum())]] + t for t in range(max(lengths, default=0))
        )
        same = [
            number > 0 and speaker == each[number - 1]
            for each in speakers
            for number, speaker in enumerate(each)
        ]
        return cls(steps, np.array(same, int))


def forward(
    unary: Float[np.ndarray, "N C"], turns: Turns, potentials: Potentials
) -> Float[np.ndarray, "N C"]:
    """Log of the summed weight of all beginnings that end in each label at each utterance."""
    alpha = np.array(unary, np.float64)
    for t, rows in enumerate(turns.steps):
        if not t:
            alpha[rows] += potentials.start
            continue
        before = alpha[turns.steps[t - 1][: len(rows)], :, None]
        alpha[rows] += np.logaddexp.reduce(
            before + potentials.transitions[turns.same[rows]], axis=1
        )
    return alpha


def backward(
    unary: Float[np.ndarray, "N C"], turns: Turns, potentials: Potentials
) -> Float[np.ndarray, "N C"]:
    """Log of the summed weight of all continuations after each label at each utterance."""
    beta = np.zeros(unary.shape)
    for t in range(len(turns.steps) - 1, 0, -1):
        rows = turns.steps[t]
        after = (unary[rows] + beta[rows])[:, None, :]
        beta[turns.steps[t - 1][: len(rows)]] = np.logaddexp.reduce(
            potentials.transitions[turns.same[rows]] + after, axis=2
        )
    return beta


def log_marginals(
    unary: Float[np.ndarray, "N C"], turns: Turns, potentials: Potentials
) -> Float[np.ndarray, "N C"]:
    """Log probabilities of each utterance's labels, given all of its dialogue."""
    return _normalized(forward(unary, turns, potentials) + backward(unary, turns, potentials))


def log_filtered(
    unary: Float[np.ndarray, "N C"], turns: Turns, potentials: Potentials
) -> Float[np.ndarray, "N C"]:
    """Log probabilities of each utterance's labels, given the utterances up to it."""
    return _normalized(forward(unary, turns, potentials))


def viterbi(
    unary: Float[np.ndarray, "N C"], turns: Turns, potentials: Potentials
) -> Int[np.ndarray, " N"]:
    """The most probable sequence of labels of each dialogue; of equal ones the first labels."""
    best, came = np.array(unary, np.float64), np.zeros(unary.shape, int)
    for t, rows in enumerate(turns.steps):
        if not t:
            best[rows] += potentials.start
            continue
        before = best[turns.steps[t - 1][: len(rows)], :, None]
        reached = before + potentials.transitions[turns.same[rows]]
        came[rows] = reached.argmax(axis=1)
        best[rows] += reached.max(axis=1)
    found = best.argmax(axis=1)
    for t in range(len(turns.steps) - 1, 0, -1):
        rows = turns.steps[t]
        found[turns.steps[t - 1][: len(rows)]] = came[rows, found[rows]]
    return found


def log_likelihood(
    unary: Float[np.ndarray, "N C"],
    gold: Int[np.ndarray, " N"],
    turns: Turns,
    potentials: Potentials,
) -> tuple[float, Potentials]:
    """Log probability of the annotated labels, summed over dialogues, and its gradient.

    Args:
      unary: of all utterances; rows of zeros where an utterance has none.
      gold: label indices; -1 where an utterance is not annotated: its label is summed out.
      turns: of the dialogues.
      potentials: where.
    """
    known = np.where(
        (gold[:, None] < 0) | (gold[:, None] == np.arange(unary.shape[1])), unary, -np.inf
    )
    constrained, expected_constrained = _partition(known, turns, potentials)
    free, expected_free = _partition(unary, turns, potentials)
    gradient = Potentials(
        expected_constrained.start - expected_free.start,
        expected_constrained.transitions - expected_free.transitions,
    )
    return constrained - free, gradient


def _partition(
    unary: Float[np.ndarray, "N C"], turns: Turns, potentials: Potentials
) -> tuple[float, Potentials]:
    """Log of the summed weight of all sequences, summed over dialogues, and how often each start
    and transition is expected.
    """
    alpha, beta = forward(unary, turns, potentials), backward(unary, turns, potentials)
    expected = Potentials.zero(unary.shape[1])
    total = 0.0
    for t, rows in enumerate(turns.steps):
        weight = alpha[rows] + beta[rows]
        whole = np.logaddexp.reduce(weight, axis=1)
        if not t:
            total += float(whole.sum())
            expected.start[:] = np.exp(weight - whole[:, None]).sum(axis=0)
            continue
        before = alpha[turns.steps[t - 1][: len(rows)], :, None]
        same = turns.same[rows]
        pairs = before + potentials.transitions[same] + (unary[rows] + beta[rows])[:, None, :]
        np.add.at(expected.transitions, same, np.exp(pairs - whole[:, None, None]))
    return total, expected


def fit(
    unary: Float[np.ndarray, "N C"],
    gold: Int[np.ndarray, " N"],
    turns: Turns,
    *,
    penalty: float,
) -> Potentials:
    """The scores that make annotated dialogues likeliest, less `penalty / 2` times the sum of their
    squares, which draws them towards answering each utterance alone.

    Args:
      unary: of the training utterances; rows of zeros where an utterance is not annotated.
      gold: see `log_likelihood`.
      turns: of their dialogues.
      penalty: above 0.
    """
    from scipy.optimize import minimize  # takes its time, and predicting does without

    count = unary.shape[1]

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = log_likelihood(unary, gold, turns, Potentials.of(at, count))
        return penalty / 2 * float(at @ at) - value, penalty * at - gradient.flat

    start = Potentials.zero(count).flat
    return Potentials.of(minimize(loss, start, jac=True, method="L-BFGS-B").x, count)


def log_unary(
    probability: Float[np.ndarray, "N C"], annotated: Bool[np.ndarray, " M"] | None = None
) -> Float[np.ndarray, "M C"]:
    """Unary scores, from the probabilities of N utterances.

    Args:
      probability: calibrated, of each utterance alone.
      annotated: which of M utterances these are; the others have none: zeros. None: N are all.
    """
    found = np.log(np.maximum(probability, _LEAST))
    if annotated is None:
        return found
    whole = np.zeros((len(annotated), probability.shape[1]))
    whole[annotated] = found
    return whole


def problems_of(chain: Chain, labels: Sequence[str]) -> list[str]:
    """What is wrong with a chain that was read, a line a field."""
    expected = f"expected {len(labels)} numbers, one a label"
    problems = []
    if len(chain.start) != len(labels):
        problems.append(f"start: {expected}, got {len(chain.start)}.")
    for name in ("same", "other"):
        rows: Mapping[str, Any] = getattr(chain, name)
        if tuple(rows) != tuple(labels):
            problems.append(f"{name}: expected the labels in their order, got {', '.join(rows)}.")
        problems += [
            f"{name}.{label}: {expected}, got {len(row)}."
            for label, row in rows.items()
            if len(row) != len(labels)
        ]
    return problems


def _normalized(weights: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    return weights - np.logaddexp.reduce(weights, axis=1, keepdims=True)
