"""SemEval-2018 Task 1, subtask E-c, English: tweets, of which each may have several of 11 emotions
or none.

Source: Mohammad et al., "SemEval-2018 Task 1: Affect in Tweets", 2018;
competitions.codalab.org/competitions/17751. A tweet is a dialogue of one utterance.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts
from eacl_jax.corpora.flagged import read_flagged, read_tabbed
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import locate
from eacl_jax.dialogue import TaskName
from eacl_jax.errors import UserError
from eacl_jax.files.text import read_lines

_FILES = {
    "train": "2018-E-c-En-train.txt",
    "dev": "2018-E-c-En-dev.txt",
    "test": "2018-E-c-En-test-gold.txt",
}
_WHERE = (
    "It is on competitions.codalab.org/competitions/17751 (E-c, English, with the gold labels)."
)


class SemEval2018(CorpusBuilder):
    """Builder of SemEval-2018 E-c, from the three 2018-E-c-En-*.txt files."""

    name = "semeval2018"
    TASK: ClassVar[TaskName] = "multi"
    LABELS = (
        "anger",
        "anticipation",
        "disgust",
        "fear",
        "joy",
        "love",
        "optimism",
        "pessimism",
        "sadness",
        "surprise",
        "trust",
    )
    EXPECTED: ClassVar[Mapping[str, Counts]] = {
        "train": Counts(6838, 6838),
        "dev": Counts(886, 886),
        "test": Counts(3259, 3259),
    }

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the files from `data.dir`."""
        if not data.dir:
            raise UserError(f"set config.data.dir to the folder with {cls.name}'s files. {_WHERE}")
        files = locate(data.dir, cls.name, [_FILES], _WHERE)
        return cls(sources={split: (path,) for split, path in files.items()}, cache_dir=cache_dir)

    def _read(self, split: str) -> Iterator[Found]:
        (path,) = self.sources[split]
        rows = read_tabbed(path, read_lines(path), ("ID", "Tweet", *self.LABELS))
        labels = {label: label for label in self.LABELS}
        return read_flagged(path, rows, identity="ID", text="Tweet", labels=labels)
