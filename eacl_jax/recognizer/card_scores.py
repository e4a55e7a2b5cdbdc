"""What a card says of the scores of the run that a recognizer comes from."""

from eacl_jax.config import Stage
from eacl_jax.dialogue import count
from eacl_jax.model.metrics import title
from eacl_jax.recognizer.facts import Facts
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.markdown import plain, table
from eacl_jax.recognizer.results import Abstention, Baseline, Results, SplitScores, StageScores

_SCORED, _DASH = ("dev", "test"), "–"
_MEASURES = ("micro_f1", "weighted_f1", "macro_f1", "accuracy", "jaccard", "ranking_precision")


def scores_section(facts: Facts, derived: str) -> str:
    """The section "Scores"; `derived` is said first."""
    results, always = facts.results, facts.results.always_most_frequent
    measures = [name for name in _MEASURES if getattr(results.stage_two.test, name) is not None]
    named: list[tuple[str, StageScores | Baseline]] = [
        *((f"{stage.words}, {results.of(stage).chosen}", results.of(stage)) for stage in Stage),
        (f'always "{always.label}"', always),
    ]
    rows = [
        (name, split, *(_number(getattr(getattr(found, split), measure)) for measure in measures))
        for name, found in named
        for split in _SCORED
    ]
    by_class = [
        (
            label,
            *(
                _of_label(getattr(found, split), label, facts.utterances[split][label])
                for found in (results.of(stage) for stage in Stage)
                for split in _SCORED
            ),
        )
        for label in facts.labels
    ]
    absent = any(not facts.utterances[split][label] for label in facts.labels for split in _SCORED)
    columns = [f"{stage.words}, {split}" for stage in Stage for split in _SCORED]
    primary = facts.recipe.get("evaluation.primary")
    excluded = results.excluded_label or ""
    by = f" by {plain(title(primary, excluded))}" if primary in _MEASURES else ""
    chosen = (
        f"**The epochs were chosen on test{by} (`compat.select_on_test`): its scores are too"
        " good.**"
        if facts.recipe.get("compat.select_on_test")
        else f"Epochs were chosen on dev{by}; test was scored once, at the end."
    )
    exact = (
        " An answer counts as accurate where it has exactly the utterance's labels; Jaccard is the"
        " share of the labels that both have among those that either has; ranking precision is the"
        " label ranking average precision of the probabilities."
    )
    taught = f"**{results.taught.in_words()}**\n\n" if results.taught else ""
    return (
        f"## Scores\n\n{derived}{taught}In percent, of one run (seed {facts.seed}). {chosen} Stage"
        f" two's anchors answer{_chained(facts, results)}.{exact if facts.several else ''}\n\n"
        + table(("", "split", *(title(measure, excluded) for measure in measures)), rows)
        + "\n\nF1 by label, in percent:\n\n"
        + table(("label", *columns), by_class)
        + (
            f"\n\n{_DASH}: no utterance of the split has the label, and none was answered it. Macro"
            " F1 counts alike all labels that are annotated or answered; one only answered counts"
            " 0."
            if absent
            else ""
        )
        + _levels(facts)
        + _annotators(facts)
    )


def _chained(facts: Facts, results: Results) -> str:
    """That a chain is part of what answers, and what it gives."""
    sequence = results.sequence
    if sequence is None or not sequence.kept:
        return ""
    primary = facts.recipe.get("evaluation.primary", "weighted_f1")
    alone, whole = (getattr(each.dev, primary) for each in (sequence.alone, sequence.whole))
    return (
        " by a chain over each dialogue, without which weighted F1 on test is"
        f" {sequence.alone.test.weighted_f1:.2f}"
        + (
            ""
            if whole > alone
            else f"; {title(primary, results.excluded_label or '')} on dev is {whole:.2f} with it"
            f" and {alone:.2f} without: it was kept all the same, as `sequence.only_if_better` is"
            " off"
        )
    )


def _of_label(scores: SplitScores, label: str, annotated: int) -> str:
    """F1 of a label of which a split has so many utterances."""
    f1 = scores.f1(label)
    # How often a label was answered may not be known.
    nothing = f1 is None or (scores.answered is None and not annotated)
    return _DASH if nothing else _number(f1)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _levels(facts: Facts) -> str:
    """Stage two's scores by coarser labels."""
    found = facts.results.stage_two.test.levels
    if not found:
        return ""
    measures = [name for name in _MEASURES if all(name in scores for scores in found.values())]
    rows = [
        (
            level,
            str(len(set(facts.levels[level]))) if level in facts.levels else "",
            *(f"{scores[name]:.2f}" for name in measures),
        )
        for level, scores in found.items()
    ]
    return "\n\nBy coarser labels, stage two on test, in percent:\n\n" + table(
        ("", "groups", *map(title, measures)), rows
    )


