"""What dev tells of how sure stage two's answers are, and what that gives on test."""

import numpy as np

from eacl_jax.model.abstention import (
    LabelSets,
    confidences,
    fit_sets,
    selective_scores,
)
from eacl_jax.model.decisions import SeveralAnswering
from eacl_jax.recognizer.results import Abstention, SelectiveScores, SetScores
from eacl_jax.training.answers import StageAnswers
from eacl_jax.training.experiment import Experiment


def abstention(
    experiment: Experiment, answered: StageAnswers
) -> tuple[LabelSets | None, Abstention | None]:
    """Sets of labels as dev has them, and what they and leaving the unsure unanswered give on test;
    neither where an utterance may have several labels.

    Args:
      experiment: the run's inputs.
      answered: stage two's.
    """
    if isinstance(answered.answering, SeveralAnswering):
        return None, None
    probability = {split: answered.probabilities(split) for split in ("dev", "test")}
    confidence = {
        split: found[np.arange(len(found)), answered.answers[split]]
        for split, found in probability.items()
    }
    dev, test = experiment.gold("dev"), experiment.gold("test")
    sets = fit_sets(probability["dev"][np.arange(len(dev)), dev])
    right = answered.answers["test"] == test
    return sets, Abstention(
        sets={
            str(coverage): SetScores(**found)
            for coverage, found in sets.scores(probability["test"], test).items()
        },
        surest={
            str(share): SelectiveScores(
                confidence=least, **selective_scores(confidence["test"], right, least)
            )
            for share, least in confidences(confidence["dev"]).items()
        },
    )
