"""MELD: multi-party dialogues of a television series, seven emotions.

Source: "MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations", ACL 2019;
github.com/declare-lab/MELD.
"""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts
from eacl_jax.corpora.download import fetch
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import locate
from eacl_jax.corpora.tables import read_rows
from eacl_jax.dialogue import SPLITS, Dialogue, Utterance
from eacl_jax.errors import UserError

_FILES = {"train": "train_sent_emo.csv", "dev": "dev_sent_emo.csv", "test": "test_sent_emo.csv"}
# As repositories of papers exchange them.
_RENAMED = {split: f"{split}_data.csv" for split in SPLITS}
# The repository changed some files over the years: each is taken from a commit that has it as
# checksummed here.
_COMMITS = {
    "train": "ca3e1266db4cc4a4e802156e2f721c4cd114a696",
    "dev": "ca3e1266db4cc4a4e802156e2f721c4cd114a696",
    "test": "76e4ed20032322e47bbe04d3b5179f9b2e35bec9",
}


class Meld(CorpusBuilder):
    """Builder of MELD, from the three `*_sent_emo.csv` files."""

    name = "meld"
    LABELS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")
    EXPECTED: ClassVar[Mapping[str, Counts]] = {
        "train": Counts(1038, 9989),
        "dev": Counts(114, 1109),
        "test": Counts(280, 2610),
    }
    EMPTY_TEXT = True
    BASE_URL: ClassVar[str] = "https://raw.githubusercontent.com/declare-lab/MELD"
    SHA256: ClassVar[Mapping[str, str]] = {
        "train": "d2fa2d6529cf03cac2989efec05c9b27d8fd2f4c8fc5974c7ae88aa537fa02db",
        "dev": "2e89c6f8aa182d6f62f8c6331aece905ac7273ca4999660bfb5213e1d0370c1c",
        "test": "8d37103938f7067600839fe29d5a114a6cd1bcdafb75bec101e06464c5006888",
    }

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the CSV files from `data.dir`, or downloads them."""
        if data.dir:
            files = locate(data.dir, cls.name, [_FILES, _RENAMED])
        else:
            files = {
                split: cache_dir / "downloads" / cls.name / name for split, name in _FILES.items()
            }
            for split, path in files.items():
                fetch(
                    f"{cls.BASE_URL}/{_COMMITS[split]}/data/MELD/{_FILES[split]}",
                    path,
                    sha256=cls.SHA256[split],
                )
        return cls(sources={split: (path,) for split, path in files.items()}, cache_dir=cache_dir)

    def _read(self, split: str) -> list[Found]:
        (path,) = self.sources[split]
        utterances: dict[str, list[Utterance]] = {}
        lines: dict[str, list[int]] = {}
        turns: dict[str, list[str]] = {}
        for line, row in read_rows(path, ("Dialogue_ID", "Speaker", "Utterance", "Emotion")):
            identity = f"{split}_{row['Dialogue_ID']}"  # numbering starts at 0 in each file
            utterances.setdefault(identity, []).append(_utterance(row))
            lines.setdefault(identity, []).append(line)
            turns.setdefault(identity, []).append(row.get("Utterance_ID", ""))
        return [
            _in_order(Found(Dialogue(key, tuple(spoken)), path, tuple(lines[key])), turns[key])
            for key, spoken in utterances.items()
        ]


def _in_order(found: Found, turns: Sequence[str]) -> Found:
    """A dialogue in the order of its utterances' numbers, among which some are missing; by these
    features are named. Where they are no numbers, as it is in the file.
    """
    if not all(each.isdecimal() for each in turns):
        return found
    numbers = list(map(int, turns))
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    for before, after in itertools.pairwise(order):
        if numbers[before] == numbers[after]:
            raise UserError(
                f"{found.file} lines {found.lines[before]} and {found.lines[after]}: dialogue"
                f" {found.dialogue.id!r} has Utterance_ID {numbers[after]} twice; remove one of the"
                " rows."
            )
    utterances = tuple(found.dialogue.utterances[index] for index in order)
    return dataclasses.replace(
        found,
        dialogue=dataclasses.replace(found.dialogue, utterances=utterances),
        lines=tuple(found.lines[index] for index in order),
        turns=tuple(sorted(numbers)),
    )


def _utterance(row: Mapping[str, str]) -> Utterance:
    # Other typographic characters stay: the reference's token ids have them.
    text = row["Utterance"].replace("’", "'").replace('"', "")
    return Utterance(row["Speaker"], text, row["Emotion"] or None)
