"""After stage two: a chain over the labels of a dialogue, trained on what is answered to the
training utterances, everything else frozen (`config.SequenceConfig`).
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.dialogue import Dialogue
from eacl_jax.model.calibration import expected_calibration_error
from eacl_jax.model.chain import (
    Chain,
    Turns,
    fit,
    log_filtered,
    log_marginals,
    log_unary,
    viterbi,
)
from eacl_jax.model.scores import probabilities
from eacl_jax.recognizer.results import OfSplits, SequenceResults
from eacl_jax.recognizer.results import Scores as SplitScores
from eacl_jax.training.answers import Answered
from eacl_jax.training.experiment import Experiment
from eacl_jax.training.outputs import SPLITS
from eacl_jax.training.stage import score


@dataclasses.dataclass(frozen=True)
class InSequence:
    """Answers to N annotated utterances of whole dialogues.

    Attributes:
      answers: as `Chain.decoding` says.
      scores: so that, calibrated by the same temperature as before, they are the logarithms of the
        probabilities that each utterance's labels have given its dialogue.
      so_far: the answers by what was said until then, as a conversation gets them.
      so_far_scores: likewise.
    """

    answers: Int[np.ndarray, " N"]
    scores: Float[np.ndarray, "N C"]
    so_far: Int[np.ndarray, " N"]
    so_far_scores: Float[np.ndarray, "N C"]


def in_sequence(
    chain: Chain,
    dialogues: Sequence[Dialogue],
    scores: Float[np.ndarray, "N C"],
    temperature: float,
) -> InSequence:
    """The answers to dialogues, from the scores of their annotated utterances; the others have a
    label too, of which nothing else is known.

    Args:
      chain: of the model.
      dialogues: in order.
      scores: of their N annotated utterances, each alone.
      temperature: that calibrates them.
    """
    annotated, turns = _laid_out(dialogues)
    unary = log_unary(probabilities(scores, temperature), annotated)
    whole = log_marginals(unary, turns, chain.scores)[annotated]
    so_far = log_filtered(unary, turns, chain.scores)[annotated]
    if chain.decoding == "viterbi":
        answers = viterbi(unary, turns, chain.scores)[annotated]
    else:
        answers = whole.argmax(axis=1)
    return InSequence(answers, temperature * whole, so_far.argmax(axis=1), temperature * so_far)


def with_chain(
    experiment: Experiment,
    alone: Answered,
    reps: Mapping[str, Float[np.ndarray, "N m"]],
    anchors: Float[np.ndarray, "A m"],
) -> tuple[Answered, SequenceResults | None]:
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
    scores = alone.answering.scores(alone.answering.cosines(reps["train"], anchors))
    gold = np.full(len(annotated), -1)
    gold[annotated] = experiment.gold("train")
    found = fit(
        log_unary(probabilities(scores, temperature), annotated),
        gold,
        turns,
        penalty=config.penalty,
    )
    chain = found.named(experiment.corpus.taxonomy.labels, config.decoding)
    each = {
        split: in_sequence(chain, experiment.corpus.splits[split], alone.scores[split], temperature)
        for split in SPLITS
    }

    def scored(answers: Mapping[str, np.ndarray], ranked: Mapping[str, np.ndarray]) -> OfSplits:
        return OfSplits(
            **{
                split: SplitScores(**score(experiment, split, answers[split], ranked[split]))
                for split in SPLITS
            }
        )

    answers = {split: one.answers for split, one in each.items()}
    ranked = {split: one.scores for split, one in each.items()}
    results = SequenceResults(
        kept=True,
        alone=scored(alone.answers, alone.scores),
        whole=scored(answers, ranked),
        so_far=scored(
            {split: one.so_far for split, one in each.items()},
            {split: one.so_far_scores for split, one in each.items()},
        ),
    )
    primary = experiment.config.evaluation.primary
    better = getattr(results.whole.dev, primary) > getattr(results.alone.dev, primary)
    if config.only_if_better and not better:
        return alone, dataclasses.replace(results, kept=False)
    calibration = dataclasses.replace(
        alone.calibration,
        expected_calibration_error={
            split: expected_calibration_error(
                probabilities(ranked[split], temperature),
                experiment.gold(split),
                answers=answers[split],
            )
            for split in SPLITS
        },
    )
    return Answered(alone.answering, ranked, answers, calibration, chain), results


def _laid_out(dialogues: Sequence[Dialogue]) -> tuple[np.ndarray, Turns]:
    """Which of all utterances are annotated, and their turns."""
    annotated = [each.annotated for dialogue in dialogues for each in dialogue.utterances]
    turns = Turns.of([[each.speaker for each in dialogue.utterances] for dialogue in dialogues])
    return np.array(annotated, bool), turns
