"""The study's table as files: CSV with all numbers, and small ones in Markdown and LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora.formulas import guarded
from eacl_jax.dialogue import count
from eacl_jax.files import whole
from eacl_jax.recognizer.markdown import plain
from eacl_jax.studies import words
from eacl_jax.studies.names import slug
from eacl_jax.studies.statistics import LEVEL, Estimate
from eacl_jax.studies.table import Comparison, Row, Table

FILES = ("rows.csv", "comparisons.csv", "tables.md", "tables.tex")


def write_tables(folder: Path, table: Table) -> None:
    """Writes `FILES` into a study's folder."""
    contents = (rows_csv(table), comparisons_csv(table), markdown(table), latex(table))
    for name, content in zip(FILES, contents, strict=True):
        whole.write_text(folder / name, content)


def rows_csv(table: Table) -> str:
    """All rows with all their numbers, under one header; what a row lacks is empty. A variant that
    has no run yet has a row without scores.
    """
    return _csv([*map(_cells, table.rows), *_without_scores(table)])


def _without_scores(table: Table) -> list[dict[str, Any]]:
    there = {(row.corpus, row.variant) for row in table.rows}
    # Answers of no run may be on some corpora only.
    answers = {row.variant for row in table.rows if not row.stage}
    return [
        {"corpus": corpus, "variant": variant, "seeds": "", "planned_seeds": len(table.seeds)}
        for corpus in table.corpora
        for variant in table.variants
        if (corpus, variant) not in there and variant not in answers
    ]


