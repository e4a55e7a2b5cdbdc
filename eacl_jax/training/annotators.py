"""A run beside the annotators of its corpus, where it tells what each of them answered: how far
they agree, how good the answers are where they do, and how near the probabilities are to their
shares.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import log_expit, log_softmax, xlogy

from eacl_jax.config import Stage
from eacl_jax.corpora.agreement import agreement_of
from eacl_jax.model.task import annotated, shares
from eacl_jax.recognizer.results import AgainstAnnotators, Agreement, Annotators, Stratum
from eacl_jax.training.answers import StageAnswers
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.outputs import SCORED_SPLITS


def compare_with_annotators(
    experiment: Experiment, answered: Mapping[Stage, StageAnswers]
) -> Annotators | None:
    """What goes into `results.json` of annotators; None where no utterance has two.

    Args:
      experiment: the run's inputs.
      answered: by stage.
    """
    corpus = experiment.corpus
    agreement = {
        split: Agreement(**known | {"annotators": tuple(known["annotators"])})
        for split, dialogues in corpus.splits.items()
        if (known := agreement_of(dialogues, corpus.task)) is not None
    }
    if not agreement:
        return None
    stages = {
        stage.value: {
            split: found
            for split in SCORED_SPLITS
            if split in agreement and (found := _against(experiment, split, each)) is not None
        }
        for stage, each in answered.items()
    }
    return Annotators(agreement=agreement, **stages)


def _against(
    experiment: Experiment, split: str, answered: StageAnswers
) -> AgainstAnnotators | None:
    """None where the utterances with two annotators have no label that stands."""
    dialogues = experiment.corpus.splits[split]
    given = [utterance.annotations or () for utterance in annotated(dialogues)]
    several = np.array([len(voices) > 1 for voices in given], bool)
    if not several.any():
        return None
    # All labels that an annotator gave, as in `shares`, with one label an utterance too.
    alike = np.array([len({frozenset(voice) for voice in voices}) == 1 for voices in given], bool)
    found = divergence(
        shares(experiment.task, dialogues)[several],
        answered.scores[split][several] / answered.calibration.temperature,
        several=experiment.task.several,
    )
    return AgainstAnnotators(
        agreed=_stratum(experiment, split, answered, several & alike),
        differed=_stratum(experiment, split, answered, several & ~alike),
        divergence=float(found.mean()),
    )


def _stratum(
    experiment: Experiment, split: str, answered: StageAnswers, rows: Bool[np.ndarray, " N"]
) -> Stratum:
    scores: dict[str, Any] = {}
    if rows.any():
        scores = experiment.task.measure(
            experiment.gold(split)[rows],
            answered.answers[split][rows],
            answered.scores[split][rows],
        )
    return Stratum(
        utterances=int(rows.sum()),
        scores={name: value for name, value in scores.items() if isinstance(value, float)},
    )


def divergence(
    shares: Float[np.ndarray, "N C"], logits: Float[np.ndarray, "N C"], *, several: bool
) -> Float[np.ndarray, " N"]:
    """Kullback-Leibler divergence of each utterance, in nats, from shares p to probabilities q:
    `sum_c p_c log(p_c / q_c)`; with several labels `sum_c p_c log(p_c / q_c) + (1 - p_c) log((1 -
    p_c) / (1 - q_c))`.

    Args:
      shares: of the annotators; rows sum to 1 unless there are several labels.
      logits: of the probabilities, by softmax, with several labels by sigmoid.
      several: whether an utterance may have several labels.

    Example:
      >>> divergence(np.array([[0.5, 0.5]]), np.zeros((1, 2)), several=False)
      array([0.])
    """
    p = shares.astype(np.float64)
    if not several:
        return (xlogy(p, p) - p * log_softmax(logits, axis=1)).sum(axis=1)
    each = xlogy(p, p) + xlogy(1 - p, 1 - p)
    each -= p * log_expit(logits) + (1 - p) * log_expit(-logits)
    return each.sum(axis=1)
