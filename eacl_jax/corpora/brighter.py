"""BRIGHTER, the data of SemEval-2025 Task 11, track A: texts in one of 28 languages, of which each
may have several of six emotions or none (in some languages there are five).

Source: Muhammad et al., "BRIGHTER: BRIdging the Gap in Human-Annotated Textual Emotion Recognition
Datasets for 28 Languages", ACL 2025; github.com/emotion-analysis-project/SemEval2025-Task11. A text
is a dialogue of one utterance.

For some languages each annotator's answers are published too, in `individual_labels/`: a row a text
and emotion, a column an annotator, with how strong the emotion is (0 to 3). Where such files lie in
`data.dir`, they are joined to the texts, whose numbers differ, by the text itself; an emotion of
any strength is one that the annotator gave. Texts that annotators had several times, under
different numbers, are joined to none of them.
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Self

from eacl_jax.config import DataConfig
from eacl_jax.corpora.builder import CorpusBuilder
from eacl_jax.corpora.flagged import Annotations, read_flagged
from eacl_jax.corpora.found import Found
from eacl_jax.corpora.sources import data_folder, folders_below, locate
from eacl_jax.corpora.tables import read_rows
from eacl_jax.dialogue import SPLITS, TaskName
from eacl_jax.errors import UserError
from eacl_jax.files.headers import plain

# As published, as the release of the training phase had it, and a folder a split or a file a split.
_LAYOUTS = (
    "track_a/{split}/{language}.csv",
    "{split}/track_a/{language}.csv",
    "{split}/{language}.csv",
    "{split}.csv",
)
_WHERE = (
    "The corpus is on github.com/emotion-analysis-project/SemEval2025-Task11; config.data.language"
    " is a language as its files are named (eng, deu, hau, ...)."
)
_STRONGEST = 3
logger = logging.getLogger("eacl_jax.corpora")
_ANNOTATORS_COLUMNS = ("text_id", "text", "emotion")


class Brighter(CorpusBuilder):
    """Builder of one language of BRIGHTER's track A, from LANGUAGE.csv of each split."""

    name = "brighter"
    TASK: ClassVar[TaskName] = "multi"
    EMPTY_TEXT = True

    @classmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Takes the files of `data.language` from `data.dir`."""
        if not data.dir:
            raise UserError(f"set config.data.dir to the folder with {cls.name}'s files. {_WHERE}")
        layouts = [
            {split: layout.format(split=split, language=data.language) for split in SPLITS}
            for layout in _LAYOUTS
        ]
        files = locate(data.dir, cls.name, layouts, _WHERE)
        answers = _annotators_files(data_folder(data.dir), data.language)
        return cls(
            sources={split: (path, *answers) for split, path in files.items()}, cache_dir=cache_dir
        )

    def _read(self, split: str) -> Iterator[Found]:
        path, *answers = self.sources[split]
        rows = list(read_rows(path, ("id", "text")))
        labels = {
            name: plain(name)
            for name in (rows[0][1] if rows else ())
            # In the files of several languages, the emotion that a language does not have is empty.
            if name not in ("id", "text") and any(row[name].strip() for _, row in rows)
        }
        given = _annotations(answers, tuple(labels.values()))
        if answers:
            joined = sum(row["text"].strip() in given for _, row in rows)
            logger.warning(
                "%s: it is known of %d of %d texts what each annotator gave.",
                path,
                joined,
                len(rows),
            )
        return read_flagged(
            path, rows, identity="id", text="text", labels=labels, annotations=given
        )


def _annotators_files(root: Path, language: str) -> list[Path]:
    """Tables of annotators' answers in a language, at most a few."""
    return sorted(
        path
        for folder in folders_below(root)
        for path in folder.glob("*.csv")
        if path.name.casefold().startswith(f"{language}_")
        and (
            "individual_labels" in (folder.name, folder.parent.name)
            or "individual" in path.name.casefold()
        )
    )


def _annotations(paths: list[Path], labels: tuple[str, ...]) -> dict[str, Annotations]:
    """What each annotator gave, by text; of those that have one number only."""
    found: dict[str, dict[str, list[str]]] = {}
    numbers: dict[str, set[str]] = {}
    for path in paths:
        for line, row in read_rows(path, _ANNOTATORS_COLUMNS):
            emotion = plain(row["emotion"])
            # One file has Sad for sadness; emotions that the language does not have are left out.
            label = next((each for each in labels if each.startswith(emotion) and emotion), None)
            text = row["text"].strip()
            numbers.setdefault(text, set()).add(row["text_id"].strip())
            answers = found.setdefault(text, {})
            for name, cell in row.items():
                if name in _ANNOTATORS_COLUMNS or not cell.strip():
                    continue
                strength = _strength(cell, f"{path} line {line}: column {name!r}")
                mine = answers.setdefault(name, [])
                if label is not None and strength and label not in mine:
                    mine.append(label)
    return {
        text: tuple(map(tuple, answers.values()))
        for text, answers in found.items()
        if answers and len(numbers[text]) == 1
    }


def _strength(cell: str, where: str) -> float:
    try:
        strength = float(cell)
    except ValueError:
        strength = -1
    if not 0 <= strength <= _STRONGEST:
        raise UserError(
            f"{where} holds {cell!r:.40}; expected 0 to {_STRONGEST}, how strong the emotion is, or"
            " nothing where the annotator did not have the text."
        )
    return strength
