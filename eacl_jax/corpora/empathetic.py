"""EmpatheticDialogues, as its CSV (commas within texts are written `_comma_`, and nothing is
quoted) or as the same rows in JSON or parquet.

The emotion (`context`) is that of a situation, which the first speaker tells with the first
utterance: that utterance has the label, the others are context. Speakers have no names: they are
Speaker and Listener, as in the paper ("Towards Empathetic Open-domain Conversation Models: a New
Benchmark and Dataset", ACL 2019).
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.labels import read_label
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError
from eacl_jax.files.headers import plain

_COLUMNS = ("conv_id", "utterance_idx", "context", "prompt", "speaker_idx", "utterance")

_Row = tuple[str, int, Sequence[str]]
"""Where it stands, its line (0 where there are none), and its cells in the order of `_COLUMNS`."""


def is_empathetic(header: Iterable[str]) -> bool:
    """Whether a table's columns, or a row's fields, are those of EmpatheticDialogues."""
    return {plain(name) for name in _COLUMNS} <= {plain(name) for name in header}


def read_empathetic(path: Path, lines: Sequence[str]) -> list[Found]:
    """The conversations of the CSV.

    Args:
      path: the file.
      lines: its lines, the header first.

    Raises:
      UserError: a row is too short, or its number is none.
    """
    header = [plain(name) for name in lines[0].split(",")]
    columns = [header.index(plain(name)) for name in _COLUMNS]
    found: list[_Row] = []
    for line, row in enumerate(lines[1:], 2):
        if not row.strip():
            continue
        cells = row.split(",")
        if len(cells) <= max(columns):
            raise UserError(
                f"{path} line {line}: {len(cells)} cells, but the header has {len(header)} columns."
            )
        # Written anew by another program: the release has no quotes around cells, and no commas in.
        quoted = any(cell.startswith('"') and cell.count('"') % 2 for cell in cells)
        if quoted or not cells[columns[_COLUMNS.index("speaker_idx")]].strip().isdecimal():
            raise UserError(
                f"{path} line {line}: {len(cells)} cells, but the header has {len(header)} columns;"
                " in this corpus' files a comma in a text is written _comma_. Take the published"
                " files, or name the columns otherwise (dialogue, speaker, text, emotion) to have"
                " them read as a table of your own."
            )
        found.append((f"{path} line {line}", line, [cells[column] for column in columns]))
    return _conversations(path, found)


def read_empathetic_rows(
    path: Path, rows: Sequence[Mapping[str, Any]], locations: Sequence[str], lines: Sequence[int]
) -> list[Found]:
    """The conversations of rows that were decoded.

    Args:
      path: the file.
      rows: by column.
      locations: where each stands, for messages.
      lines: the line of each, 0 where there are none.

    Raises:
      UserError: a row lacks a column, or its number is none.
    """
    found: list[_Row] = []
    for row, where, line in zip(rows, locations, lines, strict=True):
        cells = {plain(name): value for name, value in row.items()}
        given = [cells.get(plain(name)) for name in _COLUMNS]
        for name, value in zip(_COLUMNS, given, strict=True):
            if not isinstance(value, str | int) or isinstance(value, bool):
                raise UserError(f"{where}: {name} must be a text or a number, got {value!r:.60}.")
        found.append((where, line, [str(value) for value in given]))
    return _conversations(path, found)


def _conversations(path: Path, rows: Sequence[_Row]) -> list[Found]:
    gathered: dict[str, list[tuple[int, int, str, str, str, str]]] = {}
    for where, line, cells in rows:
        identity, number, emotion, _, speaker, text = (cell.strip() for cell in cells)
        if not identity or not number.isdecimal():
            raise UserError(
                f"{where}: conv_id {identity!r} and utterance_idx {number!r} must be an id and a"
                " number."
            )
        gathered.setdefault(identity, []).append(
            (int(number), line, where, speaker, text.replace("_comma_", ","), emotion)
        )
    found = []
    for identity, turns in gathered.items():
        turns.sort(key=lambda turn: turn[:2])
        teller = turns[0][3]
        utterances = tuple(
            Utterance(
                "Speaker" if speaker == teller else "Listener",
                text,
                read_label(emotion, where) if number == 0 else None,
            )
            for number, (_, _, where, speaker, text, emotion) in enumerate(turns)
        )
        found.append(Found(Dialogue(identity, utterances), path, tuple(turn[1] for turn in turns)))
    return found
