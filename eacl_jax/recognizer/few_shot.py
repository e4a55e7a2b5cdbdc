"""Stage two on a few examples: anchors move from where their label words put them, as far as the
examples warrant.

The objective is stage two's, plus a pull of each anchor towards where it began. A handful of
examples would otherwise drag anchors anywhere: with a recognizer trained on MELD and EmoryNLP's
labels, five examples a label without the pull lose ten points of dev weighted F1 against none at
all; with it they lose nothing (BUILD_NOTES.md).
"""

import dataclasses
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int

from eacl_jax.data.batching import round_up
from eacl_jax.model import decisions, metrics
from eacl_jax.model.calibration import expected_calibration_error, fit_temperature, probabilities
from eacl_jax.model.decisions import Affine, Decisions, SeveralAnswering
from eacl_jax.model.scores import Answering

# Chosen on EmoryNLP's dev split with recognizers trained on MELD. An anchor turned by 60 degrees
# costs PULL / 2 nats: as much as 43 examples whose likelihood is halved.
PULL = 60.0
FOLDS = 5
_EXAMPLES_STEP = 256
_ALL_RIGHT = 100 - 1e-6  # percent, but for rounding

Targets: TypeAlias = Int[np.ndarray, " N"] | Bool[np.ndarray, "N C"]
"""The label of each example, in 0..C-1; or which labels it has."""


class Today(NamedTuple):
    """What is answered to N examples: label indices [N], and probabilities [N, C]."""

    answers: Int[np.ndarray, " N"]
    probabilities: Float[np.ndarray, "N C"]


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """What adapting to annotated dialogues did.

    Attributes:
      examples: annotated utterances, by label.
      before: weighted F1 in percent of the anchors before, on these examples.
      cross_validated: weighted F1 in percent on dialogues that were held out, each fold in turn;
        None where there are fewer than two dialogues to divide.
      expected_calibration_error: of the held-out answers, in percent; None likewise.
      folds: into how many parts the dialogues were divided to hold each out in turn; 0 likewise.
      kept: the anchors stayed as they were, as held-out dialogues were not answered better by
        adapted ones.
      decided: where an utterance may have several labels, weighted F1 in percent on held-out
        dialogues with the anchors before and probabilities and thresholds that were fitted anew, as
        those of adapted anchors are; None likewise.
      refitted: utterances are answered otherwise than before by the same anchors. Where all labels
        have few examples the thresholds stay, and probabilities reach them otherwise.
      chained: a chain answers, as it did before.
      left_out: in words, what weighed answers beside the anchors before, and no longer does.
    """

    examples: dict[str, int]
    before: float
    cross_validated: float | None
    expected_calibration_error: float | None
    folds: int = 0
    kept: bool = False
    decided: float | None = None
    refitted: bool = False
    chained: bool = False
    left_out: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = ", ".join(f"{label} {count}" for label, count in self.examples.items())
        without = ""
        if self.left_out:
            without = f"\nAdapted anchors answer without {' and '.join(self.left_out)}."
        if self.cross_validated is None:
            return (
                f"examples: {counts}\nweighted F1 before {self.before:.2f}; the anchors were"
                " adapted. Nothing says whether that is better, and the confidence is not"
                " calibrated: give two dialogues or more that differ, so that some can be held out."
                f"{without}"
            )
        after = f"{self.cross_validated:.2f} on held-out dialogues" + (
            f" ({self.folds}-fold)" if self.folds else ""
        )
        error = f"expected calibration error of the answers {self.expected_calibration_error:.2f}"
        if self.decided is not None:
            after += f", without moving anchors {self.decided:.2f}"
        if not self.kept:
            return (
                f"examples: {counts}\nweighted F1 before {self.before:.2f}; adapted {after};"
                f" {error}{without}"
            )
        what = "only the probabilities were calibrated"
        if self.refitted:
            what = "only probabilities and thresholds were fitted, by which answers change"
        changed = "" if self.chained else f", and {what}"
        return (
            f"examples: {counts}\nweighted F1 before {self.before:.2f}; adapted {after}, which is"
            f" no better: the anchors were kept as they are{changed};"
            f" {error}\n{self._advice}"
        )

    @property
    def _advice(self) -> str:
        if self.before > _ALL_RIGHT:
            return (
                "All were answered right before, so that nothing could be better: dialogues that"
                " it answers wrongly would tell more."
            )
        return (
            "What may help: more annotated dialogues, above all of the labels with few examples;"
            " words that say better what each label means; or training on them."
        )


