"""Texts that a run of a study may have learned from, and that are in the test split of another
corpus which it answers too.
"""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from eacl_jax.config import DataConfig
from eacl_jax.corpora.others import load_others, names_of, without_utterances_of
from eacl_jax.dialogue import Corpus
from eacl_jax.studies.definition import Study


def shared_texts(study: Study, load: Callable[[DataConfig], Corpus]) -> list[str]:
    """A note for each corpus of a study with `transfer`, and each other one that its runs answer,
    where test dialogues of the other hold utterances that they learned from, in their training
    split or in those of `data.also`: scores there may be too good. Corpora that differ in their
    labels alone share a note. And one where they learned from the other's own training split.

    Args:
      study: whose corpora can be read.
      load: reads a corpus.

    Raises:
      UserError: a corpus can no longer be read.
    """
    counts = _Counts(load)
    notes = [
        f"Runs of {cell.variant!r} on {cell.corpus!r} learn from the training split of"
        f" {transfer.target!r} too (data.also), labels and all: their answers there are not from"
        " words or a few examples alone."
        for cell in study.cells
        for transfer in cell.transfers
        if transfer.data.corpus in names_of(cell.config.data)
    ]
    names: dict[tuple[DataConfig, DataConfig], tuple[dict[str, None], dict[str, None]]] = {}
    for cell in study.cells:
        for transfer in cell.transfers:
            texts = _without_labels(cell.config.data), _without_labels(transfer.data, also=())
            sources, targets = names.setdefault(texts, ({}, {}))
            sources[cell.corpus] = targets[transfer.target] = None
    return [*dict.fromkeys(notes)] + [
        f"Of the {of:,} test dialogues of {_listed(targets)}, {shared:,} hold utterances of the"
        f" training split of {_listed(sources)}"
        + (f", or of what is learned from beside it ({beside})" if beside else "")
        + f", so that scores of the runs on {_listed(sources)} may be too good there."
        for texts, (sources, targets) in names.items()
        for shared, of in (counts.get(*texts),)
        for beside in (", ".join(names_of(texts[0])),)
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
        """Test dialogues of the target with utterances that the source's runs learn from, and of
        how many.
        """
        # Its own training split, as of every run on that corpus; what is learned beside it has
        # nothing of the test split.
        if dataclasses.replace(source, also=()) == target:
            return 0, 0
        first, test = self._read(source), self._read(target).splits["test"]
        train = [
            *first.splits["train"],
            *(
                each
                for other in load_others(source, first)
                for each in other.corpus.splits["train"]
            ),
        ]
        return len(test) - len(without_utterances_of(test, train)), len(test)

    def _read(self, data: DataConfig) -> Corpus:
        if data not in self._corpora:
            self._corpora[data] = self._load(data)
        return self._corpora[data]


def _without_labels(data: DataConfig, **more: Any) -> DataConfig:
    """Coarser labels of the same texts change no text."""
    return dataclasses.replace(data, groups=(), words=(), levels=(), features=(), **more)
