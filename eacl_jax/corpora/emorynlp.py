"""EmoryNLP: scenes of a television series, seven emotions.

Source: Zahiri and Choi, "Emotion Detection on TV Show Transcripts with Sequence-based Convolutional
Neural Networks", 2018; github.com/emorynlp/emotion-detection.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts, check_counts
from eacl_jax.corpora.download import fetch
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.scenes import read_scenes
from eacl_jax.corpora.sources import locate
from eacl_jax.errors import UserError
from eacl_jax.files.records import loads
from eacl_jax.files.text import read_text

_FILES = {
    "train": "emotion-detection-trn.json",
    "dev": "emotion-detection-dev.json",
    "test": "emotion-detection-tst.json",
}


class EmoryNlp(CorpusBuilder):
    """Builder of EmoryNLP, from the three `emotion-detection-*.json` files; a scene is a
    dialogue.
    """

    name = "emorynlp"
    LABELS = ("joyful", "neutral", "powerful", "mad", "scared", "peaceful", "sad")
    EXPECTED: ClassVar[Mapping[str, Counts]] = {
        "train": Counts(713, 9934),
        "dev": Counts(99, 1344),
        "test": Counts(85, 1328),
    }
    EMPTY_TEXT = True
    BASE_URL: ClassVar[str] = (
        "https://raw.githubusercontent.com/emorynlp/emotion-detection/master/json"
    )
    # The checksum of the published train file could not be recorded: it is verified by its counts
    # instead.
    SHA256: ClassVar[Mapping[str, str]] = {
        "dev": "177f0b8ae5442045ea60e6f7940e14b1a8c15c704201f01da1ba74943f99086e",
        "test": "2da84b0bffbc9da2f3b9de8016c2d3ae5478e6ccb26d473313368373b427dedc",
    }

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the JSON files from `data.dir`, or downloads them."""
        if data.dir:
            files = locate(data.dir, cls.name, [_FILES])
        else:
            files = {
                split: cache_dir / "downloads" / cls.name / name for split, name in _FILES.items()
            }
            for split, path in files.items():
                checksum = cls.SHA256.get(split)
                if fetch(f"{cls.BASE_URL}/{path.name}", path, sha256=checksum) and checksum is None:
                    cls._verify_by_counts(split, path)
        return cls(sources={split: (path,) for split, path in files.items()}, cache_dir=cache_dir)

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
        content = loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error
    return read_scenes(path, content)
