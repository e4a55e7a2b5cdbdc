"""The study page's words and tables: each function gives a piece of HTML with every outside text
escaped.
"""

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from eacl_jax.dialogue import count
from eacl_jax.studies import figures, words
from eacl_jax.studies.statistics import DRAWS, LEVEL
from eacl_jax.studies.table import Comparison, Row, Table

# More answers than these are folded, those that show a difference before the others.
_MANY = 8


def headline(table: Table) -> str:
    """Title, question, and an answer a comparison; then what is missing or wrong."""
    facts = [
        count(len(table.corpora), "corpus", "corpora"),
        count(max(map(len, table.settings.values()), default=0), "variant"),
        count(len(table.seeds), "seed"),
    ]
    return (
        f"<h1>Study: {escape(table.name)}</h1>"
        f'<p class="verdict">{escape(table.question)}</p>'
        f'<p class="quiet">A study of {", ".join(facts)}. {escape(words.recipes(table))}</p>'
        + _answers(table)
        + _chosen_on_test(table)
        + _limits(table)
        + _unfinished(table)
    )


def _answers(table: Table) -> str:
    found = [each for each in table.comparisons if each.measure == table.measures[0]]
    if not found:
        return _no_comparisons(table)

    def listed(some: Sequence[Comparison]) -> str:
        items = "".join(
            "<li>"
            + (f"{escape(each.corpus)}: " if len(table.corpora) > 1 else "")
            + f"<strong>{escape(words.pair_words(each))}</strong>:"
            f" {escape(words.verdict(each))}</li>"
            for each in some
        )
        return f'<ul class="answers">{items}</ul>'

    if len(found) <= _MANY:
        return listed(found)
    unmade = [each for each in found if each.difference is None]
    if len(unmade) == len(found):
        return listed(found)
    others = [each for each in found if each.p_holm is not None and not words.differs(each)]
    shown = [each for each in found if each not in (*others, *unmade)]
    comparison = "more comparison" if shown else "comparison"

    def folded(some: Sequence[Comparison], what: str) -> str:
        summary = f"<summary>{count(len(some), comparison)} {what}</summary>"
        return f"<details>{summary}{listed(some)}</details>" if some else ""

    return (
        (listed(shown) if shown else "")
        + folded(others, "in which no difference of recipes can be shown")
        + folded(unmade, "that cannot be made")
    )


def _no_comparisons(table: Table) -> str:
    measure, found = table.measures[0], []
    for corpus in table.corpora:
        rows = words.shown_rows(table, corpus)
        if best := words.best(rows, measure):
            mean = words.mean_words(best[0].scores["test"][measure])
            names = ", ".join(f"<strong>{escape(words.row_name(row))}</strong>" for row in best)
            found.append(
                f"<li>{escape(corpus)}: the highest {escape(words.measure_words(measure, rows))}"
                f" has {names}, {mean}. The study names no"
                " comparison, so whether it is better than others is not tested.</li>"
            )
    return f'<ul class="answers">{"".join(found)}</ul>' if found else ""


def _chosen_on_test(table: Table) -> str:
    if not any(row.chosen_on == "test" for row in table.rows):
        return ""
    return (
        '<div class="notice warning" role="note"><p><strong>Warning: stage one’s epoch was'
        " chosen on the test split</strong> in some runs"
        " (<code>compat.select_on_test</code>). Their scores are too good: do not compare them with"
        " runs that chose on dev.</p></div>"
    )


def _limits(table: Table) -> str:
    limits = [*table.notes, *(limit for row in table.rows for limit in row.limits)]
    found = dict.fromkeys(limits)
    if not found:
        return ""
    return f'<div class="notice" role="note"><p>{escape(" ".join(found))}</p></div>'


def _unfinished(table: Table) -> str:
    parts = []
    if table.failed:
        rows = "".join(
            f"<li><strong>{escape(name)}</strong>: {escape(why)}</li>"
            for name, why in table.failed.items()
        )
        parts.append(
            '<div class="notice warning" role="note"><p>'
            f"{count(len(table.failed), 'run')} failed:</p><ul>{rows}</ul></div>"
        )
    if table.missing:
        parts.append(
            f'<details class="notice"><summary>{count(len(table.missing), "run")} still to be'
            f" done</summary><p>{escape(', '.join(table.missing))}</p></details>"
        )
    return "".join(parts)