def adapt_anchors(
    reps: Float[np.ndarray, "N m"],
    labels: Targets,
    anchors: Float[np.ndarray, "A m"],
    *,
    temperature: float,
    anchors_per_label: int = 1,
    weights: Float[np.ndarray, " N"] | None = None,
    affine: Affine | None = None,
    classifies: bool = False,
) -> Float[np.ndarray, "A m"]:
    """The anchors that minimize `CE + PULL / n * sum_a (1 - cos(e_a, start_a))` over n examples;
    each is as long as before.

    A label without examples keeps its anchors as they are. The result depends on nothing random.

    Args:
      reps: representations.
      labels: in 0..C-1; or, [N, C], which labels there are, where there may be several.
      anchors: where to begin, [C k, m], a label's side by side.
      temperature: of the scores.
      anchors_per_label: k.
      weights: 0 for examples to leave out; None: all count.
      affine: scale and biases of several labels' probabilities, which stay as they are; CE is then
        binary.
      classifies: see `losses_multi.label_logits`.
    """
    weights = (
        np.ones(len(labels), np.float32) if weights is None else np.asarray(weights, np.float32)
    )
    counts = _counts(labels[weights > 0], len(anchors) // anchors_per_label)
    present = np.repeat(counts > 0, anchors_per_label)
    if not present.any():
        return anchors
    from eacl_jax.recognizer.descent import minimize  # JAX, which predicting may do without

    missing = round_up(len(labels), _EXAMPLES_STEP) - len(labels)  # so that few sizes are compiled
    padded = [
        np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))
        for array in (reps, labels.astype(np.int32 if affine is None else np.float32), weights)
    ]
    return np.asarray(
        minimize(
            anchors.astype(np.float32),
            present[:, None],
            *padded,
            affine,
            temperature=temperature,
            anchors_per_label=anchors_per_label,
            classifies=classifies,
            pull=PULL,
        )
    )


def _counts(labels: Targets, classes: int) -> Int[np.ndarray, " C"]:
    """Examples of each label."""
    return np.bincount(labels, minlength=classes) if labels.ndim == 1 else labels.sum(axis=0)


