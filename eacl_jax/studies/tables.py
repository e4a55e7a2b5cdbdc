"""The study's table as files: CSV with all numbers, and small ones in Markdown and LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.files import whole
from eacl_jax.model.metrics import title
from eacl_jax.recognizer.markdown import plain
from eacl_jax.studies import words
from eacl_jax.studies.statistics import LEVEL, Estimate
from eacl_jax.studies.table import Comparison, Row, Table

FILES = ("rows.csv", "comparisons.csv", "tables.md", "tables.tex")


def write_tables(folder: Path, table: Table) -> None:
    """Writes `FILES` into a study's folder."""
    contents = (rows_csv(table), comparisons_csv(table), markdown(table), latex(table))
    for name, content in zip(FILES, contents, strict=True):
        whole.write_text(folder / name, content)


def rows_csv(table: Table) -> str:
    """All rows with all their numbers, under one header; what a row lacks is empty."""
    return _csv([_cells(row) for row in table.rows])


def comparisons_csv(table: Table) -> str:
    """All comparisons."""
    return _csv(
        [
            {
                "corpus": each.corpus,
                "measure": each.measure,
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
                        ("p", "p"),
                    )
                },
                "p_holm": each.p_holm,
                "note": each.note,
            }
            for each in table.comparisons
        ]
    )


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
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
        "epochs": " ".join(map(str, row.epochs)),
        "test_dialogues": row.dialogues,
        "test_utterances": row.utterances,
    }
    for split in ("test", "dev"):
        for measure, found in row.scores.get(split, {}).items():
            cells |= _estimate(f"{split}_{measure}", found)
        cells[f"{split}_calibration_error"] = row.calibration_error.get(split)
    cells["smallest_angle"] = row.smallest_angle
    for name in ("parameters", "trained", "examples_per_second", "seconds_an_epoch", "seconds"):
        cells[name] = getattr(row.cost, name, None)
    cells["peak_bytes"] = row.cost.peak_bytes if row.cost else None
    cells["devices"] = "; ".join(row.cost.devices) if row.cost else None
    for each in row.labels:
        cells[f"test_support of {each.label}"] = each.support
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
    }


_COMPARED = (
    "compared",
    "measure",
    "difference",
    f"{LEVEL}% interval",
    "with seeds drawn",
    "p",
    "p by Holm",
    "higher in",
)


def markdown(table: Table) -> str:
    """A table a corpus, of variants and measures, with what they do not show; then comparisons."""
    parts = [f"# {plain(table.name)}", plain(table.question), *map(plain, table.notes)]
    for corpus in table.corpora:
        rows = words.shown_rows(table, corpus)
        parts.append(f"## {plain(corpus)}")
        if rows:
            parts.append(
                _markdown_table(
                    ["variant", *(title(measure) for measure in table.measures)],
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
        return [plain(words.pair_words(each)), title(each.measure), plain(each.note), *[""] * 5]
    return [
        plain(words.pair_words(each)),
        title(each.measure),
        words.signed(found.mean),
        words.interval_words(found.low, found.high),
        words.interval_words(found.wide_low, found.wide_high),
        _p(found.p),
        _p(each.p_holm),
        f"{found.higher} of {words.count(len(each.seeds), 'seed')}",
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
    return "\n".join(_latex_table(table, corpus) for corpus in table.corpora)


def _latex_table(table: Table, corpus: str) -> str:
    rows = words.shown_rows(table, corpus)
    head = ["variant", *(escape(title(measure)) for measure in table.measures)]
    body = [[escape(words.row_name(r)), *_scores(table, rows, r, _latex_score)] for r in rows]
    label = re.sub("[^A-Za-z0-9]+", "-", f"{table.name} {corpus}").strip("-").lower()
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
        *(escape(note) for note in words.notes(table, rows)),
        r"\end{minipage}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _latex_score(mean: str, interval: str, best: bool, marked: bool) -> str:
    shown = escape(mean)
    return (
        (rf"\textbf{{{shown}}}" if best else shown)
        + (_LATEX["†"] if marked else "")
        + (rf" {{\small ({escape(interval)})}}" if interval else "")
    )
