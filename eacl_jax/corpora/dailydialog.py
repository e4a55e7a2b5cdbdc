"""DailyDialog: everyday two-person dialogues written for learners of English, six emotions and
neutral.

Source: "DailyDialog: A Manually Labelled Multi-turn Dialogue Dataset", IJCNLP 2017.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora import dailydialog_files
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.checks import Counts
from eacl_jax.corpora.dailydialog_files import read_release
from eacl_jax.corpora.files import read_file
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import data_folder, folders_below, locate
from eacl_jax.dialogue import Dialogue
from eacl_jax.errors import UserError

# Splits by the release's names.
_RELEASE = {"train": "train", "dev": "validation", "test": "test"}
_NAMES = {"train": ("train",), "dev": ("validation", "valid", "dev"), "test": ("test",)}
# The archives that the release holds are unpacked side by side, or each into a folder of its name.
_LAYOUTS = [
    {
        (split, kind): f"{folder}{name}/dialogues_{middle}{name}.txt"
        for split, name in _RELEASE.items()
        for kind, middle in (("text", ""), ("emotion", "emotion_"))
        for folder in (f"{name}/" * nested,)
    }
    for nested in (0, 1)
]
_ADVICE = (
    "DailyDialog's archive ijcnlp_dailydialog.zip is on its authors' site (yanran.li/dailydialog): "
    "unpack it and the archives in it."
)


class DailyDialog(CorpusBuilder):
    """Builder of DailyDialog, from the unpacked release, or as JSON or parquet."""

    name = "dailydialog"
    # In the order of the release's digits.
    LABELS = dailydialog_files.LABELS
    NAMED = False
    EXPECTED: ClassVar[Mapping[str, Counts]] = {
        "train": Counts(11118),
        "dev": Counts(1000),
        "test": Counts(1000, 7740),
    }
    EMPTY_TEXT = True

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the release's text files, or JSON or parquet files of the splits, from
        `data.dir`.
        """
        if not data.dir:
            raise UserError(
                "DailyDialog is not downloaded automatically: set config.data.dir to its folder."
                f" {_ADVICE}"
            )
        try:
            files = locate(data.dir, cls.name, _LAYOUTS, _ADVICE)
        except UserError:
            for suffix in (".json", ".jsonl", ".parquet"):
                if sources := _tables(data_folder(data.dir), suffix):
                    return cls(sources=sources, cache_dir=cache_dir)
            raise
        return cls(
            sources={split: (files[split, "text"], files[split, "emotion"]) for split in _RELEASE},
            cache_dir=cache_dir,
        )

    def _read(self, split: str) -> Iterator[Found]:
        texts, *emotions = self.sources[split]
        if emotions:
            return read_release(texts, emotions[0], f"{split}_")
        return (
            Found(Dialogue(f"{split}_{number}", item.dialogue.utterances), item.file, item.lines)
            for number, item in enumerate(read_file(texts), 1)
        )


def _tables(root: Path, suffix: str) -> dict[str, tuple[Path, ...]]:
    """The one file of each split, by its name or its folder's; empty where there are not just
    these.
    """
    files: dict[str, list[Path]] = {split: [] for split in _RELEASE}
    for folder in folders_below(root):
        for path in sorted(folder.glob(f"*{suffix}")):
            for split, names in _NAMES.items():
                if path.stem.casefold().startswith(names) or (
                    path.stem.isdecimal() and folder.name.casefold() in names
                ):
                    files[split].append(path)
    if any(len(paths) > 1 for paths in files.values()):
        return {}
    return {split: tuple(paths) for split, paths in files.items()} if all(files.values()) else {}
