"""The report's words and tables: each function gives a piece of HTML with every outside text
escaped.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from eacl_jax.config import Config
from eacl_jax.reports.projection import unit

DASH = "–"
STAGES = (("stage_one", "Stage one"), ("stage_two", "Stage two"))
_MEASURES = {
    "weighted_f1": "weighted F1",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "accuracy": "accuracy",
}


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


def quoted(label: str) -> str:
    return f"“{escape(label)}”"


def primary(config: Mapping[str, Any], results: Mapping[str, Any]) -> tuple[str, str]:
    """Key and words of the measure that the run goes by; weighted F1 where the results lack the
    configured one.
    """
    key = at(config, "evaluation", "primary")
    if key not in _MEASURES or percent(results, "stage_two", "test", key) is None:
        key = "weighted_f1"
    return key, _MEASURES[key]


def _baseline(
    results: Mapping[str, Any], labels: Sequence[str], gold: Int[np.ndarray, " N"], key: str
) -> tuple[str, float] | None:
    """Words and score of always giving one answer: as measured by the run, else worked out from
    test for weighted F1.
    """
    measured = percent(results, "always_most_frequent", "test", key)
    if measured is not None:
        return f"Always {quoted(str(at(results, 'always_most_frequent', 'label')))}", measured
    if key != "weighted_f1" or not len(gold):
        return None
    counts = np.bincount(gold, minlength=len(labels))
    share = counts.max() / counts.sum()
    # Always answering a label that makes up a share p of test: precision p, recall 1, F1 2p/(1+p),
    # and weight p.
    return (
        f"Always {quoted(labels[int(counts.argmax())])}, test’s most frequent",
        100 * share * 2 * share / (1 + share),
    )


def headline(
    config: Mapping[str, Any],
    corpus: str,
    results: Mapping[str, Any],
    labels: Sequence[str],
    gold: Int[np.ndarray, " N"],
) -> str:
    """Title, verdict in a sentence, bars, how the epochs were chosen."""
    key, measure = primary(config, results)
    first, second = (percent(results, stage, "test", key) for stage, _ in STAGES)
    bars = [
        ("Stage two: anchors adapted", second, "after"),
        ("Stage one: representations learned", first, "before"),
    ]
    beside = []
    if first is not None and second is not None:
        beside.append(f"{_beside(first, second)} stage one")
    if baseline := _baseline(results, labels, gold, key):
        bars.append((baseline[0], baseline[1], "baseline"))
        if second is not None:
            beside.append(f"{_beside(baseline[1], second)} always giving the most frequent answer")
    comparison = f": {', and '.join(beside)}" if beside else ""
    rows = "".join(
        f'<dt>{name}</dt><dd><span class="track"><span class="fill {kind}"'
        f' style="width:{value or 0:.2f}%"></span></span><b>{shown(value)}</b></dd>'
        for name, value, kind in bars
    )
    encoder = at(config, "encoder", "path")
    facts = [
        f"Encoder {escape(str(encoder))}" if encoder else "",
        f"seed {escape(str(results.get('seed', at(config, 'seed'))))}",
    ]
    return (
        f"<h1>Emotion recognition on {escape(corpus)}</h1>"
        f'<p class="quiet">{", ".join(fact for fact in facts if fact)}, {len(gold):,} test'
        f" utterances, {len(labels)} labels</p>"
        f'<p class="verdict">Test {measure} <strong>{shown(second)}</strong> of'
        f" 100{comparison}.</p>"
        f'<dl class="bars">{rows}</dl>{_choice(config, results, measure)}{_departures(config)}'
    )


def _beside(other: float, ours: float) -> str:
    difference = change(other, ours)
    sides = {"+": f"{difference[1:]} above", "−": f"{difference[1:]} below"}
    return sides.get(difference[0], "the same as")


def selected_on_test(config: Mapping[str, Any]) -> bool:
    return bool(at(config, "compat", "select_on_test"))


def _choice(config: Mapping[str, Any], results: Mapping[str, Any], measure: str) -> str:
    chosen = []
    for stage, name in STAGES:
        epoch, of = at(results, stage, "best_epoch"), at(config, stage, "epochs")
        if epoch is None:
            continue
        words = f"epoch {int(epoch)}" + (f" of {int(of)}" if of else "")
        if stage == "stage_two" and epoch == 0:
            words = "epoch 0, the anchors as stage one left them (no later epoch did better)"
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


def measures_table(results: Mapping[str, Any]) -> str:
    """Both stages' summary measures on dev and test."""
    keys = [
        k
        for k in _MEASURES
        if any(
            percent(results, stage, split, k) is not None
            for stage, _ in STAGES
            for split in ("dev", "test")
        )
    ]
    if not keys:
        return ""
    head = "".join(f'<th scope="col" class="number">{_MEASURES[key]}</th>' for key in keys)
    rows = "".join(
        f'<tr><th scope="row">{name}, {split}</th>'
        + "".join(
            f'<td class="number">{shown(percent(results, stage, split, key))}</td>' for key in keys
        )
        + "</tr>"
        for split in ("test", "dev")
        for stage, name in STAGES
    )
    return (
        '<div class="scroll"><table class="narrow"><caption>All measures, in percent. '
        "F1 is the harmonic mean of precision and recall; weighted F1 counts each label as often as"
        " it occurs, "
        "macro F1 counts all labels alike.</caption>"
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def calibration(results: Mapping[str, Any]) -> str:
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
    return (
        "<p>How far to trust a probability: on test, stage two’s stated confidence and its"
        f" accuracy differ by <strong>{shown(after)}</strong> points (expected calibration error,"
        f" 15 bins; {shown(before)} before scores were divided by"
        f" {shown(percent(results, 'stage_two', 'calibration', 'temperature'))}, the temperature"
        " that fits dev).</p>"
    )


def class_table(
    results: Mapping[str, Any],
    labels: Sequence[str],
    names: Sequence[str],
    gold: Int[np.ndarray, " N"],
) -> str:
    """F1 of each label in both stages, with its support; a label that test lacks has dashes."""
    support = np.bincount(gold, minlength=len(labels))
    rows = []
    for label, name, count in zip(labels, names, support, strict=True):
        first, second = (
            percent(results, s, "test", "per_class_f1", label) if count else None for s, _ in STAGES
        )
        alias = (
            f'<br><span class="quiet">in figures: {escape(name)}</span>' if name != label else ""
        )
        rows.append(
            f'<tr><th scope="row">{escape(label)}{alias}</th><td class="number">{count:,}</td>'
            + "".join(
                f'<td class="number">{shown(value)}<span class="fill {kind}"'
                f' style="width:{value or 0.0:.2f}%"></span></td>'
                for value, kind in ((first, "before"), (second, "after"))
            )
            + _change_cell(first, second)
            + "</tr>"
        )
    totals = _total_row("weighted_f1", f"{len(gold):,}", results) + _total_row(
        "macro_f1", "", results
    )
    note = (
        f'<p class="quiet">{DASH}: no test utterance has this label.</p>'
        if (support == 0).any()
        else ""
    )
    return (
        '<div class="scroll"><table class="narrow classes"><caption>F1 on test by label, in'
        " percent</caption><thead><tr>"
        '<th scope="col">label</th><th scope="col" class="number">in test</th><th scope="col"'
        ' class="number">stage one</th>'
        '<th scope="col" class="number">stage two</th><th scope="col"'
        ' class="number">change</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody><tfoot>{totals}</tfoot></table></div>{note}"
    )


def _total_row(key: str, support: str, results: Mapping[str, Any]) -> str:
    first, second = (percent(results, stage, "test", key) for stage, _ in STAGES)
    cells = "".join(
        f'<td class="number">{text}</td>' for text in (support, shown(first), shown(second))
    )
    return f'<tr><th scope="row">{_MEASURES[key]}</th>{cells}{_change_cell(first, second)}</tr>'


def _change_cell(before: float | None, after: float | None) -> str:
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
    count = int(off[gold, answered])
    share = 100 * count / counts[gold].sum()
    sentence = (
        f"The most frequent mistake: {quoted(labels[gold])} answered as {quoted(labels[answered])},"
        f" {count:,} {'time' if count == 1 else 'times'} ({share:.0f}% of {quoted(labels[gold])})."
    )
    never = [
        quoted(label)
        for label, row, column in zip(labels, counts.sum(axis=1), counts.sum(axis=0), strict=True)
        if row and not column
    ]
    return sentence + (f" Never answered: {', '.join(never)}." if never else "")


def closest(matrix: Float[np.ndarray, "C C"], labels: Sequence[str]) -> str:
    """The two anchors with the smallest angle, in words."""
    rows, columns = np.triu_indices(len(labels), k=1)
    if not len(rows) or not np.isfinite(matrix).all():
        return ""
    best = int(matrix[rows, columns].argmax())
    cosine = float(matrix[rows[best], columns[best]])
    pair = f"{quoted(labels[int(rows[best])])} and {quoted(labels[int(columns[best])])}"
    apart = f"cosine {cosine:.2f}, {math.degrees(math.acos(cosine)):.0f}° apart".replace("-", "−")
    return f"Closest: {pair}, {apart}."


def turned(
    before: Float[np.ndarray, "C m"], after: Float[np.ndarray, "C m"], labels: Sequence[str]
) -> str:
    """How far stage two turned the anchors, in words."""
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return "Some anchors are not finite numbers: the run diverged."
    if np.array_equal(before, after):
        return "Stage two left the anchors where they were."
    cosine = (unit(before.astype(np.float64)) * unit(after.astype(np.float64))).sum(axis=1)
    angles = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    most = int(angles.argmax())
    furthest = f"most of all {quoted(labels[most])}: {angles[most]:.1f}°"
    return f"Stage two turned the anchors by {angles.mean():.1f}° on average, {furthest}."


def settings(config: Mapping[str, Any]) -> str:
    """Every setting by group, folded away, those that differ from `Config()` marked."""
    defaults = Config()
    known = defaults.to_dict()
    groups: dict[str, Mapping[str, Any]] = {
        "general": {k: v for k, v in config.items() if not isinstance(v, Mapping)}
    }
    groups.update({k: v for k, v in config.items() if isinstance(v, Mapping)})
    tables, changed, total = [], 0, 0
    for group, content in groups.items():
        before = known if group == "general" else known.get(group, {})
        rows = []
        for key, value in content.items():
            same = key in before and _plain(value) == _plain(before[key])
            changed, total = changed + (not same), total + 1
            note = (
                ""
                if same
                else (
                    f' <span class="quiet">(default: {_setting(before[key])})</span>'
                    if key in before
                    else ""
                )
            )
            rows.append(
                f'<tr class="{"same" if same else "changed"}"><th'
                f' scope="row"><code>{escape(str(key))}</code></th>'
                f"<td>{_setting(value)}{note}</td></tr>"
            )
        about = (
            (type(getattr(defaults, group, None)).__doc__ or "").split("\n")[0]
            if group in known
            else ""
        )
        quiet = f' <span class="quiet">{escape(about)}</span>' if about else ""
        if rows:
            tables.append(
                "<table"
                f' class="settings"><caption>{escape(group)}{quiet}</caption>'
                f"<tbody>{''.join(rows)}</tbody></table>"
            )
    return (
        f"<details><summary>All {total} settings; {changed} differ from the defaults and are"
        " marked</summary>"
        f'<div class="settings-groups">{"".join(tables)}</div></details>'
    )


def _plain(value: Any) -> Any:
    # A tuple that went through JSON is a list.
    return list(value) if isinstance(value, tuple | list) else value


def _setting(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(_setting(item) for item in value) or '<span class="quiet">none</span>'
    return (
        f"<code>{escape(str(value))}</code>" if value != "" else '<span class="quiet">empty</span>'
    )
