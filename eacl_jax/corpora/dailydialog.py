"""DailyDialog: everyday two-person dialogues written for learners of English, six emotions and neutral.

Source: "DailyDialog: A Manually Labelled Multi-turn Dialogue Dataset", IJCNLP 2017.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import candidates, locate, read_lines
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

# Splits by the release's names.
_RELEASE = {"train": "train", "dev": "validation", "test": "test"}
# The release does not name its two speakers, who take turns.
_SPEAKERS = ("Alex", "Sam")
_END = "__eou__"
_ADVICE = (
    "DailyDialog's archive ijcnlp_dailydialog.zip is on its authors' site (yanran.li/dailydialog): "
    "unpack it and the archives in it."
)


class DailyDialog(CorpusBuilder):
    """Builder of DailyDialog, from the unpacked release."""

    name = "dailydialog"
    # In the order of the release's digits.
    LABELS = ("neutral", "anger", "disgust", "fear", "happiness", "sadness", "surprise")
    EXPECTED: ClassVar[Mapping[str, Counts]] = {"train": Counts(11118), "dev": Counts(1000), "test": Counts(1000, 7740)}
    EMPTY_TEXT = True

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the release's text files from `data.dir`."""
        files = {
            split: (f"{name}/dialogues_{name}.txt", f"{name}/dialogues_emotion_{name}.txt") for split, name in _RELEASE.items()
        }
        if not data.dir:
            raise UserError(f"DailyDialog is not downloaded automatically: set --config.data.dir to its folder. {_ADVICE}")
        folders = candidates(data.dir, cls.name, ("ijcnlp_dailydialog",))
        folder = locate(folders, [name for pair in files.values() for name in pair], _ADVICE)
        return cls(sources={split: tuple(folder / name for name in pair) for split, pair in files.items()}, cache_dir=cache_dir)

    def _read(self, split: str) -> Iterator[Found]:
        texts, emotions = self.sources[split]
        text_lines, emotion_lines = read_lines(texts), read_lines(emotions)
        if len(text_lines) != len(emotion_lines):
            raise UserError(
                f"{texts} has {len(text_lines)} lines but {emotions} has {len(emotion_lines)}; each must have one a dialogue."
            )
        for number, (text_line, emotion_line) in enumerate(zip(text_lines, emotion_lines, strict=True), start=1):
            said = [text.strip() for text in text_line.strip().removesuffix(_END).split(_END)]
            digits = emotion_line.split()
            if len(said) != len(digits):
                raise UserError(
                    f"{texts} line {number} has {len(said)} utterances, but {emotions} has {len(digits)} emotions there."
                )
            if unknown := [digit for digit in digits if digit not in map(str, range(len(self.LABELS)))]:
                raise UserError(
                    f"{emotions} line {number}: {unknown[0]!r} is not an emotion, which is a digit from 0 to "
                    f"{len(self.LABELS) - 1}."
                )
            utterances = tuple(
                Utterance(_SPEAKERS[turn % 2], text, self.LABELS[int(digit)])
                for turn, (text, digit) in enumerate(zip(said, digits, strict=True))
            )
            yield Found(Dialogue(f"{split}_{number}", utterances), texts, (number,) * len(utterances))
