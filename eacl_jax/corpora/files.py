"""Any file of dialogues -> `Dialogue`s: what it holds shows in its content, not in flags.

Read are, each also compressed with gzip: tables with an utterance a row (CSV with commas,
semicolons or tabs, as Excel and pandas write them; MELD's columns; EmpatheticDialogues), JSON (one
value or one a line) with a dialogue or an utterance an object (EmotionLines, EmoryNLP, ConvoKit,
DailyDialog, doccano, Label Studio), DailyDialog's release, and parquet.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eacl_jax.corpora import dailydialog_files, empathetic
from eacl_jax.corpora.backwards import warn_of_backwards
from eacl_jax.corpora.columns import MAY_BE_ABSENT, PARTS, is_absent
from eacl_jax.corpora.forms import DIALOGUE
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.jsonlines import decode
from eacl_jax.corpora.label_columns import LabelForms
from eacl_jax.corpora.repeats import warn_of_annotators
from eacl_jax.corpora.shapes import Reading, Record, read_shapes
from eacl_jax.corpora.tables import read_table
from eacl_jax.errors import UserError
from eacl_jax.files import local
from eacl_jax.files.dialects import SEPARATORS
from eacl_jax.files.records import loads
from eacl_jax.files.text import read_text, split_lines

_PARQUET = b"PAR1"


def read_file(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    annotated: bool = True,
    naming: str = "{part}_column",
    forms: LabelForms | None = None,
) -> list[Found]:
    """The dialogues of a file.

    Args:
      path: the file; `~` is the home folder.
      columns: names of columns (or JSON fields) for `dialogue`, `speaker`, `text` and `emotion`;
        those that are absent or empty are found by their usual names.
      annotated: whether a table must have a column for the emotion.
      naming: how a user names a column, for messages.
      forms: how it has several labels an utterance, where that is not plain.

    Returns:
      The dialogues in the file's order. An utterance without a label has the emotion None. Nothing
      is checked beyond its form: `checks.check_split`; labels are as given: `tasks.settle`.

    Raises:
      UserError: the file cannot be read, or its content is none of the above; names file and line
        or field.
    """
    path = find_file(path)
    given = {part: name for part, name in (columns or {}).items() if name}
    need = PARTS if annotated else PARTS[:3]
    forms = forms or LabelForms()
    found = _read(path, Reading(given, need, naming, forms))
    warn_of_backwards((item.dialogue.utterances for item in found), str(path))
    # Each by its id: the file is named before.
    spoken = ((f"dialogue {item.dialogue.id!r}", item.dialogue.utterances) for item in found)
    warn_of_annotators(spoken, str(path))
    return found


def _read(path: Path, reading: Reading) -> list[Found]:
    given = reading.given
    if _begins_with(path, _PARQUET):
        return read_shapes(path, _parquet(path), reading)
    text = read_text(path)
    beginning = text.lstrip()[:1]
    if beginning and beginning in "{[":
        return read_shapes(path, _json(path, text), reading)
    lines = split_lines(text)
    named_json = _without_gz(path).suffix.lower() in (".jsonl", ".json", ".ndjson")
    if named_json and not beginning:
        return []
    if named_json:
        number, line = next((number, line) for number, line in enumerate(lines, 1) if line.strip())
        decode(line, f"{path} line {number}")
        raise UserError(
            f"{path} line {number}: a dialogue must be a JSON object, got {line!r:.60}."
        )
    if lines and dailydialog_files.END in lines[0]:
        reading.refuse_names(path, "DailyDialog")
        return list(dailydialog_files.read_release(path, dailydialog_files.emotions_beside(path)))
    if lines and empathetic.is_empathetic(lines[0].split(",")):
        reading.refuse_names(path, "EmpatheticDialogues")
        return empathetic.read_empathetic(path, lines)
    first = next((line for line in lines if line.strip()), "")
    texts_alone = all(is_absent(given.get(part, "")) for part in MAY_BE_ABSENT)
    if first and not texts_alone and not any(separator in first for separator in SEPARATORS):
        raise UserError(
            f"{path} is neither a table nor JSON: its first line, {first!r:.60}, must name the"
            f" columns {', '.join(reading.need)}, with commas, semicolons or tabs between them. As"
            f" JSON, a dialogue a line: {DIALOGUE}."
        )
    return read_table(
        path,
        text,
        given=given,
        need=reading.need,
        naming=reading.naming,
        forms=reading.forms,
    )


def find_file(path: str | Path, what: str = "") -> Path:
    """The file that a user names.

    Args:
      path: as named.
      what: names it, for messages: `config.data.train names`.

    Raises:
      UserError: it is not there, or is a folder.
    """
    path = local.here(path, what, wanted=())
    named = f"{what} {path}, which" if what else f"{path}"
    if path.is_dir():
        inside = sorted(
            item.name for item in path.iterdir() if item.is_file() and not item.name.startswith(".")
        )
        there = (
            f" It holds {', '.join(inside[:5])}{', ...' if len(inside) > 5 else ''}."
            if inside
            else ""
        )
        raise UserError(f"{named} is a folder; name one file in it.{there}")
    if not path.is_file():
        nowhere = "" if path.parent.is_dir() else f", nor does its folder {path.parent}"
        missing = f"{named} does not exist" if what else f"there is no file {path}"
        raise UserError(f"{missing}{nowhere}; name a file of dialogues, such as JSON lines or CSV.")
    return path


def sources_of(path: Path) -> tuple[Path, ...]:
    """A file and those that are read with it: DailyDialog's emotions."""
    beside = dailydialog_files.beside(path)
    return (path, beside) if beside.is_file() and beside != path else (path,)


def _without_gz(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _begins_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}.") from error


def _json(path: Path, text: str) -> Sequence[Record]:
    """The values of a file: the items of one array, one value, or one a line."""
    try:
        whole = loads(text)
    except (ValueError, RecursionError) as error:
        return _json_lines(path, text, error)
    if isinstance(whole, list):
        return [Record(item, 0, number) for number, item in enumerate(whole, 1)]
    before = text[: len(text) - len(text.lstrip())].count("\n")
    return [Record(whole, before + 1 if "\n" not in text.strip() else 0, 1)]


def _json_lines(path: Path, text: str, error: Exception) -> Sequence[Record]:
    lines = [(number, line) for number, line in enumerate(split_lines(text), 1) if line.strip()]
    if len(lines) > 1:
        # One value over several lines, several of them, or a bad line among good ones: the first
        # line tells.
        try:
            json.loads(lines[0][1])
        except ValueError:
            if not isinstance(error, json.JSONDecodeError):
                raise UserError(f"{path}: not usable JSON: {error}.") from error
            advice = (
                "put each value on one line, or all into one array"
                if error.msg == "Extra data"
                else "correct it"
            )
            where = f"{path} line {error.lineno}: not valid JSON at column {error.colno}"
            raise UserError(f"{where}: {error.msg}; {advice}.") from error
    return [
        Record(decode(line, f"{path} line {number}"), number, count)
        for count, (number, line) in enumerate(lines, 1)
    ]


def _parquet(path: Path) -> Sequence[Record]:
    try:
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            f"{path} is a parquet file, which needs pyarrow: `pip install pyarrow`, or save the"
            " table as JSON lines or CSV."
        ) from None
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise UserError(f"{path} is not a parquet file that can be read: {error}.") from error
    return [Record(row, 0, number) for number, row in enumerate(rows, 1)]
