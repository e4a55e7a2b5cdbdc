"""GoEmotions: toy files in its format, and the published counts."""

import collections
from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.goemotions import GoEmotions
from eacl_jax.corpora.transcripts import NOBODY
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError

LINE = 'He said "why not?" \t25,0\ted5f85d\n'


def write(
    folder: Path, line: str = LINE, labels: tuple[str, ...] = GoEmotions.LABELS, **files: str
) -> DataConfig:
    folder.mkdir()
    for split in ("train", "dev", "test"):
        (folder / f"{split}.tsv").write_text(files.get(split, line), encoding="utf-8")
    (folder / "emotions.txt").write_text("\n".join(labels), encoding="utf-8")
    return DataConfig(corpus="goemotions", dir=str(folder), cache_dir=str(folder / "cache"))


def test_a_comment_is_a_dialogue_with_all_its_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GoEmotions, "EXPECTED", {})
    corpus = corpora.load(write(tmp_path / "files"))
    assert corpus.task == "multi"
    assert corpus.taxonomy.labels == GoEmotions.LABELS
    (dialogue,) = corpus.splits["dev"]
    assert dialogue.id == "ed5f85d"
    assert dialogue.utterances == (
        Utterance(NOBODY, 'He said "why not?"', emotions=("sadness", "admiration")),
    )
    groups = dict(zip(corpus.taxonomy.labels, corpus.levels["ekman"], strict=True))
    assert (groups["curiosity"], groups["pride"], groups["neutral"]) == (
        "surprise",
        "joy",
        "neutral",
    )
    assert {level: len(set(groups)) for level, groups in corpus.levels.items()} == {
        "ekman": 7,
        "sentiment": 4,
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Hm.\t28\tx\n", r"train\.tsv line 1: '28' is no label's number; expected 0 to 27"),
        ("Hm.\t3,\tx\n", r"train\.tsv line 1: '' is no label's number"),
        ("Hm.\t3,3\tx\n", r"train\.tsv line 1: a label is there twice, in '3,3'"),
        ("Hm.\t3\n", r"train\.tsv line 1: 2 cells; expected 3"),
        (LINE + LINE, r"train\.tsv line 2: dialogue 'ed5f85d': this id was used before"),
        (LINE, r"train has 1 dialogues, expected 43410"),
    ],
)
def test_faulty_file(
    tmp_path: Path, line: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if line != LINE:
        monkeypatch.setattr(GoEmotions, "EXPECTED", {})
    with pytest.raises(UserError, match=message):
        corpora.load(write(tmp_path / "files", train=line))


def test_another_list_of_labels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"emotions\.txt must list the 28 labels .*'calm'"):
        corpora.load(write(tmp_path / "files", labels=("calm", *GoEmotions.LABELS[1:])))


def test_published_counts(shared: Path, cache: Path) -> None:
    folder = shared / "data" / "goemotions"
    builder = GoEmotions.from_config(DataConfig(corpus="goemotions", dir=str(folder)), cache)
    splits = {split: list(builder._read(split)) for split in ("train", "dev", "test")}
    assert {split: len(found) for split, found in splits.items()} == {
        split: counts.dialogues for split, counts in GoEmotions.EXPECTED.items()
    }
    counts = collections.Counter(
        label
        for found in splits.values()
        for item in found
        for utterance in item.dialogue.utterances
        for label in utterance.emotions or ()
    )
    assert (len(counts), counts["neutral"], counts["grief"]) == (28, 17772, 96)