def comparisons_csv(table: Table) -> str:
    """All comparisons."""
    return _csv(
        [
            {
                "corpus": each.corpus,
                "measure": each.measure,
                "excluded_label": each.excluded_label,
                "first": each.first[0],
                "first_stage": each.first[1],
                "second": each.second[0],
                "second_stage": each.second[1],
                "seeds": " ".join(map(str, each.seeds)),
                **{
                    name: getattr(each.difference, field, None)
                    for name, field in (
                        ("second_minus_first", "mean"),
                        ("deviation", "deviation"),
                        ("low", "low"),
                        ("high", "high"),
                        ("seeds_drawn_low", "wide_low"),
                        ("seeds_drawn_high", "wide_high"),
                        ("seeds_higher", "higher"),
                        ("seeds_equal", "equal"),
                        ("undefined", "undefined"),
                        ("p", "p"),
                        ("seeds_drawn_p", "wide_p"),
                    )
                },
                "p_holm": each.p_holm,
                "seeds_drawn_p_holm": each.wide_p_holm,
                "note": each.note,
            }
            for each in table.comparisons
        ]
    )


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    # A spreadsheet would run a name that begins as a formula does.
    writer.writerow({name: guarded(name) for name in names})
    writer.writerows({name: guarded(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cells(row: Row) -> dict[str, Any]:
    cells: dict[str, Any] = {
        "corpus": row.corpus,
        "variant": row.variant,
        "stage": row.stage,
        "seeds": " ".join(map(str, row.seeds)),
        "planned_seeds": row.planned,
        "chosen_on": row.chosen_on,
        "chosen_by": row.chosen_by,
        "excluded_label": row.excluded_label,
        "epochs": " ".join("+".join(map(str, chosen)) for chosen in row.epochs),
        "test_dialogues": row.dialogues,
        "test_utterances": row.utterances,
    }
    for split in ("test", "dev"):
        for measure, found in row.scores.get(split, {}).items():
            cells |= _estimate(f"{split}_{measure}", found)
        cells[f"{split}_calibration_error"] = row.calibration_error.get(split)
    # Only where there is such a row.
    cells |= {"calibration_error_note": words.BY_DIRECTION} if words.by_direction(row) else {}
    cells["smallest_angle"] = row.smallest_angle
    for name in ("parameters", "trained", "examples_per_second", "seconds_an_epoch", "seconds"):
        cells[name] = getattr(row.cost, name, None)
    cells["peak_bytes"] = row.cost.peak_bytes if row.cost else None
    for name in ("devices", "processors", "versions"):
        cells[name] = "; ".join(getattr(row.cost, name)) if row.cost else None
    for each in row.labels:
        cells[f"test_support of {each.label}"] = each.support
        cells[f"test_answered of {each.label}"] = " ".join(map(str, each.answered))
        for name in ("f1", "precision", "recall"):
            columns = _estimate(f"test_{name}", getattr(each, name))
            cells |= {f"{column} of {each.label}": value for column, value in columns.items()}
    for pair in row.similar:
        between = f"{pair.first} and {pair.second}"
        cells |= {
            f"percent of {pair.first} as {pair.second}": pair.first_as_second,
            f"percent of {pair.second} as {pair.first}": pair.second_as_first,
            f"f1 between {between}": pair.f1,
            f"angle between {between}": pair.angle,
            f"silhouette of {between}": pair.silhouette,
            f"silhouette before training of {between}": pair.silhouette_before,
        }
    return cells


def _estimate(name: str, found: Estimate) -> dict[str, float | None]:
    return {
        f"{name}_mean": found.mean,
        f"{name}_deviation": found.deviation,
        f"{name}_low": found.low,
        f"{name}_high": found.high,
        # Where it may be why there is no interval.
        **({f"{name}_undefined": found.undefined} if found.undefined else {}),
    }


_COMPARED = (
    "compared",
    "measure",
    "difference",
    f"{LEVEL}% interval",
    "with seeds drawn",
    "p",
    "p by Holm",
    "with seeds drawn, p by Holm",
    "higher in",
)


def markdown(table: Table) -> str:
    """A table a corpus, of variants and measures, with what they do not show; then comparisons."""
    head = (table.question, words.recipes(table), *table.notes)
    parts = [f"# {plain(table.name)}", *(plain(text) for text in head if text)]
    for corpus in table.corpora:
        rows = words.shown_rows(table, corpus)
        parts.append(f"## {plain(corpus)}")
        if rows:
            parts.append(
                _markdown_table(
                    ["variant", *(plain(words.measure_words(m, rows)) for m in table.measures)],
                    [
                        [plain(words.row_name(row)), *_scores(table, rows, row, _markdown_score)]
                        for row in rows
                    ],
                )
            )
        parts.append(" ".join(plain(note) for note in words.notes(table, rows)))
        compared = [each for each in table.comparisons if each.corpus == corpus]
        if compared:
            parts.append(
                _markdown_table(
                    _COMPARED,
                    [_markdown_comparison(each) for each in compared],
                )
            )
    parts += [f"Failed: {plain(name)}: {plain(why)}" for name, why in table.failed.items()]
    if table.missing:
        parts.append(f"Still to be done: {plain(', '.join(table.missing))}.")
    return "\n\n".join(parts) + "\n"


def _markdown_comparison(each: Comparison) -> list[str]:
    found = each.difference
    if found is None:
        return [
            plain(words.pair_words(each)),
            plain(words.compared_words(each)),
            plain(each.note),
            *[""] * 6,
        ]
    return [
        plain(words.pair_words(each)),
        plain(words.compared_words(each)),
        words.signed(found.mean),
        words.interval_words(found.low, found.high),
        words.interval_words(found.wide_low, found.wide_high),
        _p(found.p),
        _p(each.p_holm),
        _p(each.wide_p_holm),
        f"{found.higher} of {count(len(each.seeds), 'seed')}",
    ]


def _p(p: float | None) -> str:
    return words.DASH if p is None else words.p_value(p).removeprefix("p = ").removeprefix("p ")


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# Mean, interval, whether it is the best, whether it is marked -> a cell.
_Cell = Callable[[str, str, bool, bool], str]


def _scores(table: Table, rows: Sequence[Row], row: Row, cell: _Cell) -> list[str]:
    cells = []
    for measure in table.measures:
        found = row.scores["test"][measure]
        interval = "" if found.low is None else words.interval_words(found.low, found.high, 1)
        cells.append(
            cell(
                words.mean_words(found),
                interval,
                words.is_best(rows, row, measure),
                words.marked(table, row, measure),
            )
        )
    return cells


def _markdown_score(mean: str, interval: str, best: bool, marked: bool) -> str:
    return (
        (f"**{mean}**" if best else mean)
        + ("†" if marked else "")
        + (f" ({interval})" if interval else "")
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "†": r"$^{\dagger}$",
    "’": "'",
    "“": "``",
    "”": "''",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    # At a row's start they would be read as what belongs to the end of the one before.
    "[": "{[}",
    "*": "{*}",
}


def escape(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def latex(table: Table) -> str:
    """A `table` with booktabs a corpus; needs `\\usepackage{booktabs}`."""
    labels = _labels(table)
    return "\n".join(_latex_table(table, corpus, labels[corpus]) for corpus in table.corpora)


def _labels(table: Table) -> dict[str, str]:
    """What a text refers to each corpus' table by; with its number where it would be another's."""
    labels: dict[str, str] = {}
    for number, corpus in enumerate(table.corpora, start=1):
        label = _plain_label(f"{table.name} {corpus}")
        if not _plain_label(corpus) or label in labels.values():
            label = f"{label}-table-{number}".strip("-")
        labels[corpus] = label
    return labels


def _plain_label(text: str) -> str:
    return re.sub("[^A-Za-z0-9]+", "-", text).strip("-").lower()


def _latex_table(table: Table, corpus: str, label: str) -> str:
    rows = words.shown_rows(table, corpus)
    head = ["variant", *(escape(words.measure_words(each, rows)) for each in table.measures)]
    body = [[escape(words.row_name(r)), *_scores(table, rows, r, _latex_score)] for r in rows]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.question)} Corpus: {escape(corpus)}.}}",
        rf"\label{{tab:{label}}}",
        rf"\begin{{tabular}}{{l{'l' * len(table.measures)}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
        *(" & ".join(cells) + r" \\" for cells in body),
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\medskip\begin{minipage}{\linewidth}\footnotesize",
        *(escape(text) for text in [words.recipe_words(table, corpus)] if text),
        *(escape(note) for note in words.notes(table, rows)),
        *(escape(note) for note in table.notes),
        *(escape(line) for line in _unfinished(table, corpus)),
        r"\end{minipage}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _unfinished(table: Table, corpus: str) -> list[str]:
    """A sentence for each run of a corpus that failed, and one for those still to be done."""
    others = {slug(each) for each in table.corpora} - {slug(corpus)}

    def here(name: str) -> bool:
        return name.partition("/")[0] not in others

    missing = ", ".join(name for name in table.missing if here(name))
    return [
        *(f"Failed: {name}: {why}" for name, why in table.failed.items() if here(name)),
        *([f"Still to be done: {missing}."] if missing else []),
    ]


def _latex_score(mean: str, interval: str, best: bool, marked: bool) -> str:
    shown = escape(mean)
    return (
        (rf"\textbf{{{shown}}}" if best else shown)
        + (_LATEX["†"] if marked else "")
        + (rf" {{\small ({escape(interval)})}}" if interval else "")
    )
