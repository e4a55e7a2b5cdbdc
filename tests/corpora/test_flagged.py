"""SemEval-2018 E-c and BRIGHTER: toy files in their layouts."""

from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.semeval2018 import SemEval2018
from eacl_jax.corpora.transcripts import NOBODY
from eacl_jax.dialogue import Corpus, Utterance
from eacl_jax.errors import UserError

HEADER = "\t".join(("ID", "Tweet", *SemEval2018.LABELS))


def semeval(folder: Path, row: str, header: str = HEADER) -> DataConfig:
    inner = folder / "English"
    inner.mkdir(parents=True)
    for number, name in enumerate(("train", "dev", "test-gold")):
        text = f"{header}\n{row.format(n=number)}\n"
        (inner / f"2018-E-c-En-{name}.txt").write_text(text, encoding="utf-8")
    return DataConfig(corpus="semeval2018", dir=str(folder), cache_dir=str(folder / "cache"))


def test_semeval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SemEval2018, "EXPECTED", {})
    row = '2018-En-{n}\t"Worry is a down payment" #fear \t' + "\t".join("01001000000")
    corpus = corpora.load(semeval(tmp_path, row))
    assert (corpus.task, len(corpus.taxonomy.labels), corpus.levels) == ("multi", 11, {})
    (dialogue,) = corpus.splits["test"]
    assert dialogue.id == "2018-En-2"
    assert dialogue.utterances == (
        Utterance(NOBODY, '"Worry is a down payment" #fear', emotions=("anticipation", "joy")),
    )


@pytest.mark.parametrize(
    ("row", "header", "message"),
    [
        ("1\tHm.\t" + "\t".join("01001000000"), HEADER, r"train has 1 dialogues, expected 6838"),
        ("1\tHm.\t" + "\t".join(["NONE"] * 11), HEADER, r"'anger' holds 'NONE'; expected 0 or 1"),
        ("1\tHm.\t1", HEADER, r"train\.txt line 2: 3 cells, but the header has 13 columns"),
        ("1\tHm.\t1", "ID\tTweet", r"must name the columns ID, Tweet, anger, .* 'Tweet'"),
    ],
)
def test_faulty_semeval(tmp_path: Path, row: str, header: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        corpora.load(semeval(tmp_path, row, header))


def brighter(folder: Path, layout: str = "track_a/{split}/swe.csv", **files: str) -> Corpus:
    for split in ("train", "dev", "test"):
        path = folder / layout.format(split=split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "id,text,anger,disgust,Joy,sadness\n"
            f'swe_{split}_1,"Ja, {split}.",1,,0,1\n'
            f"swe_{split}_1,Nej {split}.,0,,0,0\n"
            f"swe_{split}_3,Hej {split}.,0,,1,0\n",
            encoding="utf-8",
        )
    for name, text in files.items():
        path = folder / "individual_labels" / "swe" / f"swe_{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return corpora.load(
        DataConfig(
            corpus="brighter", language="swe", dir=str(folder), cache_dir=str(folder / "cache")
        )
    )


@pytest.mark.parametrize(
    "layout",
    ["track_a/{split}/swe.csv", "{split}/track_a/swe.csv", "{split}/swe.csv", "{split}.csv"],
)
def test_brighter(tmp_path: Path, layout: str) -> None:
    corpus = brighter(tmp_path, layout)
    assert (corpus.task, corpus.taxonomy.labels) == ("multi", ("anger", "joy", "sadness"))
    found = corpus.splits["dev"]
    assert [dialogue.id for dialogue in found] == ["swe_dev_1", "swe_dev_1-2", "swe_dev_3"]
    spoken = [utterance for dialogue in found for utterance in dialogue.utterances]
    assert [u.text for u in spoken] == ["Ja, dev.", "Nej dev.", "Hej dev."]
    assert [u.emotions for u in spoken] == [("anger", "sadness"), (), ("joy",)]
    assert all(u.annotations is None for u in spoken)


ANSWERS = """text_id,text,emotion,Annotator-1,Annotator-2,Annotator-3
1,"Ja, dev.",Joy,0,0.0,
1,"Ja, dev.",Sad,2.0,0,
1,"Ja, dev.",Anger,1,3,
1,"Ja, dev.",Disgust,1,0,
2,Other.,Joy,1,1,1
"""


def test_brighters_annotators_are_joined_by_the_text(tmp_path: Path) -> None:
    corpus = brighter(tmp_path, individuals=ANSWERS)
    first, second, _ = corpus.splits["dev"]
    assert first.utterances[0].annotations == (("sadness", "anger"), ("anger",))
    assert second.utterances[0].annotations is None
    # Two texts that are the same are answered each for itself.
    twice = ANSWERS + '7,"Ja, dev.",Joy,1,1,\n'
    assert brighter(tmp_path, individuals=twice).splits["dev"][0].utterances[0].annotations is None
    with pytest.raises(
        UserError, match=r"swe_individuals\.csv line 2: .*-1' holds '4'; expected 0"
    ):
        brighter(tmp_path, individuals=ANSWERS.replace("Joy,0,0.0", "Joy,4,0.0"))


def test_brighters_annotators_may_lie_beside_each_other(tmp_path: Path) -> None:
    path = tmp_path / "individual_labels" / "swe_train.csv"
    path.parent.mkdir()
    path.write_text(ANSWERS, encoding="utf-8")
    first, _, _ = brighter(tmp_path).splits["dev"]
    assert first.utterances[0].annotations == (("sadness", "anger"), ("anger",))


def test_brighter_of_another_language_is_missed(tmp_path: Path) -> None:
    brighter(tmp_path)
    data = DataConfig(corpus="brighter", dir=str(tmp_path), cache_dir=str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"eng\.csv.*config\.data\.language is a language"):
        corpora.load(data)
