"""What each modality adds to a run's answers: the same model's, where its features are left out.

A model that was trained without them is another one: `configs/studies/modalities.py` compares
those.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from eacl_jax.data.prompts import Example, PromptBuilder
from eacl_jax.dialogue import SPLITS, Utterance
from eacl_jax.features.modality import has_known
from eacl_jax.features.words import described
from eacl_jax.model.task import annotated
from eacl_jax.recognizer.results import ModalitiesResults, ModalityResults, Removed, SplitScores
from eacl_jax.training import outputs
from eacl_jax.training.answers import StageAnswers
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.sequence import in_sequence
from eacl_jax.training.stage import score

MOST_COLUMNS = 32
"""Means and deviations of more numbers than this are not listed one by one."""
WEIGHED = ("gated", "attention")
"""Fusions with a number that says how much a modality counts."""

Reps = Mapping[str, Float[np.ndarray, "N m"]]


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """What the model makes of dev and test without some features.

    Attributes:
      reps: representations by split, by the modalities that are left out.
      weights: how much each modality counts in the examples of dev, [N, M] in their order; None
        where no number says so.
    """

    reps: Mapping[tuple[str, ...], Reps]
    weights: Float[np.ndarray, "N M"] | None


def leave_out(experiment: Experiment, params: Any) -> LeftOut | None:
    """Encodes dev and test without each modality, and without all where texts are read; None where
    the model reads no features. All processes of a run must call it alike.

    Args:
      experiment: the run's inputs.
      params: of stage one's chosen epoch.
    """
    names, features = tuple(experiment.modalities), experiment.config.features
    if not names:
        return None
    sets = [(name,) for name in names] + [names]
    if not features.text:
        sets = [each for each in sets if each != names]
    reps = {
        removed: {
            split: experiment.encoding.represent(params, _without(experiment, split, removed))
            for split in outputs.SCORED_SPLITS
        }
        for removed in dict.fromkeys(sets)
    }
    weights = None
    if features.fusion in WEIGHED:
        weights = experiment.encoding.modality_weights(params, experiment.examples["dev"])
    return LeftOut(reps, weights)


def compare_modalities(
    experiment: Experiment, left_out: LeftOut | None, answered: StageAnswers, anchors: np.ndarray
) -> ModalitiesResults | None:
    """What goes into `results.json` of modalities; None where the model reads no features.

    Args:
      experiment: the run's inputs.
      left_out: from `leave_out`.
      answered: stage two's answers with all features; how they are decided stays as it is.
      anchors: stage two's.
    """
    if left_out is None:
        return None
    removed = {
        names: _removed(experiment, answered, anchors, reps)
        for names, reps in left_out.reps.items()
    }
    names = tuple(experiment.modalities)
    utterances = {split: annotated(experiment.corpus.splits[split]) for split in SPLITS}
    return ModalitiesResults(
        fusion=experiment.config.features.fusion,
        text=experiment.config.features.text,
        utterances={split: len(found) for split, found in utterances.items()},
        each={
            name: _modality(experiment, name, utterances, left_out.weights, removed.get((name,)))
            for name in names
        },
        text_alone=removed.get(names) if experiment.config.features.text else None,
    )


def _without(experiment: Experiment, split: str, removed: Collection[str]) -> Sequence[Example]:
    """The split's examples without the features of some modalities."""
    if not experiment.thirds:
        return [
            dataclasses.replace(
                example,
                features={n: rows for n, rows in example.features.items() if n not in removed},
            )
            for example in experiment.examples[split]
        ]
    config = experiment.config
    builder = PromptBuilder(
        experiment.tokenizer,
        config.prompt,
        readout=config.readout,
        trailing_space=config.compat.trailing_space,
    )
    kept = {name: each for name, each in experiment.thirds.items() if name not in removed}
    return builder.build(
        described(experiment.corpus.splits[split], kept), experiment.corpus.taxonomy
    )


def _removed(
    experiment: Experiment, answered: StageAnswers, anchors: np.ndarray, reps: Reps
) -> Removed:
    found: dict[str, SplitScores] = {}
    counts: dict[str, dict[str, int]] = {"changed": {}, "better": {}, "worse": {}}
    for split in outputs.SCORED_SPLITS:
        cosines = answered.answering.cosines(reps[split], anchors)
        answers, scores = answered.answering.decide(cosines), answered.answering.scores(cosines)
        if answered.chain is not None:
            dialogues, temperature = (
                experiment.corpus.splits[split],
                answered.calibration.temperature,
            )
            answers, scores = in_sequence(answered.chain, dialogues, scores, temperature)
        found[split] = SplitScores(**score(experiment, split, answers, scores))
        gold, before = experiment.gold(split), answered.answers[split]
        right, was_right = _equal(answers, gold), _equal(before, gold)
        counts["changed"][split] = int((~_equal(answers, before)).sum())
        counts["better"][split] = int((right & ~was_right).sum())
        counts["worse"][split] = int((was_right & ~right).sum())
    return Removed(dev=found["dev"], test=found["test"], **counts)


def _equal(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each utterance, [N]; of several labels, whether they are all the same."""
    return np.equal(one, other).reshape(len(one), -1).all(axis=1)


def _modality(
    experiment: Experiment,
    name: str,
    utterances: Mapping[str, Sequence[Utterance]],
    weights: Float[np.ndarray, "N M"] | None,
    without: Removed | None,
) -> ModalityResults:
    modality = experiment.modalities[name]
    has = {
        split: np.array([has_known(u.features, name) for u in found])
        for split, found in utterances.items()
    }
    by_label: dict[str, float | None] | None = None
    if weights is not None:
        members = experiment.task.members(experiment.gold("dev")).astype(bool)
        weight = weights[:, list(experiment.modalities).index(name)]
        rows = [weight[column & has["dev"]] for column in members.T]
        labels = experiment.task.labels
        by_label = {
            label: float(found.mean()) if len(found) else None
            for label, found in zip(labels, rows, strict=True)
        }
    listed = 0 < len(modality.columns) <= MOST_COLUMNS
    return ModalityResults(
        utterances={split: int(found.sum()) for split, found in has.items()},
        width=modality.width,
        columns=modality.columns if listed else (),
        mean=modality.mean if listed else (),
        deviation=modality.deviation if listed else (),
        weights=by_label,
        without=without,
    )
