"""EmpatheticDialogues' CSV: commas within texts are written `_comma_`, and nothing is quoted.

The emotion (`context`) is that of a situation, which the first speaker tells with the first
utterance: that utterance has the label, the others are context. Speakers have no names: they are
Speaker and Listener, as in the paper ("Towards Empathetic Open-domain Conversation Models: a New
Benchmark and Dataset", ACL 2019).
"""

from collections.abc import Sequence
from pathlib import Path

from eacl_jax.corpora.columns import plain
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.labels import read_label
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

_COLUMNS = ("conv_id", "utterance_idx", "context", "prompt", "speaker_idx", "utterance")


def is_empathetic(header: str) -> bool:
    """Whether a table's first line is that of EmpatheticDialogues."""
    return {plain(name) for name in _COLUMNS} <= {plain(name) for name in header.split(",")}


def read_empathetic(path: Path, lines: Sequence[str]) -> list[Found]:
    """The conversations of a file.

    Args:
      path: the file.
      lines: its lines, the header first.

    Raises:
      UserError: a row is too short, or its number is none.
    """
    header = [plain(name) for name in lines[0].split(",")]
    places = [header.index(plain(name)) for name in _COLUMNS]
    gathered: dict[str, list[tuple[int, int, str, str, str]]] = {}
    for line, row in enumerate(lines[1:], 2):
        if not row.strip():
            continue
        cells = row.split(",")
        if len(cells) <= max(places):
            raise UserError(
                f"{path} line {line}: {len(cells)} cells, but the header has {len(header)} columns."
            )
        # Written anew by another program: the release has no quotes around cells, and no commas in.
        quoted = any(cell.startswith('"') and cell.count('"') % 2 for cell in cells)
        if quoted or not cells[places[_COLUMNS.index("speaker_idx")]].strip().isdecimal():
            raise UserError(
                f"{path} line {line}: {len(cells)} cells, but the header has {len(header)} columns;"
                " in this corpus' files a comma in a text is written _comma_. Take the published"
                " files, or name the columns otherwise (dialogue, speaker, text, emotion) to have"
                " them read as a table of your own."
            )
        identity, number, emotion, _, speaker, text = (cells[place].strip() for place in places)
        if not identity or not number.isdecimal():
            raise UserError(
                f"{path} line {line}: conv_id {identity!r} and utterance_idx {number!r} must be an"
                " id and a number."
            )
        gathered.setdefault(identity, []).append(
            (int(number), line, speaker, text.replace("_comma_", ","), emotion)
        )
    found = []
    for identity, rows in gathered.items():
        rows.sort(key=lambda row: row[:2])
        teller = rows[0][2]
        utterances = tuple(
            Utterance(
                "Speaker" if speaker == teller else "Listener",
                text,
                read_label(emotion, f"{path} line {line}") if number == 0 else None,
            )
            for number, (_, line, speaker, text, emotion) in enumerate(rows)
        )
        found.append(Found(Dialogue(identity, utterances), path, tuple(row[1] for row in rows)))
    return found
