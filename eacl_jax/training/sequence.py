"""After stage two: a chain over the labels of a dialogue, trained on what is answered to the
training utterances, everything else frozen (`config.SequenceConfig`).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.dialogue import Dialogue
from eacl_jax.model.calibration import expected_calibration_error
from eacl_jax.model.chain import Chain, Turns, fit, log_filtered, log_unary
from eacl_jax.model.scores import probabilities
from eacl_jax.recognizer.results import OfSplits, SequenceResults, SplitScores
from eacl_jax.training.answers import StageAnswers
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.outputs import SCORED_SPLITS
from eacl_jax.training.stage import score

Ranked = tuple[Int[np.ndarray, " N"], Float[np.ndarray, "N C"]]
"""Answers to N utterances, and scores of their labels."""


def in_sequence(
    chain: Chain,
    dialogues: Sequence[Dialogue],
    scores: Float[np.ndarray, "N C"],
    temperature: float,
) -> Ranked:
    """The answers to whole dialogues, from the scores of their annotated utterances; the others
    have a label too, of which nothing else is known. And scores that, calibrated by the same
    temperature as before, are the logarithms of what is probable given the dialogue.

    Args:
      chain: of the model.
      dialogues: in order.
      scores: of their N annotated utterances, each alone.
      temperature: that calibrates them.
    """
    annotated, turns = _laid_out(dialogues)
    unary = log_unary(probabilities(scores, temperature), annotated)
    answers, found = chain.whole(unary, turns)
    return answers[annotated], temperature * found[annotated]


def _so_far(
    chain: Chain,
    dialogues: Sequence[Dialogue],
    scores: Float[np.ndarray, "N C"],
    temperature: float,
) -> Ranked:
    """The same by the utterances until then, as a conversation is answered."""
    annotated, turns = _laid_out(dialogues)
    unary = log_unary(probabilities(scores, temperature), annotated)
    found = log_filtered(unary, turns, chain.potentials)[annotated]
    return found.argmax(axis=1), temperature * found


def with_chain(
    experiment: Experiment,
    alone: StageAnswers,
    reps: Mapping[str, Float[np.ndarray, "N m"]],
    anchors: Float[np.ndarray, "A m"],
) -> tuple[StageAnswers, SequenceResults | None]:
    """Stage two's answers in the light of one another, where `sequence.crf` asks for it, and what
    this changed. Where dev is not answered better, and `sequence.only_if_better`, the answers stay.

    Args:
      experiment: the run's inputs.
      alone: what stage two's anchors answer to each utterance.
      reps: representations by split, of "train" too.
      anchors: stage two's.
    """
    config = experiment.config.sequence
    if not config.crf:
        return alone, None
    train = experiment.corpus.splits["train"]
    temperature = alone.calibration.temperature
    annotated, turns = _laid_out(train)
    on_train = alone.answering.scores(alone.answering.cosines(reps["train"], anchors))
    gold = np.full(len(annotated), -1)
    gold[annotated] = experiment.gold("train")
    found = fit(
        log_unary(probabilities(on_train, temperature), annotated),
        gold,
        turns,
        penalty=config.penalty,
    )
    chain = found.named(experiment.corpus.taxonomy.labels, config.decoding)

    def answered(how: Callable[..., Ranked]) -> dict[str, Ranked]:
        return {
            split: how(chain, experiment.corpus.splits[split], alone.scores[split], temperature)
            for split in SCORED_SPLITS
        }

    def scored(found: Mapping[str, Ranked]) -> OfSplits:
        return OfSplits(
            **{
                split: SplitScores(**score(experiment, split, *found[split]))
                for split in SCORED_SPLITS
            }
        )

    whole = answered(in_sequence)
    results = SequenceResults(
        kept=True,
        alone=scored(
            {split: (alone.answers[split], alone.scores[split]) for split in SCORED_SPLITS}
        ),
        whole=scored(whole),
        so_far=scored(answered(_so_far)),
    )
    primary = experiment.config.evaluation.primary
    better = getattr(results.whole.dev, primary) > getattr(results.alone.dev, primary)
    if config.only_if_better and not better:
        return alone, dataclasses.replace(results, kept=False)
    answers = {split: whole[split][0] for split in SCORED_SPLITS}
    scores = {split: whole[split][1] for split in SCORED_SPLITS}
    calibration = dataclasses.replace(
        alone.calibration,
        expected_calibration_error={
            split: expected_calibration_error(
                probabilities(scores[split], temperature),
                experiment.gold(split),
                answers=answers[split],
            )
            for split in SCORED_SPLITS
        },
    )
    made = dataclasses.replace(
        alone, scores=scores, answers=answers, calibration=calibration, chain=chain
    )
    return made, results


def _laid_out(dialogues: Sequence[Dialogue]) -> tuple[np.ndarray, Turns]:
    """Which of all utterances are annotated, and their turns."""
    annotated = [each.annotated for dialogue in dialogues for each in dialogue.utterances]
    turns = Turns.of([[each.speaker for each in dialogue.utterances] for dialogue in dialogues])
    return np.array(annotated, bool), turns
