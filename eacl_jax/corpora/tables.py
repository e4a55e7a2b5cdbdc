"""CSV files and their kin, with one utterance a row."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eacl_jax.corpora import annotations
from eacl_jax.corpora.columns import PARTS, find_columns, named_apart
from eacl_jax.corpora.formulas import as_written
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.label_columns import LabelForms, find_labels
from eacl_jax.corpora.rows import Row, at_line, gather
from eacl_jax.errors import UserError
from eacl_jax.files import dialects
from eacl_jax.files.text import read_text

LONGEST_CELL = 2**17
"""Characters. A quote that is never closed would else take in the whole file."""


def read_table(
    path: Path,
    text: str,
    *,
    given: Mapping[str, str] | None = None,
    need: Sequence[str] = PARTS,
    naming: str = "{part}_column",
    forms: LabelForms | None = None,
) -> list[Found]:
    """The dialogues of a table: an utterance a row, found by its columns' names
    (`columns.find_columns`).

    Blanks around cells go; an empty emotion cell means that nobody annotated the utterance; blank
    rows are passed over. `forms` says how it has several labels an utterance.

    Raises:
      UserError: no header, a column is missing, or a row does not fit.
    """
    read = _rows(path, text, need)
    _, header = next(read)
    given = given or {}
    rows: list[Row] = list(read)
    forms = forms or LabelForms()
    labels = find_labels(path, header, rows, given=given, need=need, forms=forms)
    columns = find_columns(
        header,
        str(path),
        given=given,
        need=need,
        parts=need,
        naming=naming,
        apart=labels.all,
        labels_named=forms.columns_named,
        about_annotators=forms.about_annotators(header),
    )
    if annotations.is_label_studio_small(dict.fromkeys(header)):
        rows = _one_a_task(path, header, rows)
    return gather(path, header, columns, rows, labels=labels)


def _one_a_task(path: Path, header: Sequence[str], found: list[Row]) -> list[Row]:
    """The rows of Label Studio's CSV export, where each annotation of a task is a row."""
    names = [
        named_apart(name, number, header) if name in header[:number] else name
        for number, name in enumerate(header)
    ]
    records = [dict(zip(names, cells, strict=True)) for _, cells in found]
    objects, lines, _ = annotations.label_studio_small(
        records, [line for line, _ in found], [at_line(path, line) for line, _ in found]
    )
    return [
        (line, [item.get(name) for name in names])
        for line, item in zip(lines, objects, strict=True)
    ]


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a published CSV file, by column name, each with the line (from 1) on which it
    starts.

    Args:
      path: the file.
      columns: names that the header must hold; others may stand beside them.

    Raises:
      UserError: the file cannot be read, lacks a column, or a row does not fit the header.
    """
    rows = _rows(path, read_text(path), columns)
    _, header = next(rows)
    if missing := [column for column in columns if header.count(column) != 1]:
        raise UserError(
            f"{path} has not exactly one column {', '.join(map(repr, missing))}; "
            f"its columns are {', '.join(map(repr, header))}."
        )
    for line, cells in rows:
        yield line, dict(zip(header, cells, strict=True))


def _rows(path: Path, text: str, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """The header and all rows that are not blank, each with its line."""
    lines = io.StringIO(text, newline="").readlines()
    dialect = dialects.dialect_of(lines)
    reader = dialect.rows(lines[dialect.skipped :], LONGEST_CELL)
    header: list[str] = []
    while True:
        line = dialect.skipped + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise UserError(
                f"{path} line {line}: {dialects.why_no_row(error)}; the row that starts here is not"
                " valid CSV."
            ) from error
        if cells is None:
            break
        if dialects.is_blank(cells):
            continue
        if not header:
            header = [name.strip() for name in cells]
            yield line, header
            continue
        cells = dialects.fit(cells, len(header))
        if problem := dialects.why_misfit(cells, header, dialect.separator):
            raise UserError(f"{path} line {line}: {problem}")
        yield line, as_written(cells, header)
    if not header:
        raise UserError(
            f"{path} is empty; its first line must name the columns {', '.join(columns)}."
        )
