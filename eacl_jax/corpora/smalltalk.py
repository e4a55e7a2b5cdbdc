"""smalltalk: the corpus of everyday conversations that comes with the package."""

from collections.abc import Iterator
from pathlib import Path
from typing import Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.jsonlines import read_dialogues
from eacl_jax.dialogue import SPLITS
from eacl_jax.errors import UserError


class Smalltalk(CorpusBuilder):
    """Builder of the built-in corpus, from the package's JSONL files."""

    name = "smalltalk"
    LABELS = ("anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral")

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the files of the installed package."""
        folder = Path(__file__).parent / "smalltalk_data"
        files = {split: folder / f"{split}.jsonl" for split in SPLITS}
        if missing := [str(path) for path in files.values() if not path.is_file()]:
            raise UserError(
                f"the installed package lacks {', '.join(missing)}; install eacl_jax again."
            )
        return cls(sources={split: (path,) for split, path in files.items()}, cache_dir=cache_dir)

    def _read(self, split: str) -> Iterator[Found]:
        (path,) = self.sources[split]
        return read_dialogues(path)
