"""The report's words and tables: each function gives a piece of HTML with every outside text
escaped.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.dialogue import count
from eacl_jax.reports.projection import unit

DASH = "–"
STAGES = (("stage_one", "Stage one"), ("stage_two", "Stage two"))
_MEASURES = {
    "weighted_f1": "weighted F1",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
    "jaccard": "Jaccard index",
    "ranking_precision": "ranking precision",
}
_OF_SEVERAL = _MEASURES | {"accuracy": "exactly right"}
"""The same where an utterance may have several labels."""


def at(mapping: Mapping[str, Any], *keys: str) -> Any:
    """The value under nested keys, None where one is missing."""
    value: Any = mapping
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def percent(mapping: Mapping[str, Any], *keys: str) -> float | None:
    """The finite number under nested keys, else None."""
    value = at(mapping, *keys)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def shown(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"


def change(before: float | None, after: float | None) -> str:
    """The difference of two figures as they are shown, with its sign."""
    if before is None or after is None:
        return DASH
    difference = round(after, 2) - round(before, 2)
    return "±0.00" if abs(difference) < 0.005 else f"{difference:+.2f}".replace("-", "−")


def measure_words(key: str, config: Mapping[str, Any]) -> str:
    """A measure's name, and which label micro F1 leaves out; plain text."""
    excluded = at(config, "evaluation", "excluded_label") if key == "micro_f1" else ""
    return f"{_MEASURES[key]} without {excluded}" if excluded else _MEASURES[key]


def quoted(label: str) -> str:
    # Apart from the sentence, whose numbers a label that is written from right to left would move.
    return f"“<bdi>{escape(label)}</bdi>”"


def primary(config: Mapping[str, Any], results: Mapping[str, Any]) -> tuple[str, str]:
    """Key and name of the measure that the run goes by, plain text; weighted F1 where the results
    lack the configured one.
    """
    key = at(config, "evaluation", "primary")
    if key not in _MEASURES or percent(results, "stage_two", "test", key) is None:
        key = "weighted_f1"
    return key, measure_words(key, config)


def _baseline(results: Mapping[str, Any], key: str) -> tuple[str, float] | None:
    """Words and score of always giving one answer; None where that has no such score."""
    measured = percent(results, "always_most_frequent", "test", key)
    if measured is None:
        return None
    return f"Always {quoted(str(at(results, 'always_most_frequent', 'label')))}", measured


def headline(
    config: Mapping[str, Any],
    corpus: str,
    results: Mapping[str, Any],
    labels: Sequence[str],
    gold: Int[np.ndarray, " N"],
) -> str:
    """Title, verdict in a sentence, bars, how the epochs were chosen."""
    key, measure = primary(config, results)
    measure = escape(measure)
    first, second = (percent(results, stage, "test", key) for stage, _ in STAGES)
    chain = ", dialogues as sequences" if at(results, "sequence", "kept") else ""
    adapted, learned = "anchors", "representations"
    if classifies(config):
        adapted, learned = "axes of the logits", "classifier"
    bars = [
        (f"Stage two: {adapted} adapted{chain}", second, "after"),
        (f"Stage one: {learned} learned", first, "before"),
    ]
    beside = []
    if first is not None and second is not None:
        beside.append(f"{_beside(first, second)} stage one")
    if baseline := _baseline(results, key):
        bars.append((baseline[0], baseline[1], "baseline"))
        if second is not None:
            beside.append(f"{_beside(baseline[1], second)} always giving the most frequent answer")
    comparison = f": {', and '.join(beside)}" if beside else ""
    rows = "".join(
        f'<dt>{name}</dt><dd><span class="track"><span class="fill {kind}"'
        f' style="width:{value or 0:.2f}%"></span></span><b>{shown(value)}</b></dd>'
        for name, value, kind in bars
    )
    encoder, most = at(config, "encoder", "path"), at(config, "data", "max_dialogues")
    facts = [
        f"Encoder {escape(str(encoder))}" if encoder else "",
        f"seed {escape(str(results.get('seed', at(config, 'seed'))))}",
        f"at most the first {most} dialogues of each split" if most else "",
    ]
    return (
        f"<h1>Emotion recognition on {escape(corpus)}</h1>"
        f'<p class="quiet">{", ".join(fact for fact in facts if fact)},'
        f" {count(len(gold), 'test utterance')}, {count(len(labels), 'label')}"
        f"{_SEVERAL if gold.ndim == 2 else ''}</p>"
        f'<p class="verdict">Test {measure} <strong>{shown(second)}</strong> of'
        f" 100{comparison}.</p>"
        f'<dl class="bars">{rows}</dl>{_choice(config, results, measure)}'
        f"{_taught(results)}{_departures(config)}"
    )


