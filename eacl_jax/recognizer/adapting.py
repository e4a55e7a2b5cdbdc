"""A recognizer's settings and anchors after annotated dialogues were looked at; see
`EmotionRecognizer.adapt` and `calibrate`.
"""

import dataclasses
import logging
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.config import Stage
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.model.abstention import fit_sets
from eacl_jax.model.calibration import fit_temperature, probabilities
from eacl_jax.model.decisions import SeveralAnswering, recalibrated
from eacl_jax.model.task import annotated
from eacl_jax.recognizer import few_shot
from eacl_jax.recognizer.few_shot import Adaptation, Targets
from eacl_jax.recognizer.folder import Settings

log = logging.getLogger(__name__)

Anchors = dict[str, np.ndarray]
"""float32 [C k, m] by stage."""


def adapted(
    settings: Settings,
    anchors: Anchors,
    reps: Float[np.ndarray, "N m"],
    targets: Targets,
    numbers: Int[np.ndarray, " N"],
    *,
    seed: int,
    today: few_shot.Today | None = None,
) -> tuple[Settings, Anchors, Adaptation]:
    """Stage two's anchors moved by examples, where dialogues that are held out are then answered
    better, and the probabilities calibrated.

    Args:
      settings: of the recognizer.
      anchors: its own.
      reps: representations of the examples.
      targets: their labels.
      numbers: of their dialogues.
      seed: decides which dialogues are held out together.
      today: what is answered to the examples now, where a chain answers.
    """
    answering, start = settings.answering(Stage.TWO), anchors[Stage.TWO]
    # What is held out is answered without offsets, as adapted anchors will.
    plain = dataclasses.replace(answering, offsets=())
    held_out = few_shot.held_out_cosines(reps, targets, numbers, start, plain, seed=seed)
    before = answering.cosines(reps, start)
    calibration, decisions = dict(settings.calibration), dict(settings.decisions)
    if isinstance(answering, SeveralAnswering):
        report, decisions[Stage.TWO] = few_shot.report_several(
            settings.labels,
            targets,
            before,
            held_out,
            answering,
            folds=few_shot.folds_of(numbers, seed),
        )
    else:
        report, calibration[Stage.TWO] = few_shot.report(
            settings.labels,
            targets,
            answering.scores(before),
            None if held_out is None else plain.scores(held_out),
            temperature=calibration[Stage.TWO],
            of_adapted=settings.plain_temperature(Stage.TWO),
            folds=min(few_shot.FOLDS, len(np.unique(numbers))),
            today=today,
        )
    offsets, chain = settings.offsets, settings.chain
    # A chain that stays leaves dev's. Else those are of other probabilities.
    sets = settings.sets if report.chained else None
    if not report.chained and held_out is not None and not settings.several:
        answers = answering.scores(before) if report.kept else plain.scores(held_out)
        found = probabilities(answers, calibration[Stage.TWO])
        sets = fit_sets(found[np.arange(len(targets)), targets])
    without = settings.calibration_without_offsets
    if not report.kept:
        report = dataclasses.replace(report, left_out=_beside(settings))
        if held_out is None and report.left_out and not settings.several:
            # Fitted to answers with what is left out. Where none without is known, the nearest is
            # stage one's.
            known = Stage.TWO in settings.calibration_without_offsets and chain is None
            calibration[Stage.TWO] = settings.plain_temperature(Stage.TWO if known else Stage.ONE)
        moved = few_shot.adapt_anchors(reps, targets, start, **few_shot.how_of(answering))
        anchors = {**anchors, Stage.TWO: moved}
        offsets = {stage: added for stage, added in offsets.items() if stage != Stage.TWO}
        without = {stage: fitted for stage, fitted in without.items() if stage != Stage.TWO}
        chain = None
    changed = dataclasses.replace(
        settings,
        calibration=calibration,
        offsets=offsets,
        calibration_without_offsets=without,
        decisions=decisions,
        chain=chain,
        sets=sets,
    )
    return changed, anchors, report


def _beside(settings: Settings) -> tuple[str, ...]:
    """What weighs stage two's answers beside the anchors, in words."""
    found = {
        "the offsets of its scores": bool(settings.offsets.get(Stage.TWO)),
        "the chain over a dialogue's labels": settings.chain is not None,
    }
    return tuple(what for what, there in found.items() if there)