def held_out_cosines(
    reps: Float[np.ndarray, "N m"],
    labels: Targets,
    dialogues: Int[np.ndarray, " N"],
    anchors: Float[np.ndarray, "A m"],
    answering: Answering,
    *,
    seed: int,
) -> Float[np.ndarray, "N C"] | None:
    """Cosines (`Answering.cosines`) of each example with anchors adapted to the other folds'
    dialogues; None for fewer than two dialogues.

    Args:
      reps: representations.
      labels: as of `adapt_anchors`.
      dialogues: number of each example's dialogue; a dialogue is in one fold.
      anchors: where adapting begins, as of `adapt_anchors`.
      answering: how anchors answer.
      seed: decides the folds.
    """
    folds = folds_of(dialogues, seed)
    if folds is None:
        return None
    cosines = np.zeros((len(labels), len(anchors) // answering.anchors_per_label))
    for fold in np.unique(folds):
        out = folds == fold
        adapted = adapt_anchors(reps, labels, anchors, weights=~out, **how_of(answering))
        cosines[out] = answering.cosines(reps[out], adapted)
    return cosines


def folds_of(dialogues: Int[np.ndarray, " N"], seed: int) -> Int[np.ndarray, " N"] | None:
    """The fold of each example, that of its dialogue; None for fewer than two dialogues."""
    distinct = np.unique(dialogues)
    if len(distinct) < 2:
        return None
    shuffled = np.random.default_rng(seed).permutation(distinct)
    fold_of = dict(zip(shuffled.tolist(), (np.arange(len(shuffled)) % FOLDS).tolist(), strict=True))
    return np.array([fold_of[number] for number in dialogues.tolist()])


def how_of(answering: Answering) -> dict[str, Any]:
    """What `adapt_anchors` needs to know of how anchors answer."""
    how: dict[str, Any] = {
        "temperature": answering.temperature,
        "anchors_per_label": answering.anchors_per_label,
    }
    if isinstance(answering, SeveralAnswering):
        assert answering.decisions is not None
        how |= {"affine": answering.decisions.affine, "classifies": answering.classifies}
    return how


def report(
    names: tuple[str, ...],
    labels: Int[np.ndarray, " N"],
    before: Float[np.ndarray, "N C"],
    held_out: Float[np.ndarray, "N C"] | None,
    *,
    temperature: float,
    of_adapted: float | None = None,
    folds: int = 0,
    today: Today | None = None,
) -> tuple[Adaptation, float]:
    """What to say of an adaptation, whether the anchors are better kept, and the temperature that
    calibrates it.

    Args:
      names: of the labels.
      labels: of the examples, in 0..C-1.
      before: their scores with the anchors before.
      held_out: those of `held_out_cosines`.
      temperature: that calibrates the answers before; that of adapted ones is fitted near to it.
      of_adapted: in its place where that was fitted to scores of another kind. Where nothing was
        held out, nothing is fitted.
      folds: that were held out.
      today: what is answered before where a chain answers. Where that is better, nothing changes:
        the temperature is of what the chain goes by.
    """

    from sklearn.metrics import f1_score  # takes a second, and predicting does without

    def weighted_f1(answers: Int[np.ndarray, " N"]) -> float:
        return 100 * float(f1_score(labels, answers, average="weighted", zero_division=0))

    was = weighted_f1(before.argmax(axis=1) if today is None else today.answers)
    counts = dict(zip(names, np.bincount(labels, minlength=len(names)).tolist(), strict=True))
    of_adapted = temperature if of_adapted is None else of_adapted
    if held_out is None:
        return Adaptation(counts, was, None, None), of_adapted
    moved = weighted_f1(held_out.argmax(axis=1))
    kept = moved <= was
    if kept and today is not None:
        error = expected_calibration_error(today.probabilities, labels, answers=today.answers)
        return Adaptation(counts, was, moved, error, folds, kept, chained=True), temperature
    answers = before if kept else held_out
    temperature = fit_temperature(answers, labels, near=temperature if kept else of_adapted)
    error = expected_calibration_error(probabilities(answers, temperature), labels)
    return (
        Adaptation(counts, was, moved, error, folds, kept),
        temperature,
    )


def report_several(
    names: tuple[str, ...],
    labels: Bool[np.ndarray, "N C"],
    before: Float[np.ndarray, "N C"],
    held_out: Float[np.ndarray, "N C"] | None,
    answering: SeveralAnswering,
    *,
    folds: Int[np.ndarray, " N"] | None,
) -> tuple[Adaptation, Decisions]:
    """`report` where an utterance may have several labels, with the decisions in place of a
    temperature. Thresholds, too, are fitted to other folds' examples than those that they answer.

    Args:
      names: of the labels.
      labels: which ones the examples have.
      before: their cosines with the anchors before.
      held_out: from `held_out_cosines`.
      answering: as it was.
      folds: from `folds_of`.
    """
    today = answering.decisions
    assert today is not None

    def weighted_f1(answers: Bool[np.ndarray, "N C"]) -> float:
        return float(metrics.summarize_several(labels, answers, names)["weighted_f1"])

    def crossed(
        cosines: Float[np.ndarray, "N C"], folds: Int[np.ndarray, " N"]
    ) -> tuple[float, float]:
        """Weighted F1 and calibration error of each fold's answers, by what suits the others."""
        answers, probability = np.zeros_like(labels), np.zeros(labels.shape)
        for fold in np.unique(folds):
            out = folds == fold
            fitted = _refitted(answering, cosines[~out], labels[~out])
            answers[out] = fitted.decide(cosines[out])
            probability[out] = fitted.probabilities(fitted.scores(cosines[out]), 1.0)
        return weighted_f1(answers), decisions.calibration_error(probability, labels)

    counts = dict(zip(names, labels.sum(axis=0).tolist(), strict=True))
    was = weighted_f1(answering.decide(before))
    if held_out is None or folds is None:
        return Adaptation(counts, was, None, None), today
    f1_stayed, error_stayed = crossed(before, folds)
    f1_moved, error_moved = crossed(held_out, folds)
    kept = f1_moved <= max(f1_stayed, was)
    refitted = not kept or f1_stayed > was
    if refitted:
        cosines = before if kept else held_out
        found = _refitted(answering, cosines, labels).decisions
        assert found is not None
    else:
        found = decisions.recalibrated(today, answering.plain_scores(before), labels)
    report = Adaptation(
        counts,
        was,
        f1_moved,
        error_stayed if kept else error_moved,
        len(np.unique(folds)),
        kept,
        f1_stayed,
        refitted,
    )
    return report, found


def _refitted(
    answering: SeveralAnswering,
    cosines: Float[np.ndarray, "N C"],
    labels: Bool[np.ndarray, "N C"],
) -> SeveralAnswering:
    """With decisions that suit examples. Labels with few of them have the threshold from before,
    unless all have one.
    """
    today = answering.decisions
    assert today is not None
    found = decisions.fit(
        answering.plain_scores(cosines), labels, near=today.affine, common=today.common
    )
    if not today.common:
        few = labels.sum(axis=0) < decisions.LEAST
        thresholds = np.where(few, today.thresholds, found.thresholds)
        found = dataclasses.replace(found, thresholds=tuple(thresholds.tolist()))
    return dataclasses.replace(answering, decisions=found)