def scores_table(table: Table, rows: Sequence[Row]) -> str:
    """Variants by measures, with what stands under every table."""
    head = "".join(
        f'<th scope="col" class="number">{escape(words.measure_words(measure, rows))}</th>'
        for measure in table.measures
    )
    names = [words.row_name(row) for row in rows]
    drawn = figures.wrapped(names)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}{_drawn_as(name, figure_name)}</th>'
        f'<td class="number">{len(row.seeds)}</td>'
        + "".join(_score_cell(table, rows, row, measure) for measure in table.measures)
        + "</tr>"
        for row, name, figure_name in zip(rows, names, drawn, strict=True)
    )
    notes = " ".join(words.notes(table, rows))
    return (
        '<div class="scroll"><table class="narrow scores"><thead><tr><th scope="col">variant</th>'
        f'<th scope="col" class="number">seeds</th>{head}</tr></thead><tbody>{body}</tbody></table>'
        f'</div><p class="quiet">{escape(notes)}</p>'
    )


def _drawn_as(name: str, drawn: str) -> str:
    """What figures call a variant where they cannot write its name."""
    if drawn == name or not re.fullmatch(r"#\d+", drawn):
        return ""
    return f'<br><span class="quiet">in figures: {escape(drawn)}</span>'


def _score_cell(table: Table, rows: Sequence[Row], row: Row, measure: str) -> str:
    found = row.scores["test"][measure]
    best = " best" if words.is_best(rows, row, measure) else ""
    dagger = "†" if words.marked(table, row, measure) else ""
    interval = (
        ""
        if found.low is None
        else f"<small>{words.interval_words(found.low, found.high, 1)}</small>"
    )
    return f'<td class="number{best}">{words.mean_words(found)}{dagger}{interval}</td>'


_SIMILAR = (
    ("f1", "F1 of the pair", 1),
    ("angle", "angle of anchors", 0),
    ("silhouette_before", "silhouette before", 2),
    ("silhouette", "silhouette", 2),
)


def similar_table(rows: Sequence[Row]) -> str:
    """F1, angle and silhouette of every similar pair, by variant; columns without numbers are left
    out.
    """
    columns = [
        (field, name, digits)
        for field, name, digits in _SIMILAR
        if any(getattr(pair, field) is not None for row in rows for pair in row.similar)
    ]
    head = "".join(f'<th scope="col" class="number">{name}</th>' for _, name, _ in columns)
    body = "".join(
        f'<tr><th scope="row">{escape(_with_support(row, pair.first))} and'
        f" {escape(_with_support(row, pair.second))}</th>"
        f"<td>{escape(words.row_name(row))}</td>"
        + "".join(
            f'<td class="number">{words.number(getattr(pair, field), digits)}'
            + ("°" if field == "angle" and pair.angle is not None else "")
            + "</td>"
            for field, _, digits in columns
        )
        + "</tr>"
        for number in range(len(rows[0].similar))
        for row in rows
        for pair in (row.similar[number],)
    )
    reasons = any(field == "angle" for field, _, _ in columns) and words.without_angles(rows)
    angles = f" {escape(reasons)}" if reasons else ""
    before = _before(rows)
    return (
        "<details><summary>Pairs in numbers</summary>"
        '<div class="scroll"><table class="narrow"><thead><tr><th scope="col">pair</th>'
        f'<th scope="col">variant</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        '<p class="quiet">F1 of the pair: mean of both labels’ F1 in percent where only their'
        " utterances are asked, and only they can be answered. Silhouette: how well the two groups"
        f" of representations are apart, 1 fully, 0 not at all{before}. Means over seeds."
        f"{angles}</p>"
        "</details>"
    )


def _before(rows: Sequence[Row]) -> str:
    """What silhouettes before training are of, and which variants have none; empty without any."""
    have = [any(pair.silhouette_before is not None for pair in row.similar) for row in rows]
    if not any(have):
        return ""
    none = (
        "; none of variants that read no text, that read other prompts or by another encoder than"
        " the first variant, or whose encoder starts at random"
    )
    return (
        f" (before: of the texts alone, by the encoder before training{'' if all(have) else none})"
    )


def _with_support(row: Row, label: str) -> str:
    """The label, and how many test utterances have it."""
    return f"{label} ({next(each.support for each in row.labels if each.label == label):,})"