_SEVERAL = ", of which an utterance may have several or none"


def _beside(other: float, ours: float) -> str:
    difference = change(other, ours)
    sides = {"+": f"{difference[1:]} above", "−": f"{difference[1:]} below"}
    return sides.get(difference[0], "the same as")


def selected_on_test(config: Mapping[str, Any]) -> bool:
    return bool(at(config, "compat", "select_on_test"))


def classifies(config: Mapping[str, Any]) -> bool:
    """`Config.classifies`: what stands as anchors are then the axes of the classifier's logits."""
    return at(config, "loss", "ce_weight") == 1


def _choice(config: Mapping[str, Any], results: Mapping[str, Any], measure: str) -> str:
    chosen = []
    for stage, name in STAGES:
        epoch, of = at(results, stage, "best_epoch"), at(config, stage, "epochs")
        if epoch is None:
            continue
        # With `max_steps` there were fewer than are set.
        of = None if at(config, stage, "max_steps") else of
        words = f"epoch {int(epoch)}" + (f" of {int(of)}" if of else "")
        if mean_of := at(results, stage, "mean_of"):
            words = f"the mean of the weights of epochs {', '.join(map(str, mean_of))}"
        if stage == "stage_two" and epoch == 0:
            what = "axes" if classifies(config) else "anchors"
            words = f"epoch 0, the {what} as stage one left them (no later epoch did better)"
        chosen.append(f"{name.lower()} {words}")
    which = f" Chosen: {'; '.join(chosen)}." if chosen else ""
    if selected_on_test(config):
        return (
            '<div class="notice warning" role="note"><p><strong>Warning: the epoch was chosen on'
            " the test split.</strong> <code>compat.select_on_test</code> is on, as in the"
            f" reference code: stage one’s epoch is the one with the best <em>test</em> {measure},"
            " and test breaks the ties of stage two. The test figures are therefore too good: do"
            f" not compare them with runs that chose on dev.{which}</p></div>"
        )
    return (
        f"<p>Epochs were chosen by dev {measure}; the test split was scored once, at the"
        f" end.{which}</p>"
    )


def _taught(results: Mapping[str, Any]) -> str:
    learnt, of = at(results, "taught", "learnt"), at(results, "taught", "of")
    if learnt is None or of is None:
        return ""
    return (
        '<div class="notice warning" role="note"><p><strong>Warning: a teacher has learnt from'
        f" {int(learnt)} of the {int(of)} annotated utterances of dev and test.</strong> On these"
        " it teaches their labels, and the scores say nothing.</p></div>"
    )


def _departures(config: Mapping[str, Any]) -> str:
    on = [
        name
        for name, value in (at(config, "compat") or {}).items()
        if value and name != "select_on_test"
    ]
    if not on:
        return ""
    names = ", ".join(f"<code>compat.{escape(name)}</code>" for name in on)
    words = f"This run follows the reference code where it departs from the paper: {names}."
    return f'<div class="notice" role="note"><p>{words}</p></div>'


