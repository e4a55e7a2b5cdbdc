"""What the anchors of a finished stage answer, how it is calibrated, and what a run keeps of it."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.config import EvaluationConfig, Stage
from eacl_jax.data.prompts import Example
from eacl_jax.model.chain import Chain
from eacl_jax.model.decisions import Affine, SeveralAnswering, common_affine
from eacl_jax.model.scores import Answering
from eacl_jax.recognizer.results import Calibration
from eacl_jax.training.deciding import fitted
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.outputs import SCORED_SPLITS, Outputs, SplitOutputs


def calibrate(
    experiment: Experiment,
    scores: Mapping[str, np.ndarray],
    factor: float | None = None,
    uncalibrated: Mapping[str, np.ndarray] | None = None,
) -> Calibration:
    """The temperature that fits dev, and by split the expected calibration error in percent with it
    and without.

    Args:
      experiment: the run's inputs.
      scores: of the labels, [N, C] of "dev" and "test".
      factor: from `deciding.fitted`.
      uncalibrated: scores to compare calibrated ones with, where these are others. Of several
        labels they have a scale and biases already, as scores alone say nothing of how probable a
        label is: those that stage two learnt, or one bias for all labels, fitted on dev.
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
        **_of_the_prior(experiment.config.evaluation, factor),
    )


@dataclasses.dataclass(frozen=True)
class StageAnswers:
    """What a stage's anchors answered.

    Attributes:
      answering: how.
      scores: of the labels, [N, C] by split.
      answers: by split; see `Task`.
      calibration: of the scores.
      plain_temperature: that fits the scores without offsets on dev; None: they have none.
      chain: over the labels of a dialogue, which answers and scores come from; None: from each
        utterance alone.
    """

    answering: Answering
    scores: Mapping[str, np.ndarray]
    answers: Mapping[str, np.ndarray]
    calibration: Calibration
    plain_temperature: float | None = None
    chain: Chain | None = None

    def probabilities(self, split: str) -> Float[np.ndarray, "N C"]:
        """Of the labels, calibrated."""
        return self.answering.probabilities(self.scores[split], self.calibration.temperature)


def answer(
    experiment: Experiment,
    reps: Mapping[str, np.ndarray],
    anchors: np.ndarray,
    near: Affine | None = None,
    biases: tuple[float, ...] = (),
) -> StageAnswers:
    """What anchors answer on dev and test, from these splits' representations. `near`, `biases`:
    see `deciding.fitted`.
    """
    plain = experiment.answering()
    cosines = {split: plain.cosines(reps[split], anchors) for split in SCORED_SPLITS}
    factor, answering = fitted(experiment, cosines["dev"], near=near, biases=biases)
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
    found = calibrate(experiment, scores, factor, before)
    without = (
        experiment.task.fit_temperature(plain.scores(cosines["dev"]), experiment.gold("dev"))
        if answering.offsets
        else None
    )
    return StageAnswers(answering, scores, answers, found, without)


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
    answered: Mapping[Stage, StageAnswers],
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
    return Outputs(labels, {split: of(split) for split in SCORED_SPLITS}, anchors, representations)


def _of_the_prior(evaluation: EvaluationConfig, factor: float | None) -> dict[str, float | None]:
    """The factor of the log prior by the name of the setting that asked for it."""
    return {"prior" if evaluation.prior else "logit_adjustment": factor}
