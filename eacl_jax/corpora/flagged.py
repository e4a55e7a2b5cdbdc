"""Published tables of single texts with a 0/1 column a label: each row is a dialogue of one
utterance.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from eacl_jax.corpora.found import Found
from eacl_jax.corpora.label_columns import read_flags
from eacl_jax.corpora.transcripts import NOBODY
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

Annotations = tuple[tuple[str, ...], ...]


def read_flagged(
    path: Path,
    rows: Iterable[tuple[int, Mapping[str, str]]],
    *,
    identity: str,
    text: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, Annotations] | None = None,
) -> Iterator[Found]:
    """The texts of a table.

    Args:
      path: the file.
      rows: each with its line, by column name.
      identity: the column of ids; one that comes again gets a number.
      text: the column of texts.
      labels: the label of each 0/1 column.
      annotations: what annotators gave, by text.

    Raises:
      UserError: a cell is neither 0 nor 1, or a row names no id.
    """
    seen: dict[str, int] = {}
    for line, row in rows:
        name = row[identity].strip()
        if not name:
            raise UserError(f"{path} line {line}: the cell of column {identity!r} is empty.")
        seen[name] = seen.get(name, 0) + 1
        unique = name if seen[name] == 1 else f"{name}-{seen[name]}"
        emotions = read_flags(
            list(row.values()),
            list(row),
            {label: list(row).index(column) for column, label in labels.items()},
            f"{path} line {line}",
        )
        spoken = row[text].strip()
        given = (annotations or {}).get(spoken)
        utterance = Utterance(NOBODY, spoken, emotions=emotions, annotations=given)
        yield Found(Dialogue(unique, (utterance,)), path, (line,))


def read_tabbed(
    path: Path, lines: Sequence[str], columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table with tabs between cells, in which quotes are text.

    Args:
      path: the file.
      lines: of the file, the header first.
      columns: the names that the header must have, in order.

    Raises:
      UserError: the header has others, or a row has more or less cells.
    """
    header = [name.strip() for name in (lines[0] if lines else "").split("\t")]
    if header != list(columns):
        raise UserError(
            f"{path}: its first line must name the columns {', '.join(columns)}, with tabs between"
            f" them; it has {', '.join(map(repr, header))}."
        )
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) != len(columns):
            raise UserError(
                f"{path} line {number}: {len(cells)} cells, but the header has"
                f" {len(columns)} columns."
            )
        yield number, dict(zip(columns, cells, strict=True))
