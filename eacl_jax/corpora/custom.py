"""The user's own corpus: one JSONL or CSV file a split."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.jsonlines import read_dialogues
from eacl_jax.corpora.tables import gather, read_rows
from eacl_jax.dialogue import SPLITS, Utterance
from eacl_jax.errors import UserError


class Custom(CorpusBuilder):
    """Builder of the user's own files; the suffix tells their format.

    JSONL: one dialogue a line, `{"id": ..., "utterances": [{"speaker", "text", "emotion"?}, ...]}`.
    CSV: one utterance a row. Rows of a dialogue keep the file's order and need not be neighbours; blanks around cells
    go; an empty emotion cell means that nobody annotated the utterance.
    """

    name = "custom"

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the files that `data.train`, `data.dev` and `data.test` name."""
        files = {split: _file(split, getattr(data, split)) for split in SPLITS}
        for left, right in combinations(SPLITS, 2):
            if files[left].samefile(files[right]):
                raise UserError(
                    f"--config.data.{left} and --config.data.{right} name the same file, {files[left]}; no split may be "
                    "scored on what another has seen: divide the dialogues among three files."
                )
        columns = _columns(data)
        if len(set(columns.values())) < len(columns):
            raise UserError(f"the names of the CSV columns in --config.data must differ, got {columns}.")
        return cls(sources={split: (path,) for split, path in files.items()}, cache_dir=cache_dir, options=columns)

    def _read(self, split: str) -> Iterable[Found]:
        (path,) = self.sources[split]
        if path.suffix.lower() == ".jsonl":
            return read_dialogues(path)
        return gather(path, read_rows(path, tuple(self.options.values())), self.options["dialogue"], self._utterance)

    def _utterance(self, row: Mapping[str, str]) -> Utterance:
        speaker, text, emotion = (row[self.options[part]].strip() for part in ("speaker", "text", "emotion"))
        return Utterance(speaker, text, emotion or None)


def read_file(path: Path, data: DataConfig) -> list[Found]:
    """The dialogues of one such file, with the columns that `data` names. Raises `UserError` where it cannot be read."""
    builder = Custom(sources=dict.fromkeys(SPLITS, (path,)), cache_dir=Path(), options=_columns(data))
    return list(builder._read(SPLITS[0]))


def _columns(data: DataConfig) -> dict[str, str]:
    return {part: getattr(data, f"{part}_column") for part in ("dialogue", "speaker", "text", "emotion")}


def _file(split: str, name: str) -> Path:
    if not name:
        raise UserError(f'--config.data.{split} must name a JSONL or CSV file when --config.data.corpus is "custom".')
    path = Path(name).expanduser().absolute()
    if not path.is_file():
        what = (
            "is a folder"
            if path.is_dir()
            else "does not exist"
            if path.parent.is_dir()
            else f"does not exist, nor does its folder {path.parent}"
        )
        raise UserError(f"--config.data.{split} names {path}, which {what}; it must be a JSONL or CSV file.")
    if path.suffix.lower() not in (".jsonl", ".csv"):
        raise UserError(
            f"--config.data.{split} names {path}; its name must end in .jsonl (one dialogue a line) or .csv "
            "(one utterance a row)."
        )
    return path