def _annotators(facts: Facts) -> str:
    """How far annotators agree, in a sentence."""
    known = facts.results.annotators
    found = known.agreement.get("test") if known else None
    if found is None or found.alpha is None:
        return ""
    return (
        f"\n\nOn test, more than one annotator answered"
        f" {count(found.utterances, 'utterance')};"
        f" Krippendorff's alpha is {found.alpha:.2f} (1: they agree, 0: as by chance)."
    )


def calibration_section(settings: Settings, facts: Facts, derived: str) -> str:
    """The section "Calibration"; `derived` is said first."""
    rows, several = [], facts.several
    prior = _prior(facts)
    for stage in Stage:
        found = facts.results.of(stage).calibration
        errors = (found.expected_calibration_error_uncalibrated, found.expected_calibration_error)
        before, after = ([f"{error[split]:.2f}" for split in ("dev", "test")] for error in errors)
        chosen = [] if several else [f"{found.temperature:.4f}"]
        if prior is not None:
            chosen.append(_number(getattr(found, prior)))
        rows.append((stage.words, *chosen, before[0], after[0], before[1], after[1]))
    columns = ("dev without", "dev with", "test without", "test with")
    if several:
        return (
            f"## Calibration\n\n{derived}Scale, biases and thresholds were fitted on dev. Expected"
            " calibration error in percent, the mean over the labels, before each label's bias was"
            f" fitted on dev (without) and after (with):\n\n{table(('', *columns), rows)}"
        )
    note = (
        f" This recognizer's own temperature is {settings.calibration[Stage.TWO]:.4f}; the table is"
        " the run's."
        if derived
        else ""
    )
    scores = "(scores + offsets)" if settings.offsets.get(Stage.TWO) else "scores"
    by = (
        " Scores are of the cosines of the logits with the labels' axes, whatever the logits' size:"
        " confidence and calibration error are not those of a softmax of the logits."
        if settings.head == "predictor"
        else ""
    )
    fitted = "T was fitted on dev and changes no answer"
    if derived:
        fitted = "T changes no answer; those of the run were fitted on dev"
    alone = "Probabilities are", f"; {fitted}"
    if settings.chain is not None:
        alone = (
            "The probabilities of an utterance alone are",
            ", T fitted on dev, and those of stage two are then weighed by the chain",
        )
    return (
        f"## Calibration\n\n{alone[0]} `softmax({scores} / T)`{alone[1]}.{by}{note}"
        f"{_PRIORS[prior] if prior else ''} Expected calibration error in percent, without T and"
        " with it:\n\n" + table(("", "T", *(("a",) if prior else ()), *columns), rows)
    )


_PRIORS = {
    "prior": (
        " The run added to each label's score a times the log of its share of train, a chosen on"
        " dev (`evaluation.prior`)."
    ),
    "logit_adjustment": (
        " The run took from each label's score a times the log of its share of train, a chosen on"
        " dev (`evaluation.logit_adjustment`)."
    ),
}
"""By the field of `Calibration` that has the factor."""


def _prior(facts: Facts) -> str | None:
    """Which of `_PRIORS` the run had; none with several labels."""
    found = facts.results.stage_two.calibration
    names = () if facts.several else tuple(_PRIORS)
    return next((name for name in names if getattr(found, name) is not None), None)


def unsure_section(found: Abstention | None, derived: str) -> str:
    """The section "Where it is unsure": which answers to leave out, and how many labels to take
    instead; empty where that was not measured. `derived` is said first.
    """
    if found is None:
        return ""
    surest = [
        (f"{each.confidence:.2f}", f"{each.answered:.1f}", f"{each.right:.1f}")
        for each in found.surest.values()
        if each.right is not None
    ]
    sets = [
        (f"{int(coverage) / 100}", f"{each.coverage:.1f}", f"{each.size:.2f}", f"{each.single:.1f}")
        for coverage, each in found.sets.items()
    ]
    return (
        f"## Where it is unsure\n\n{derived}Answers with at least a confidence, on test, in"
        f" percent:\n\n{table(('confidence', 'answered', 'right'), surest)}\n\nSets of possible"
        " labels, by the coverage that `predict(..., coverage=0.9)` asks for, fitted on dev; on"
        " test, how many hold the right label, how many labels they have, and how many are of one,"
        " in percent:\n\n" + table(("coverage", "held", "labels", "one label"), sets)
    )
