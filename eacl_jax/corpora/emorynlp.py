"""EmoryNLP: scenes of a television series, seven emotions.

Source: Zahiri and Choi, "Emotion Detection on TV Show Transcripts with Sequence-based Convolutional Neural Networks", 2018;
github.com/emorynlp/emotion-detection.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts, check_counts
from eacl_jax.corpora.download import fetch
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import candidates, locate, read_text
from eacl_jax.dialogue import Dialogue, Utterance
from eacl_jax.errors import UserError

_FILES = {"train": "emotion-detection-trn.json", "dev": "emotion-detection-dev.json", "test": "emotion-detection-tst.json"}


class EmoryNlp(CorpusBuilder):
    """Builder of EmoryNLP, from the three `emotion-detection-*.json` files; a scene is a dialogue."""

    name = "emorynlp"
    LABELS = ("joyful", "neutral", "powerful", "mad", "scared", "peaceful", "sad")
    EXPECTED: ClassVar[Mapping[str, Counts]] = {"train": Counts(713, 9934), "dev": Counts(99, 1344), "test": Counts(85, 1328)}
    EMPTY_TEXT = True
    BASE_URL: ClassVar[str] = "https://raw.githubusercontent.com/emorynlp/emotion-detection/master/json"
    # The checksum of the published train file could not be recorded: it is verified by its counts instead.
    SHA256: ClassVar[Mapping[str, str]] = {
        "dev": "177f0b8ae5442045ea60e6f7940e14b1a8c15c704201f01da1ba74943f99086e",
        "test": "2da84b0bffbc9da2f3b9de8016c2d3ae5478e6ccb26d473313368373b427dedc",
    }

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the JSON files from `data.dir`, or downloads them."""
        if data.dir:
            folder = locate(candidates(data.dir, cls.name), tuple(_FILES.values()))
        else:
            folder = cache_dir / "downloads" / cls.name
            for split, name in _FILES.items():
                if fetch(f"{cls.BASE_URL}/{name}", folder / name, sha256=cls.SHA256.get(split)) and split not in cls.SHA256:
                    cls._verify_by_counts(split, folder / name)
        return cls(sources={split: (folder / name,) for split, name in _FILES.items()}, cache_dir=cache_dir)

    @classmethod
    def _verify_by_counts(cls, split: str, path: Path) -> None:
        try:
            check_counts(cls.name, {split: list(_scenes(path))}, {split: cls.EXPECTED[split]})
        except UserError:
            path.unlink()  # else the next attempt would take it for the published file
            raise

    def _read(self, split: str) -> Iterator[Found]:
        (path,) = self.sources[split]
        return _scenes(path)


def _scenes(path: Path) -> Iterator[Found]:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error
    for number, episode in enumerate(_field(path, content, "episodes", list, "the file")):
        for scene in _field(path, episode, "scenes", list, f"episode {number}"):
            identity = _field(path, scene, "scene_id", str, f"a scene of episode {number}")
            utterances = _field(path, scene, "utterances", list, f"scene {identity!r}")
            yield Found(Dialogue(identity, tuple(_utterance(path, item, f"scene {identity!r}") for item in utterances)), path)


def _utterance(path: Path, item: Any, place: str) -> Utterance:
    place = f"an utterance of {place}"
    speakers = _field(path, item, "speakers", list, place)
    if not speakers or not isinstance(speakers[0], str) or not speakers[0].split():
        raise UserError(f"{path}: {place} names no speaker: {speakers!r}.")
    emotion = _field(path, item, "emotion", str, place)
    return Utterance(speakers[0].split()[0], _field(path, item, "transcript", str, place), emotion.lower())


def _field(path: Path, record: Any, key: str, kind: type, place: str) -> Any:
    if not isinstance(record, Mapping) or not isinstance(record.get(key), kind):
        raise UserError(
            f"{path}: {place} has no field {key!r} of type {kind.__name__}; expected the published JSON of emotion-detection."
        )
    return record[key]