def calibrated(
    settings: Settings,
    anchors: Mapping[str, np.ndarray],
    reps: Float[np.ndarray, "N m"],
    targets: Targets,
) -> Settings:
    """Probabilities that fit the examples, and the same answers; arguments as of `adapted`."""
    calibration, decisions = dict(settings.calibration), dict(settings.decisions)
    without = dict(settings.calibration_without_offsets)
    for stage, of_stage in anchors.items():
        answering = settings.answering(stage)
        cosines = answering.cosines(reps, of_stage)
        if answering.offsets:
            plain = dataclasses.replace(answering, offsets=())
            without[stage] = fit_temperature(
                plain.scores(cosines), targets, near=settings.plain_temperature(stage)
            )
        if isinstance(answering, SeveralAnswering):
            scores = answering.plain_scores(cosines)
            decisions[stage] = recalibrated(decisions[stage], scores, targets)
        else:
            calibration[stage] = fit_temperature(
                answering.scores(cosines), targets, near=calibration[stage]
            )
    return dataclasses.replace(
        settings,
        calibration=calibration,
        calibration_without_offsets=without,
        decisions=decisions,
    )


def check_annotated(dialogues: Sequence[Dialogue], settings: Settings) -> None:
    """Raises `UserError` where no utterance is annotated, or one with what is no label."""
    examples = annotated(dialogues)
    if not examples:
        field = "'emotions'" if settings.several else "an 'emotion'"
        raise UserError(
            f"no utterance has {field}; annotate some with"
            f" {'the' if settings.several else 'one of the'} labels: {', '.join(settings.labels)}."
        )
    emotions = {label for utterance in examples for label in utterance.labels}
    if unknown := sorted(emotions - set(settings.labels)):
        other = ", or begin with other labels (with_labels)"
        raise UserError(
            f"emotions {', '.join(map(repr, unknown))} are not among the labels"
            f" {', '.join(map(repr, settings.labels))}; correct them"
            f"{other if settings.made_of_words else ''}."
        )


def warn_of_examples(
    dialogues: Sequence[Dialogue], targets: Targets, numbers: Int[np.ndarray, " N"]
) -> None:
    """Logs where scores on held-out dialogues say less than they seem to.

    Args:
      dialogues: that are learnt.
      targets: labels of their examples.
      numbers: from `dialogue_numbers`.
    """
    count = sum(any(u.annotated for u in dialogue.utterances) for dialogue in dialogues)
    if repeated := count - len(np.unique(numbers)):
        log.warning(
            "%d of %d annotated dialogues are said word for word in another one, or begin it: they"
            " are held out together with it, and count as often as they are there. Remove what was"
            " exported twice.",
            repeated,
            count,
        )
    if len(np.unique(targets, axis=0)) < 2:
        labels = next(u.labels for d in dialogues for u in d.utterances if u.annotated)
        log.warning(
            "all examples have the same answer, %s: scores say only how often it is given, also"
            " where it is wrong elsewhere; annotate utterances of other labels, too.",
            ", ".join(map(repr, labels)) or "none of the labels",
        )


def dialogue_numbers(
    dialogues: Sequence[Dialogue], modalities: Sequence[str] = ()
) -> Int[np.ndarray, " N"]:
    """Number of each annotated utterance's dialogue. One that was said word for word in another one
    too, or that is another's beginning, with the same features of `modalities`, has its number, and
    is held out together with it; blanks around and capitals tell nothing apart.
    """

    def content(utterance: Utterance) -> tuple[Hashable, ...]:
        features = [utterance.features.get(name) for name in modalities]
        numbers = [None if rows is None else (rows.shape, rows.tobytes()) for rows in features]
        words = (utterance.speaker, utterance.text)
        return (*(" ".join(each.split()).casefold() for each in words), *numbers)

    # A beginning and what is said next -> that beginning's number, and which dialogue is the first
    # to have it: the longest come first.
    beginnings: dict[tuple[int, Hashable], tuple[int, int]] = {}
    alike = [0] * len(dialogues)
    for number in sorted(range(len(dialogues)), key=lambda n: -len(dialogues[n].utterances)):
        beginning, owner = 0, number
        for utterance in dialogues[number].utterances:
            beginning, owner = beginnings.setdefault(
                (beginning, content(utterance)), (len(beginnings) + 1, number)
            )
        alike[number] = owner
    return np.array(
        [
            number
            for number, d in zip(alike, dialogues, strict=True)
            for u in d.utterances
            if u.annotated
        ]
    )