def cost_table(rows: Sequence[Row]) -> str:
    """What each variant cost."""
    body = ""
    for row in rows:
        cost = row.cost
        if cost is None:
            continue
        cells = (
            f"{cost.parameters / 1e6:,.1f}",
            f"{cost.trained / 1e6:,.1f}",
            _known(cost.seconds_an_epoch, ",.1f"),
            _known(cost.examples_per_second, ",.0f"),
            _known(cost.peak_bytes, ",.2f", 1e-9),
            _known(cost.seconds, ",.1f", 1 / 60),
        )
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        devices = "; ".join((*cost.devices, *cost.processors))
        numbers += f"<td>{escape(devices)}</td>"
        body += f'<tr><th scope="row">{escape(row.variant)}</th>{numbers}</tr>'
    heads = (
        "parameters, millions",
        "of these trained",
        "seconds an epoch",
        "examples a second",
        "most memory, GB",
        "minutes a run",
    )
    head = "".join(f'<th scope="col" class="number">{name}</th>' for name in heads)
    return (
        '<div class="scroll"><table class="narrow cost"><thead><tr><th scope="col">variant</th>'
        f'{head}<th scope="col">device</th></tr></thead><tbody>{body}</tbody></table></div>'
        '<p class="quiet">Epochs and examples are those of stage one’s training, without evaluation'
        " and compilation, and are not known of runs that recorded one step only. Memory: the most"
        " of any seed, on a CPU with what earlier runs left in"
        " the process, on other devices only where no earlier run used as much; else means over"
        " seeds, and minutes over those that were not interrupted, for the others know their last"
        " part only. Times of different devices, or of a machine that did other things too, cannot"
        " be compared.</p>"
    )


def _known(value: float | None, form: str, scale: float = 1.0) -> str:
    return words.DASH if value is None else format(scale * value, form)


def settings(table: Table) -> str:
    """The settings in which variants differ; a table for each corpus where corpora differ."""
    corpora = {corpus: found for corpus, found in table.settings.items() if any(found.values())}
    if not corpora:
        return ""
    first, *others = corpora.values()
    if len(corpora) == len(table.settings) and all(other == first for other in others):
        shown = _settings_table(first)
    else:
        shown = "".join(
            f"<h3>{escape(corpus)}</h3>{_settings_table(found)}"
            for corpus, found in corpora.items()
        )
    return f"<h2>Settings of the variants</h2>{shown}"


def _settings_table(settings: Mapping[str, Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for found in settings.values() for name in found))
    head = "".join(f'<th scope="col"><code>{escape(name)}</code></th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(variant)}</th>'
        + "".join(
            f'<td class="text"><code>{escape(_plain(found.get(name)))}</code></td>'
            for name in names
        )
        + "</tr>"
        for variant, found in settings.items()
    )
    return (
        '<div class="scroll"><table class="narrow"><thead><tr>'
        f'<th scope="col">variant</th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    return "empty" if value == "" else str(value)


_OF_SEVERAL = (
    " Micro F1 is that of all pairs of utterance and label; Jaccard: of an utterance’s labels that"
    " are annotated or answered, how many are both, on average."
)


def reading(table: Table) -> str:
    """How the numbers were made, and where they are."""
    more = _OF_SEVERAL if "jaccard" in table.measures else ""
    drawn = (
        f" An interval ({LEVEL}%) is by drawing test dialogues with replacement {DRAWS:,} times:"
        " utterances of one dialogue are alike, so dialogues are drawn whole. A p-value is the"
        " chance of such a difference if there were none; Holm’s correction raises it where many"
        " comparisons are made, for of twenty without a difference one would else seem to have"
        " one. Where seeds are drawn too, how far their mean lies from that of other seeds is drawn"
        " from Student’s t distribution, which few seeds make wide."
    )
    return (
        "<h2>How to read this</h2><p>F1 is the harmonic mean of precision and recall; weighted F1"
        f" counts each label as often as it occurs, macro F1 counts all labels alike.{more}"
        f"{drawn if words.has_intervals(table.rows, table.measures) else ''}</p>"
        "<p>All numbers: <code>study.json</code>, <code>rows.csv</code>,"
        " <code>comparisons.csv</code>; tables for texts: <code>tables.md</code>,"
        " <code>tables.tex</code>.</p>"
    )
