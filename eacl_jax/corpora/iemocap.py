"""IEMOCAP: acted two-person dialogues, six emotions; the rest of the utterances is context.

Source: "IEMOCAP: interactive emotional dyadic motion capture database", Language Resources and
Evaluation 2008. Its licence is given per user, so nothing is downloaded: the user's copy is read,
as released or in the JSON form that papers exchange.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts, logger
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import data_folder, folders_below, locate
from eacl_jax.dialogue import SPLITS, Dialogue, Utterance, counted
from eacl_jax.errors import UserError
from eacl_jax.files.records import loads
from eacl_jax.files.text import read_lines, read_text

_LABELS = {
    "neu": "neutral",
    "exc": "excited",
    "fru": "frustrated",
    "sad": "sad",
    "hap": "happy",
    "ang": "angry",
}
# The speakers have no names; these are the ones that the reference gave them, by order of
# appearance.
_SPEAKERS = ("Roy", "Weldon")
_EXCHANGED = {split: f"{split}_data.json" for split in SPLITS}
_SESSIONS = range(1, 6)
_TURNS, _RATINGS = "transcriptions", "EmoEvaluation"

# `Ses01F_impro01_F000 [006.2901-008.2357]: text`: the letter after the last underscore says who of
# the two speaks.
_TURN = re.compile(
    r"(?P<id>Ses\w{1,60}_(?P<speaker>[FM])\w{0,60})\s+\[(?P<start>\d+(?:\.\d*)?)-(?P<end>\d+(?:\.\d*)?)\]:(?P<text>.*)"
)
# `[6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]`
_RATING = re.compile(
    r"\[\d+(?:\.\d*)?\s*-\s*\d+(?:\.\d*)?\]\s+(?P<id>Ses\w+)\s+(?P<label>[a-z]{3})\s+\[.*\]\s*"
)


class Iemocap(CorpusBuilder):
    """Builder of IEMOCAP, from the release's tree or from the exchanged
    `{train,dev,test}_data.json`.

    In the release, session 5 is the test split, and of the dialogues of sessions 1 to 4, sorted by
    name, every sixth is dev.
    """

    name = "iemocap"
    LABELS = tuple(_LABELS.values())
    NAMED = False
    EXPECTED: ClassVar[Mapping[str, Counts]] = {
        "train": Counts(100, 4778),
        "dev": Counts(20, 980),
        "test": Counts(31, 1622),
    }
    # The published utterance counts are the exchanged files'; in the release only the dialogues are
    # sure to agree.
    EXPECTED_RELEASE: ClassVar[Mapping[str, Counts]] = {
        "train": Counts(100),
        "dev": Counts(20),
        "test": Counts(31),
    }
    EMPTY_TEXT = True  # an utterance may be nothing but laughter

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes either layout from `data.dir`."""
        if not data.dir:
            raise UserError(
                "IEMOCAP is licensed per user and never downloaded: ask its owners"
                " (sail.usc.edu/iemocap) and set config.data.dir to your copy."
            )
        root = data_folder(data.dir)
        for folder in folders_below(root):
            if all((folder / f"Session{session}").is_dir() for session in _SESSIONS):
                return cls(
                    sources=_release(folder), cache_dir=cache_dir, expected=cls.EXPECTED_RELEASE
                )
        advice = (
            f"Or the release's Session1 to Session5, each with dialog/{_RATINGS} and"
            f" dialog/{_TURNS}."
        )
        files = locate(data.dir, cls.name, [_EXCHANGED], advice)
        return cls(sources={split: (path,) for split, path in files.items()}, cache_dir=cache_dir)

    def _read(self, split: str) -> Iterator[Found]:
        files = self.sources[split]
        if files[0].suffix == ".json":
            return _read_exchanged(files[0])
        return _read_release(files)


def _clean(text: str) -> str:
    return " ".join(text.replace("[LAUGHTER]", " ").split())


def _named(where: str, turns: Sequence[tuple[str, str, str | None]]) -> tuple[Utterance, ...]:
    """Turns (speaker's mark, text, emotion) with the marks replaced by names."""
    marks = list(dict.fromkeys(mark for mark, _, _ in turns))
    if len(marks) > len(_SPEAKERS):
        raise UserError(
            f"{where} has {len(marks)} speakers, {', '.join(marks)}; a dialogue of IEMOCAP has two."
        )
    names = dict(zip(marks, _SPEAKERS, strict=False))
    return tuple(Utterance(names[mark], _clean(text), emotion) for mark, text, emotion in turns)


