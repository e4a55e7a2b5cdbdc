"""What the anchors of a finished stage answer, how it is calibrated, and what a run keeps of it."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from eacl_jax.config import Stage
from eacl_jax.data.prompts import Example
from eacl_jax.model.decisions import Affine, SeveralAnswering, common_affine
from eacl_jax.model.rarity import log_prior
from eacl_jax.model.scores import Answering, decide
from eacl_jax.recognizer.results import Calibration
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.outputs import SPLITS, Outputs, SplitOutputs
from eacl_jax.training.stage import score

ADJUSTMENTS = tuple(number / 20 for number in range(41))
"""Factors of the log prior that are tried on dev."""


def adjust(
    experiment: Experiment,
    reps: Mapping[str, np.ndarray],
    anchors: np.ndarray,
    near: Affine | None = None,
) -> tuple[float | None, Answering]:
    """How anchors answer, as suits dev (see `Task.fit`), and with `evaluation.logit_adjustment` the
    factor a, of `ADJUSTMENTS`, with which scores less `a log prior` answer dev best, of equal ones
    the smallest; else None.
    """
    plain = experiment.answering()
    cosines = plain.cosines(reps["dev"], anchors)
    plain = experiment.task.fit(plain, cosines, experiment.gold("dev"), near)
    evaluation = experiment.config.evaluation
    if not evaluation.logit_adjustment:
        return None, plain
    scores = plain.scores(cosines)
    prior = log_prior(experiment.counts).astype(np.float64)
    found = [
        score(experiment, "dev", decide(scores - factor * prior))[evaluation.primary]
        for factor in ADJUSTMENTS
    ]
    factor = ADJUSTMENTS[int(np.argmax(found))]
    return factor, experiment.answering(tuple((-factor * prior).tolist()) if factor else ())


def calibrate(
    experiment: Experiment,
    scores: Mapping[str, np.ndarray],
    adjustment: float | None = None,
    uncalibrated: Mapping[str, np.ndarray] | None = None,
) -> Calibration:
    """The temperature that fits dev, and by split the expected calibration error in percent with it
    and without.

    Args:
      experiment: the run's inputs.
      scores: of the labels, [N, C] of "dev" and "test".
      adjustment: from `adjust`.
      uncalibrated: scores before dev was looked at, where these are others.
    """
    task = experiment.task
    temperature = task.fit_temperature(scores["dev"], experiment.gold("dev"))

    def errors(scores: Mapping[str, np.ndarray], temperature: float) -> dict[str, float]:
        return {
            split: task.calibration_error(found, experiment.gold(split), temperature)
            for split, found in scores.items()
        }

    return Calibration(
        temperature=temperature,
        expected_calibration_error=errors(scores, temperature),
        expected_calibration_error_uncalibrated=errors(uncalibrated or scores, 1.0),
        logit_adjustment=adjustment,
    )


@dataclasses.dataclass(frozen=True)
class Answered:
    """What a stage's anchors answered.

    Attributes:
      answering: how.
      scores: of the labels, [N, C] by split.
      answers: by split; see `Task`.
      calibration: of the scores.
    """

    answering: Answering
    scores: Mapping[str, np.ndarray]
    answers: Mapping[str, np.ndarray]
    calibration: Calibration


def answer(
    experiment: Experiment,
    reps: Mapping[str, np.ndarray],
    anchors: np.ndarray,
    near: Affine | None = None,
) -> Answered:
    """What anchors answer on dev and test, from these splits' representations. `near`: see
    `Task.fit`.
    """
    adjustment, answering = adjust(experiment, reps, anchors, near)
    cosines = {split: answering.cosines(reps[split], anchors) for split in SPLITS}
    scores = {split: answering.scores(found) for split, found in cosines.items()}
    answers = {split: answering.decide(found) for split, found in cosines.items()}
    before = None
    if isinstance(answering, SeveralAnswering):
        start = near or common_affine(
            answering.plain_scores(cosines["dev"]), experiment.gold("dev")
        )
        before = {
            split: start.scale * answering.plain_scores(found) + start.biases
            for split, found in cosines.items()
        }
    found = calibrate(experiment, scores, adjustment, before)
    return Answered(answering, scores, answers, found)


def dialogue_numbers(examples: Sequence[Example]) -> Int[np.ndarray, " N"]:
    """Number of each example's dialogue, from 0, ascending."""
    begins = [
        one.dialogue != before.dialogue or one.utterance <= before.utterance
        for before, one in itertools.pairwise(examples)
    ]
    return np.cumsum([0, *begins])


def outputs_of(
    experiment: Experiment,
    representations: np.ndarray,
    anchors: Mapping[str, np.ndarray],
    answered: Mapping[Stage, Answered],
) -> Outputs:
    """What a run keeps for others to compare.

    Args:
      experiment: the run's inputs.
      representations: of test.
      anchors: by stage.
      answered: by stage.
    """

    def of(split: str) -> SplitOutputs:
        return SplitOutputs(
            experiment.gold(split),
            dialogue_numbers(experiment.examples[split]),
            {stage.value: found.answers[split] for stage, found in answered.items()},
            {stage.value: found.scores[split] for stage, found in answered.items()},
        )

    labels = experiment.corpus.taxonomy.labels
    return Outputs(labels, {split: of(split) for split in SPLITS}, anchors, representations)