def measures_table(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Both stages' summary measures on dev and test."""
    rows = [
        (f"{name}, {split}", at(results, stage, split))
        for split in ("test", "dev")
        for stage, name in STAGES
    ]
    several = any(percent(scores or {}, "jaccard") is not None for _, scores in rows)
    more = (
        "; micro F1 is that of all pairs of utterance and label. Jaccard index: of the labels that"
        " are annotated or answered, how many are both, on average. Exactly right: utterances with"
        " all their labels answered and no other. Ranking precision: how far up an utterance’s"
        " labels stand when all are sorted by probability (label ranking average precision)."
    )
    return scores_table(
        config,
        rows,
        "All measures, in percent. "
        "F1 is the harmonic mean of precision and recall; weighted F1 counts each label as often as"
        " it occurs, "
        "macro F1 counts alike all labels that are annotated or answered; one only answered counts"
        f" 0{more if several else '.'}{micro_f1_words(config)}",
    )


def micro_f1_words(config: Mapping[str, Any]) -> str:
    """What micro F1 is where it leaves out a label, a sentence; empty where it leaves out none."""
    excluded = at(config, "evaluation", "excluded_label")
    return (
        f" Micro F1 without {quoted(excluded)} is that of all other labels together: what is"
        f" annotated and answered {quoted(excluded)} does not count as right."
        if excluded
        else ""
    )


def scores_table(config: Mapping[str, Any], rows: Sequence[tuple[str, Any]], caption: str) -> str:
    """A row for each (name, scores), a column for each summary measure that one of them has;
    nothing where none has any. The caption is HTML.
    """
    keys = [
        key
        for key in _MEASURES
        if any(percent(scores or {}, key) is not None for _, scores in rows)
    ]
    if not keys:
        return ""
    words = {key: escape(measure_words(key, config)) for key in keys}
    words |= _OF_SEVERAL if "jaccard" in keys else {}
    head = "".join(f'<th scope="col" class="number">{words[key]}</th>' for key in keys)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(f'<td class="number">{shown(percent(scores or {}, key))}</td>' for key in keys)
        + "</tr>"
        for name, scores in rows
    )
    return (
        f'<p class="caption">{caption}</p><div class="scroll"><table class="narrow">'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def calibration(config: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """What stage two's probabilities are worth, in a paragraph; nothing where the run did not
    measure it.
    """
    found = at(results, "stage_two", "calibration")
    after = percent(results, "stage_two", "calibration", "expected_calibration_error", "test")
    before = percent(
        results, "stage_two", "calibration", "expected_calibration_error_uncalibrated", "test"
    )
    if found is None or after is None:
        return ""
    if percent(results, "stage_two", "test", "jaccard") is not None:
        return (
            "<p>How far to trust a probability: on test, stage two’s probabilities of a label and"
            f" how often the label is there differ by <strong>{shown(after)}</strong> points, on"
            " average over the labels (expected calibration error, 15 bins;"
            f" {shown(before)} before each label’s bias was fitted on dev).</p>"
        )
    chain = at(results, "sequence", "kept")
    return (
        "<p>How far to trust a probability: on test, stage two’s stated confidence and its"
        f" accuracy differ by <strong>{shown(after)}</strong> points (expected calibration error,"
        f" 15 bins; {shown(before)} before scores were divided by"
        f" {shown(percent(results, 'stage_two', 'calibration', 'temperature'))}, the temperature"
        f" that fits dev{', and answers weighed by those around them' if chain else ''})."
        f"{_prior(results)}{_BY_DIRECTION if classifies(config) else ''}</p>"
    )


def _prior(results: Mapping[str, Any]) -> str:
    """Which factors of the log prior dev chose, in a sentence; nothing where none was asked for."""
    for name, words in (
        ("prior", "To each label’s score was added"),
        ("logit_adjustment", "From each label’s score was taken"),
    ):
        if percent(results, "stage_two", "calibration", name) is None:
            continue
        first, second = (percent(results, stage, "calibration", name) for stage, _ in STAGES)
        return (
            f" {words} a times the log of its share of train"
            f" (<code>evaluation.{name}</code>), a being {shown(first)} in stage one and"
            f" {shown(second)} in stage two, chosen on dev."
        )
    return ""


_BY_DIRECTION = (
    " The classifier’s confidence is here by the direction of its logits (their cosines with the"
    " labels’ axes), whatever their size: it is not that of a softmax of the logits, and neither is"
    " this error."
)


def class_table(
    results: Mapping[str, Any],
    labels: Sequence[str],
    names: Sequence[str],
    gold: Int[np.ndarray, " N"],
    predictions: Mapping[str, Int[np.ndarray, " N"]],
) -> str:
    """F1 of each label in both stages, with its support; a label that test lacks has a dash, or
    how often it was answered.
    """
    support = np.bincount(gold, minlength=len(labels))
    answered = {s: np.bincount(predictions[s], minlength=len(labels)) for s, _ in STAGES}
    rows = []
    for i, (label, name, size) in enumerate(zip(labels, names, support, strict=True)):
        first, second = (
            percent(results, s, "test", "per_class_f1", label) if size or answered[s][i] else None
            for s, _ in STAGES
        )
        wrong = ["" if size else only_answered(int(answered[s][i])) for s, _ in STAGES]
        alias = (
            f'<br><span class="quiet">in figures: {escape(name)}</span>' if name != label else ""
        )
        rows.append(
            f'<tr><th scope="row">{escape(label)}{alias}</th><td class="number">{size:,}</td>'
            + "".join(
                f'<td class="number">{shown(value)}{more}<span class="fill {kind}"'
                f' style="width:{value or 0.0:.2f}%"></span></td>'
                for value, kind, more in ((first, "before", wrong[0]), (second, "after", wrong[1]))
            )
            + change_cell(first, second)
            + "</tr>"
        )
    totals = total_row("weighted_f1", f"{len(gold):,}", results) + total_row(
        "macro_f1", "", results
    )
    note = (
        f'<p class="quiet">{DASH}: no test utterance has this label, and none was answered it.'
        " Macro F1 counts alike all labels that are annotated or answered; one only answered counts"
        " 0.</p>"
        if (support == 0).any()
        else ""
    )
    return (
        '<p class="caption">F1 on test by label, in'
        " percent</p>"
        '<div class="scroll"><table class="narrow classes">'
        "<thead><tr>"
        '<th scope="col">label</th><th scope="col" class="number">in test</th><th scope="col"'
        ' class="number">stage one</th>'
        '<th scope="col" class="number">stage two</th><th scope="col"'
        ' class="number">change</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody><tfoot>{totals}</tfoot></table></div>{note}"
    )


def only_answered(size: int) -> str:
    """Beside the score of a label that test lacks: how often it was answered."""
    times = "once" if size == 1 else f"{size:,} times"
    return f'<br><span class="quiet wraps">answered {times}</span>' if size else ""


def total_row(key: str, support: str, results: Mapping[str, Any]) -> str:
    """Both stages' summary scores under a table by label."""
    first, second = (percent(results, stage, "test", key) for stage, _ in STAGES)
    cells = "".join(
        f'<td class="number">{text}</td>' for text in (support, shown(first), shown(second))
    )
    return f'<tr><th scope="row">{_MEASURES[key]}</th>{cells}{change_cell(first, second)}</tr>'


def change_cell(before: float | None, after: float | None) -> str:
    """A cell with a score's change, coloured by its sign."""
    text = change(before, after)
    kind = {"+": " up", "−": " down"}.get(text[0], "")
    return f'<td class="number{kind}">{text}</td>'


def mistakes(counts: Int[np.ndarray, "C C"], labels: Sequence[str]) -> str:
    """What goes wrong most often, in words."""
    off = counts - np.diag(np.diag(counts))
    if not off.sum():
        return (
            "Every test utterance was answered right."
            if counts.sum()
            else "There are no test utterances."
        )
    gold, answered = divmod(int(off.argmax()), len(labels))
    most = int(off[gold, answered])
    share = 100 * most / counts[gold].sum()
    sentence = (
        f"The most frequent mistake: {quoted(labels[gold])} answered as {quoted(labels[answered])},"
        f" {count(most, 'time')} ({share:.0f}% of {quoted(labels[gold])})."
    )
    never = [
        quoted(label)
        for label, row, column in zip(labels, counts.sum(axis=1), counts.sum(axis=0), strict=True)
        if row and not column
    ]
    return sentence + (f" Never answered: {', '.join(never)}." if never else "")


def closest(matrix: Float[np.ndarray, "C C"], labels: Sequence[str]) -> str:
    """The two labels with the smallest angle between anchors, in words."""
    rows, columns = np.triu_indices(len(labels), k=1)
    if not len(rows) or not np.isfinite(matrix).all():
        return ""
    best = int(matrix[rows, columns].argmax())
    cosine = float(matrix[rows[best], columns[best]])
    pair = f"{quoted(labels[int(rows[best])])} and {quoted(labels[int(columns[best])])}"
    apart = f"cosine {cosine:.2f}, {math.degrees(math.acos(cosine)):.0f}° apart".replace("-", "−")
    return f"Closest: {pair}, {apart}."


def turned(
    before: Float[np.ndarray, "A m"],
    after: Float[np.ndarray, "A m"],
    labels: Sequence[str],
    what: str = "anchors",
) -> str:
    """How far stage two turned the anchors, one or several a label, in words; `what` they are."""
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return f"Some {what} are not finite numbers: the run diverged."
    if np.array_equal(before, after):
        return f"Stage two left the {what} where they were."
    cosine = (unit(before.astype(np.float64)) * unit(after.astype(np.float64))).sum(axis=1)
    angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    most = int(angles.argmax())
    each = len(angles) // len(labels)
    label = f"{'one of ' if each > 1 else ''}{quoted(labels[most // each])}"
    furthest = f"most of all {label}: {angles[most]:.1f}°"
    return f"Stage two turned the {what} by {angles.mean():.1f}° on average, {furthest}."
