"""Texts that a run of a study may have learned from, and that are in the test split of another
corpus which it answers too.
"""

import dataclasses
from collections.abc import Callable, Iterable

from eacl_jax.config import DataConfig
from eacl_jax.corpora.others import without_utterances_of
from eacl_jax.dialogue import Corpus
from eacl_jax.studies.definition import Study


def shared_texts(study: Study, load: Callable[[DataConfig], Corpus]) -> list[str]:
    """A note for each corpus of a study with `transfer`, and each other one that its runs answer,
    where test dialogues of the other hold utterances of its training split: scores there may be too
    good. Corpora that differ in their labels alone share a note.

    Args:
      study: whose corpora can be read.
      load: reads a corpus.

    Raises:
      UserError: a corpus can no longer be read.
    """
    counts = _Counts(load)
    names: dict[tuple[DataConfig, DataConfig], tuple[dict[str, None], dict[str, None]]] = {}
    for cell in study.cells:
        for transfer in cell.transfers:
            texts = _without_labels(cell.config.data), _without_labels(transfer.data)
            sources, targets = names.setdefault(texts, ({}, {}))
            sources[cell.corpus] = targets[transfer.target] = None
    return [
        f"Of the {of:,} test dialogues of {_listed(targets)}, {shared:,} hold utterances of the"
        f" training split of {_listed(sources)}, so that scores of the runs on"
        f" {_listed(sources)} may be too good there."
        for texts, (sources, targets) in names.items()
        for shared, of in (counts.get(*texts),)
        if shared
    ]


def _listed(names: Iterable[str]) -> str:
    return " and ".join(map(repr, names))


class _Counts:
    """How many dialogues two corpora share; each corpus is read once."""

    def __init__(self, load: Callable[[DataConfig], Corpus]) -> None:
        self._load = load
        self._corpora: dict[DataConfig, Corpus] = {}

    def get(self, source: DataConfig, target: DataConfig) -> tuple[int, int]:
        """Test dialogues of the target with utterances of the source's train, and of how many."""
        if source == target:  # its own training split, as of every run on that corpus
            return 0, 0
        train, test = self._read(source).splits["train"], self._read(target).splits["test"]
        return len(test) - len(without_utterances_of(test, train)), len(test)

    def _read(self, data: DataConfig) -> Corpus:
        if data not in self._corpora:
            self._corpora[data] = self._load(data)
        return self._corpora[data]


def _without_labels(data: DataConfig) -> DataConfig:
    """Coarser labels of the same texts, and what is learned from beside them, change no text."""
    return dataclasses.replace(data, groups=(), words=(), levels=(), features=(), also=())