def _read_exchanged(path: Path) -> Iterator[Found]:
    try:
        content = loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(content, list):
        raise UserError(f"{path} must hold a list of dialogues, got {type(content).__name__}.")
    for number, dialogue in enumerate(content):
        if not isinstance(dialogue, list) or not dialogue:
            raise UserError(
                f"{path}: dialogue {number} must be a list of utterances, at least one."
            )
        turns = [
            _exchanged_turn(f"{path}: dialogue {number} utterance {index}", turn)
            for index, turn in enumerate(dialogue)
        ]
        # A speaker is the dialogue's name and a letter: Ses01F_impro01_F.
        name = turns[0][0].rpartition("_")[0]
        yield Found(Dialogue(name, _named(f"{path}: dialogue {name!r}", turns)), path)


def _exchanged_turn(where: str, turn: Any) -> tuple[str, str, str | None]:
    if not isinstance(turn, Mapping) or not all(
        isinstance(turn.get(key), str) for key in ("speaker", "text")
    ):
        raise UserError(
            f"{where} must be an object with the strings 'speaker' and 'text', got {turn!r:.80}."
        )
    label = turn.get("label")
    if label is not None and (not isinstance(label, str) or label not in _LABELS):
        raise UserError(
            f"{where}: the label {label!r} is not one of {', '.join(_LABELS)}; leave it out where"
            " there is none."
        )
    return turn["speaker"], turn["text"], None if label is None else _LABELS[label]


def _release(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The transcriptions of each split, followed by their ratings."""
    turns: dict[str, list[Path]] = {split: [] for split in SPLITS}
    development = [path for session in _SESSIONS[:-1] for path in _dialogues(folder, session)]
    for number, path in enumerate(sorted(development, key=lambda path: path.name)):
        turns["dev" if number % 6 == 5 else "train"].append(path)
    turns["test"] = _dialogues(folder, _SESSIONS[-1])
    ratings = {
        path: path.parents[1] / _RATINGS / path.name for split in SPLITS for path in turns[split]
    }
    if missing := [str(path) for path in ratings.values() if not path.is_file()]:
        raise UserError(
            f"{len(missing)} transcriptions have no ratings: there is no {', '.join(missing[:3])}."
        )
    return {split: (*paths, *(ratings[path] for path in paths)) for split, paths in turns.items()}


def _dialogues(folder: Path, session: int) -> list[Path]:
    # Not `*.txt`: copies of the release hold hidden twins of the files, left by another file
    # system.
    turns = folder / f"Session{session}" / "dialog" / _TURNS
    if not (found := sorted(turns.glob("Ses*.txt"))):
        raise UserError(
            f"{turns} holds no transcriptions Ses*.txt; the whole release of IEMOCAP is needed."
        )
    return found


def _read_release(files: Sequence[Path]) -> Iterator[Found]:
    half = len(files) // 2
    for turns, ratings in zip(files[:half], files[half:], strict=True):
        yield _read_dialogue(turns, ratings)


def _read_dialogue(turns: Path, ratings: Path) -> Found:
    emotions = {}
    for number, line in enumerate(read_lines(ratings), start=1):
        if rating := _RATING.fullmatch(line):
            emotions[rating["id"]] = _LABELS.get(rating["label"])
        elif line.startswith("[") and "Ses" in line:
            raise UserError(
                f"{ratings} line {number} is not a rating as the release writes them: {line!r:.80}."
            )
    found = []
    for number, line in enumerate(read_lines(turns), start=1):
        # Lines without times are remarks about noises, not utterances.
        if turn := _TURN.fullmatch(line.strip()):
            found.append((float(turn["start"]), float(turn["end"]), number, turn))
    found.sort(key=lambda item: item[:3])
    if silent := {key for key, emotion in emotions.items() if emotion} - {
        turn["id"] for *_, turn in found
    }:
        logger.warning(
            "%s: %s not in %s: %s",
            ratings,
            counted(len(silent), "rated utterance is", "rated utterances are"),
            turns,
            ", ".join(sorted(silent)[:3]),
        )
    utterances = _named(
        str(turns),
        [(turn["speaker"], turn["text"], emotions.get(turn["id"])) for *_, turn in found],
    )
    return Found(
        Dialogue(turns.stem, utterances), turns, tuple(number for _, _, number, _ in found)
    )
