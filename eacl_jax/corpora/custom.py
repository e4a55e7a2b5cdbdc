"""The user's own corpus: one file a split."""

import dataclasses
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.columns import PARTS, is_absent
from eacl_jax.corpora.files import find_file, read_file, sources_of
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.groups import Groups
from eacl_jax.corpora.label_columns import LabelForms
from eacl_jax.corpora.tasks import find_task, settle, tell_of_annotators
from eacl_jax.dialogue import SPLITS, TaskName
from eacl_jax.errors import UserError

_NAMING = "config.data.{part}_column"


class Custom(CorpusBuilder):
    """Builder of the user's own files, of any format that `files.read_file` reads."""

    name = "custom"
    TASK = None

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the files that `data.train`, `data.dev` and `data.test` name."""
        files = {split: _file(split, getattr(data, split)) for split in SPLITS}
        for left, right in combinations(SPLITS, 2):
            if files[left].samefile(files[right]):
                raise UserError(
                    f"config.data.{left} and config.data.{right} name the same file, {files[left]};"
                    " no split may be scored on what another has seen: divide the dialogues among"
                    " three files."
                )
        columns = _columns(data)
        named = [name for name in columns.values() if not is_absent(name)]
        if len(set(named)) < len(named):
            raise UserError(f"the names of the columns in config.data must differ, got {columns}.")
        return cls(
            sources={split: sources_of(path) for split, path in files.items()},
            cache_dir=cache_dir,
            options=columns | LabelForms.of_config(data).to_options(),
        )

    def _read(self, split: str) -> list[Found]:
        columns = {part: name for part, name in self.options.items() if part in PARTS}
        forms = LabelForms.of_options(self.options)
        return read_file(self.sources[split][0], columns=columns, naming=_NAMING, forms=forms)


def read_custom(
    path: Path,
    data: DataConfig,
    task: TaskName | None = None,
    labels: Sequence[str] = (),
) -> list[Found]:
    """The dialogues of one such file, with the columns that `data` names, labelled for a task.

    Args:
      path: the file.
      data: says how it is read.
      task: how many labels an utterance has, as the model knows; None: what `data` says, or the
        file plainly shows.
      labels: of the model, which with `data.groups` are the groups; empty: not known.

    Raises:
      UserError: it cannot be read, an emotion has no group, or is not annotated for the task.
    """
    forms = LabelForms.of_config(data)
    if task is not None:
        forms = dataclasses.replace(forms, task=task)
    splits = {"": read_file(path, columns=_columns(data), naming=_NAMING, forms=forms)}
    task = task or data.task or find_task(splits)
    groups = Groups.of_rows(data.groups) if data.groups else None
    if known := tuple(groups.of) if groups else labels:
        tell_of_annotators(splits, known)
    if groups:
        splits = {"": groups.put(splits[""])}
    return settle(splits, task)[""]


def _columns(data: DataConfig) -> dict[str, str]:
    return {part: name for part in PARTS if (name := getattr(data, f"{part}_column"))}


def _file(split: str, name: str) -> Path:
    if not name:
        raise UserError(
            f'config.data.{split} must name a file when config.data.corpus is "custom".'
        )
    return find_file(name, f"config.data.{split} names").absolute()
