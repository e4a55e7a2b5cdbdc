"""Recognizers made of another one and annotated dialogues: what `EmotionRecognizer.adapt` and
`calibrate` return.
"""

import dataclasses
import logging
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from eacl_jax.config import Stage
from eacl_jax.corpora.tasks import settled
from eacl_jax.data.beside import warn_of_features
from eacl_jax.data.prompts import warn_about
from eacl_jax.dialogue import Dialogue, utterances_of
from eacl_jax.errors import UserError
from eacl_jax.model.abstention import fit_sets
from eacl_jax.recognizer import adapting, few_shot, sequence
from eacl_jax.recognizer.facts import ADAPTED

if TYPE_CHECKING:
    from eacl_jax.recognizer.recognizer import EmotionRecognizer

log = logging.getLogger(__name__)


def adapt(
    recognizer: "EmotionRecognizer",
    dialogues: Any,
    *,
    seed: int,
    sounds: str | Path | None = None,
) -> "EmotionRecognizer":
    """See `EmotionRecognizer.adapt`."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise UserError(f"seed must be a whole number from 0 on, got {seed!r:.40}.")
    given = _annotated(recognizer, dialogues, sounds)
    recognizer.learnt.warn_of(
        given.dialogues, "held-out scores", reads_text=recognizer.settings.reads_text
    )
    before = recognizer.facts is not None and any(
        each.startswith(ADAPTED) for each in recognizer.facts.changes
    )
    if before and not recognizer.learnt.whole:
        log.warning(
            "this recognizer was adapted before, and does not say to what: if these dialogues"
            " are among those, or hold utterances of them, the scores on held-out ones are not"
            " of what it has never seen. Adapt the one that it was made of to all of them."
        )
    numbers = adapting.dialogue_numbers(given.dialogues, tuple(recognizer.settings.modalities))
    adapting.warn_of_examples(given.dialogues, given.targets, numbers)
    settings, anchors, report = adapting.adapted(
        recognizer.settings,
        recognizer.anchors,
        given.reps,
        given.targets,
        numbers,
        seed=seed,
        today=None if recognizer.settings.chain is None else _today(recognizer, given),
    )
    changed = recognizer.changed(settings, anchors)
    changed.adaptation = report
    if not report.chained:
        how = "chosen" if report.kept else "adapted"
        changed.learnt = recognizer.learnt.and_(how, given.dialogues)
    if recognizer.facts and not report.chained:  # a chain that stays leaves all as it was
        changed.facts = recognizer.facts.adapted(report, len(given.targets))
    return changed


def calibrate(
    recognizer: "EmotionRecognizer", dialogues: Any, *, sounds: str | Path | None = None
) -> "EmotionRecognizer":
    """See `EmotionRecognizer.calibrate`."""
    given = _annotated(recognizer, dialogues, sounds)
    known = recognizer.learnt.known(given.dialogues)
    if known.trained:
        log.warning(
            "%d of %d annotated utterances are, with all that is said before them, among those"
            " that the model has learnt from, and answers better than others: probabilities"
            " that are fitted to these are too sure of what it has never seen.",
            known.trained,
            known.of,
        )
    if known.chosen:
        log.warning(
            "%d of %d annotated utterances are, with all that is said before them, among those"
            " that probabilities were fitted to before: fitted to a few again and again, they"
            " grow more sure than so few examples tell. Calibrate the recognizer that this one"
            " was made of, to all of them at once.",
            known.chosen,
            known.of,
        )
    settings = adapting.calibrated(
        recognizer.settings, recognizer.anchors, given.reps, given.targets
    )
    if (chain := recognizer.settings.chain) is not None:
        gold = np.full(len(given.annotated), -1)
        gold[given.annotated] = given.targets
        answering = recognizer.settings.answering(Stage.TWO)
        fitted = sequence.fit_temperature(
            chain,
            answering.scores(answering.cosines(given.encoded, recognizer.anchors[Stage.TWO])),
            [[each.speaker for each in dialogue.utterances] for dialogue in given.dialogues],
            gold,
            near=recognizer.settings.calibration[Stage.TWO],
        )
        settings = dataclasses.replace(
            settings, calibration={**settings.calibration, Stage.TWO: fitted}
        )
    changed = recognizer.changed(settings, recognizer.anchors)
    if not settings.several:
        changed.settings = dataclasses.replace(
            settings, sets=fit_sets(_likelihood(_today(changed, given), given.targets))
        )
    changed.learnt = recognizer.learnt.and_("chosen", given.dialogues)
    changed.facts = recognizer.facts and recognizer.facts.calibrated(len(given.targets))
    return changed


class _Annotated(NamedTuple):
    """Dialogues to adapt to.

    Attributes:
      dialogues: whole ones.
      annotated: which of all their utterances are, M booleans.
      encoded: representations: of all utterances where a chain answers, else of the annotated ones.
      reps: of the annotated ones.
      targets: their labels.
    """

    dialogues: list[Dialogue]
    annotated: Bool[np.ndarray, " M"]
    encoded: Float[np.ndarray, "_ m"]
    reps: Float[np.ndarray, "N m"]
    targets: few_shot.Targets


def _annotated(
    recognizer: "EmotionRecognizer", dialogues: Any, sounds: str | Path | None
) -> _Annotated:
    """Annotated dialogues, read and encoded once: all utterances where a chain goes by all of
    them, else the annotated ones.
    """
    read = [
        settled(d, recognizer.settings.task, f"dialogue {d.id!r:.60} utterance {{}}".format)
        for d in recognizer.read(dialogues, annotated=True, sounds=sounds)[0]
    ]
    adapting.check_annotated(read, recognizer.settings)
    annotated = np.array([each.annotated for each in utterances_of(read)])
    if recognizer.settings.chain is None:
        examples = learnt = recognizer.build(read, "annotated")
    else:
        examples = recognizer.examples(read)
        learnt = list(compress(examples, annotated))
    warn_about(learnt, recognizer.settings.prompt.max_tokens)
    recognizer.warn_of_language([each.text for each in utterances_of(read)])
    warn_of_features(read, recognizer.settings.modalities)
    encoded = recognizer.represent(examples)
    reps = encoded if recognizer.settings.chain is None else encoded[annotated]
    return _Annotated(read, annotated, encoded, reps, recognizer.task.targets(read))


def _likelihood(today: few_shot.Today, targets: np.ndarray) -> Float[np.ndarray, " N"]:
    """The probability that each annotated utterance's own label gets."""
    return today.probabilities[np.arange(len(targets)), targets]


def _today(recognizer: "EmotionRecognizer", given: _Annotated) -> few_shot.Today:
    """What is answered to the annotated utterances."""
    utterances = utterances_of(given.dialogues)
    if recognizer.settings.chain is None:
        found = recognizer.answer(given.reps, list(compress(utterances, given.annotated)))
    else:
        alone = recognizer.answer(given.encoded, utterances)
        found = list(compress(recognizer.together(alone, given.dialogues), given.annotated))
    return few_shot.Today(
        np.array([recognizer.labels.index(str(each.emotion)) for each in found]),
        np.array([[*each.probabilities.values()] for each in found]),
    )
