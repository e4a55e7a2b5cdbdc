"""GoEmotions: comments of an internet forum, 28 labels, of which a comment may have several.

Source: Demszky et al., "GoEmotions: A Dataset of Fine-Grained Emotions", ACL 2020;
github.com/google-research/google-research/tree/master/goemotions. Each comment stands alone: it is
a dialogue of one utterance. The levels are the authors' own groupings (ekman_mapping.json and
sentiment_dict.json there; both leave neutral, which is a group of its own).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts, check_counts
from eacl_jax.corpora.download import fetch
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import locate
from eacl_jax.corpora.transcripts import NOBODY
from eacl_jax.dialogue import SPLITS, Dialogue, TaskName, Utterance
from eacl_jax.errors import UserError
from eacl_jax.files.text import read_lines

_FILES = {split: f"{split}.tsv" for split in SPLITS}
# The list of labels by its published name, and by the one that copies have for it.
_LAYOUTS = [_FILES | {"labels": "emotions.txt"}, _FILES | {"labels": "labels.txt"}]


class GoEmotions(CorpusBuilder):
    """Builder of GoEmotions, from train.tsv, dev.tsv, test.tsv and emotions.txt."""

    name = "goemotions"
    TASK: ClassVar[TaskName] = "multi"
    LABELS = (
        "admiration",
        "amusement",
        "anger",
        "annoyance",
        "approval",
        "caring",
        "confusion",
        "curiosity",
        "desire",
        "disappointment",
        "disapproval",
        "disgust",
        "embarrassment",
        "excitement",
        "fear",
        "gratitude",
        "grief",
        "joy",
        "love",
        "nervousness",
        "optimism",
        "pride",
        "realization",
        "relief",
        "remorse",
        "sadness",
        "surprise",
        "neutral",
    )
    LEVELS = (
        "ekman: anger=anger,annoyance,disapproval",
        "ekman: disgust=disgust",
        "ekman: fear=fear,nervousness",
        "ekman: joy=joy,amusement,approval,excitement,gratitude,love,optimism,relief,pride,"
        "admiration,desire,caring",
        "ekman: sadness=sadness,disappointment,embarrassment,grief,remorse",
        "ekman: surprise=surprise,realization,confusion,curiosity",
        "ekman: neutral=neutral",
        "sentiment: positive=amusement,excitement,joy,love,desire,optimism,caring,pride,admiration,"
        "gratitude,relief,approval",
        "sentiment: negative=fear,nervousness,remorse,embarrassment,disappointment,sadness,grief,"
        "disgust,anger,annoyance,disapproval",
        "sentiment: ambiguous=realization,surprise,curiosity,confusion",
        "sentiment: neutral=neutral",
    )
    EXPECTED: ClassVar[Mapping[str, Counts]] = {
        "train": Counts(43410, 43410),
        "dev": Counts(5426, 5426),
        "test": Counts(5427, 5427),
    }
    BASE_URL: ClassVar[str] = (
        "https://raw.githubusercontent.com/google-research/google-research/master/goemotions/data"
    )

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the files from `data.dir`, or downloads them; no checksums are published, so that
        what was downloaded is verified by its counts.
        """
        if data.dir:
            files = locate(data.dir, cls.name, _LAYOUTS)
        else:
            folder = cache_dir / "downloads" / cls.name
            files = {key: folder / name for key, name in _LAYOUTS[0].items()}
            fetched = [
                key for key, path in files.items() if fetch(f"{cls.BASE_URL}/{path.name}", path)
            ]
            cls._verify(files, fetched)
        return cls(
            sources={split: (files[split], files["labels"]) for split in SPLITS},
            cache_dir=cache_dir,
        )

    @classmethod
    def _verify(cls, files: Mapping[str, Path], fetched: list[str]) -> None:
        try:
            if fetched:
                labels = _labels(files["labels"], cls.LABELS)
                splits = {split: list(_comments(files[split], labels)) for split in SPLITS}
                check_counts(cls.name, splits, cls.EXPECTED)
        except UserError:
            for key in fetched:  # else the next attempt would take them for the published files
                files[key].unlink()
            raise

    def _read(self, split: str) -> Iterator[Found]:
        path, labels = self.sources[split]
        return _comments(path, _labels(labels, self.LABELS))


def _labels(path: Path, expected: tuple[str, ...]) -> tuple[str, ...]:
    """The labels that the numbers stand for, in the order of their file."""
    labels = tuple(line.strip() for line in read_lines(path) if line.strip())
    if sorted(labels) != sorted(expected):
        strange = sorted({*labels} ^ {*expected}) or "some of them twice"
        raise UserError(
            f"{path} must list the {len(expected)} labels of GoEmotions, one a line, got"
            f" {len(labels)}: {strange!r:.80}. Take emotions.txt as it is published."
        )
    return labels


def _comments(path: Path, labels: tuple[str, ...]) -> Iterator[Found]:
    # Quotes are part of the texts: these are no CSV files.
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        cells = line.split("\t")
        if len(cells) != 3:
            raise UserError(
                f"{where}: {len(cells)} cells; expected 3, with tabs between them: the text, the"
                " numbers of its labels, the comment's id."
            )
        text, given, identity = (cell.strip() for cell in cells)
        numbers = [item.strip() for item in given.split(",")]
        for item in numbers:
            if not (item.isdecimal() and int(item) < len(labels)):
                raise UserError(
                    f"{where}: {item!r:.20} is no label's number; expected 0 to {len(labels) - 1},"
                    f" several with commas between them, got {given!r:.60}."
                )
        emotions = tuple(labels[int(item)] for item in numbers)
        if len(set(emotions)) < len(emotions):
            raise UserError(f"{where}: a label is there twice, in {given!r:.60}.")
        yield Found(
            Dialogue(identity, (Utterance(NOBODY, text, emotions=emotions),)), path, (number,)
        )
