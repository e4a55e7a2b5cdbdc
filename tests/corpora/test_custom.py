"""The user's own files, and every mistake that can be made with them."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.custom import read_custom
from eacl_jax.corpora.transcripts import NOBODY
from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError

Toy = Callable[..., DataConfig]
HEADER = "dialogue,speaker,text,emotion\n"
CSV = {
    "train": HEADER + "a,Ana,Fine day.,joy\na,Bo,Is it?,\nb,Bo,Go away!,anger\n",
    "dev": HEADER + "c,Ana,Lovely.,joy\n",
    "test": HEADER + "d,Ana,Hmpf.,anger\n",
}


def line(**fields: object) -> str:
    utterance = {"speaker": "Ana", "text": "Fine day.", "emotion": "joy"} | fields
    return json.dumps({"id": "x", "utterances": [utterance]}) + "\n"


def test_csv_rows_of_a_dialogue_need_not_be_neighbours_where_they_are_numbered(toy: Toy) -> None:
    header, *rows = CSV["train"].splitlines()
    apart = [rows[0], rows[2], rows[1]]
    joined = "\n".join([header, *apart])
    with pytest.raises(UserError, match=r"train\.csv line 4: dialogue 'a' comes back after others"):
        corpora.load(toy(suffix=".csv", **CSV | {"train": joined}))
    numbered = "\n".join([f"{header},turn", *(f"{row},{n}" for n, row in enumerate(apart))])
    train = corpora.load(toy(suffix=".csv", **CSV | {"train": numbered})).splits["train"]
    assert [dialogue.id for dialogue in train] == ["a", "b"]
    assert train[0].utterances == (
        Utterance("Ana", "Fine day.", "joy"),
        Utterance("Bo", "Is it?", None),
    )


def test_rows_may_stand_by_themselves(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    """The fields of JSON a message each, too; nothing is logged of speakers that nobody named."""
    rows = "chat,text,emotion\n1,Fine day.,joy\n1,Go away!,anger\n1,Is it?,\n"
    lines = '{"text": "Hm.", "emotion": "joy"}\n{"text": "No.", "emotion": "anger"}\n'
    data = toy(suffix=".csv", train=rows, dev=lines, test=CSV["test"])
    data = dataclasses.replace(data, dialogue_column="none", speaker_column="none")
    splits = corpora.load(data).splits
    assert [(d.id, *d.utterances) for d in splits["train"]] == [
        ("1", Utterance(NOBODY, "Fine day.", "joy")),
        ("2", Utterance(NOBODY, "Go away!", "anger")),
        ("3", Utterance(NOBODY, "Is it?")),
    ]
    assert [u.text for d in splits["dev"] for u in d.utterances] == ["Hm.", "No."]
    assert "name no speaker" not in caplog.text
    with pytest.raises(UserError, match=r"dialogues, and no rows .*data\.dialogue_column=none"):
        corpora.load(dataclasses.replace(data, train=toy(train=line()).train))


def test_csv_with_byte_order_mark_quotes_crlf_and_other_columns(toy: Toy) -> None:
    rows = 'n,who,line,"feels"\r\n7, Ana ,"Well, ""yes"".\nSo there", joy \r\n\r\n'
    data = toy(suffix=".csv", train=b"\xef\xbb\xbf" + rows.encode(), dev=rows, test=rows)
    data = dataclasses.replace(
        data,
        dialogue_column="n",
        speaker_column="who",
        text_column="line",
        emotion_column="feels",
        labels=("joy", "anger"),
    )
    assert corpora.load(data).splits["train"][0].utterances == (
        Utterance("Ana", 'Well, "yes".\nSo there', "joy"),
    )


def test_a_named_field_of_nested_dialogues_holds_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps([{"id": 7, "call": "c1", "utterances": [{"text": "Hi."}]}]))

    def identity(named: str) -> str:
        return read_custom(path, DataConfig(dialogue_column=named))[0].dialogue.id

    assert [identity(""), identity("call")] == ["7", "c1"]
    message = r"item 1 has no field 'tel' with an id, which config\.data\.dialogue_column names"
    with pytest.raises(UserError, match=message):
        identity("tel")


def test_jsonl_with_byte_order_mark_and_blank_lines(toy: Toy) -> None:
    corpus = corpora.load(toy(dev=b"\xef\xbb\xbf\r\n" + line().encode() + b"  \n"))
    assert [dialogue.id for dialogue in corpus.splits["dev"]] == ["x"]


def test_renaming_the_columns_reads_again(toy: Toy) -> None:
    header = "dialogue,speaker,text,emotion,mood\n"
    files = dict.fromkeys(
        ("train", "dev", "test"), header + "a,Ana,Fine day.,joy,anger\nb,Ana,Bad day.,anger,joy\n"
    )
    data = toy(suffix=".csv", **files)
    for column, expected in (("emotion", "joy"), ("mood", "anger")):
        corpus = corpora.load(dataclasses.replace(data, emotion_column=column))
        assert corpus.splits["train"][0].utterances[0].emotion == expected


@pytest.mark.parametrize(
    ("dev", "message"),
    [
        ("", r"dev\.jsonl: there is no dialogue for the split 'dev'"),
        ("\n\n", r"dev\.jsonl: there is no dialogue for the split 'dev'"),
        ("{'id': 1}\n", r"dev\.jsonl line 1: not valid JSON at column 2"),
        (line() + '{"id": "y"\n', r"dev\.jsonl line 2: not valid JSON at column"),
        (
            line() + '{"id": "y", "id": "z", "utterances": []}\n',
            r"line 2: not usable JSON: the field 'id' is there twice",
        ),
        (
            '{"id": "y",\n"id": "z", "utterances": []}\n',
            r"dev\.jsonl: not usable JSON: the field 'id' is there twice",
        ),
        ("{'id': 1}\n\n" + line(), r"dev\.jsonl line 1: not valid JSON at column 2"),
        ("[" * 100000, r"dev\.jsonl line 1: not usable JSON"),
        ("[1]\n", r"dev\.jsonl item 1: a dialogue must be a JSON object"),
        (line() + "1\n", r"dev\.jsonl line 2: a dialogue must be a JSON object"),
        ('{"id": "y"}\n', r"dev\.jsonl line 1: dialogue 'y' has no field 'utterances'"),
        ('{"id": "y", "utterances": []}\n', r"dev\.jsonl line 1: dialogue 'y' has no utterances"),
        ('{"id": " ", "utterances": []}\n', r"dev\.jsonl line 1: dialogue '': the id is empty"),
        (line(text=""), r"dev\.jsonl line 1: dialogue 'x' utterance 0: the text is empty"),
        (
            "\n" + line(text=" \t"),
            r"dev\.jsonl line 2: dialogue 'x' utterance 0: the text is empty",
        ),
        (
            line(speaker=" "),
            r"dev\.jsonl line 1: dialogue 'x' utterance 0: field 'speaker' is empty",
        ),
        (
            line(speaker=True),
            r"dev\.jsonl line 1: dialogue 'x' utterance 0: field 'speaker' must be a string",
        ),
        (
            line(text=3),
            r"dev\.jsonl line 1: dialogue 'x' utterance 0: field 'text' must be a string",
        ),
        (line(emotion=""), r"dev\.jsonl: no utterance of the split 'dev' has an emotion"),
        (
            line(emotion=["joy", "anger"]),
            r"dev\.jsonl line 1: dialogue 'x' utterance 0 has 2 labels",
        ),
        (
            line(emotion={}),
            r"dev\.jsonl line 1: dialogue 'x' utterance 0: the emotion must be a string",
        ),
        (line(emotion=None), r"dev\.jsonl: no utterance of the split 'dev' has an emotion"),
        (
            line(emotion="glee"),
            (
                r"dev\.jsonl line 1: dialogue 'x' utterance 0: the emotion 'glee' is not among the"
                r" labels anger, joy;"
            ),
        ),
        (
            line(text="a\0b"),
            r"dev\.jsonl line 1: dialogue 'x' utterance 0: field 'text' holds a null character",
        ),
        (
            line(text="a\ud800b"),
            (
                r"dev\.jsonl line 1: dialogue 'x' utterance 0: field 'text' holds half of a"
                r" surrogate pair"
            ),
        ),
        (
            line() + "\n" + line(),
            r"line 3: dialogue 'x': this id was used before at .*dev\.jsonl line 1: dialogue 'x'",
        ),
        (
            b"\xef\xbb\xbf" + line().encode() + b"\xe9t\xe9\n",
            r"dev\.jsonl line 2: byte 0xe9 at offset \d+ is not UTF-8",
        ),
        (line().encode() + b"\0\n", r"dev\.jsonl line 2: null byte at offset"),
    ],
)
def test_faulty_jsonl(toy: Toy, dev: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        corpora.load(toy(dev=dev))


@pytest.mark.parametrize(
    ("dev", "message"),
    [
        ("", r"dev\.csv is empty; its first line must name the columns dialogue, speaker"),
        (HEADER, r"dev\.csv: there is no dialogue for the split 'dev'"),
        (
            "dialogue,speaker,line\n",
            (
                r"dev\.csv has no column 'text', 'emotion'; its columns are 'dialogue', 'speaker',"
                r" 'line'"
            ),
        ),
        ("dialogue;speaker;text;emotion\n", r"dev\.csv: there is no dialogue"),
        (
            "text,dialogue,speaker,text,emotion\n",
            r"dev\.csv has more than one column for the text: 'text', 'text'",
        ),
        (
            HEADER + "c,Ana,Well, yes.,joy\n",
            r"dev\.csv line 2: 5 cells, but the header has 4 columns",
        ),
        (HEADER + "c,Ana,Yes.,joy\nc,Ana\n", r"dev\.csv line 3: 2 cells"),
        (
            HEADER + 'c,Ana,"Two\nlines",joy\nc,Ana,,joy\n',
            r"dev\.csv line 4: dialogue 'c' utterance 1: the text is empty",
        ),
        (
            HEADER + "2.15E+17,Ana,Yes.,joy\n",
            r"dev\.csv line 2: the dialogue is '2.15E\+17', as spreadsheets write numbers of many",
        ),
        (HEADER + " ,Ana,Yes.,joy\n", r"dev\.csv line 2: the cell of column 'dialogue' is empty"),
        (HEADER + "c,Ana,Yes.,\n", r"dev\.csv: no utterance of the split 'dev' has an emotion"),
        (
            HEADER + "c,Ana,Yes.,glee\n",
            r"dev\.csv line 2: dialogue 'c' utterance 0: the emotion 'glee'",
        ),
        (HEADER + 'c,Ana,"Yes.,joy\n', r"dev\.csv line 2: .*not valid CSV"),
        (HEADER + f"c,Ana,{'a' * 140000},joy\n", r"dev\.csv line 2: field larger than field limit"),
        (HEADER.encode() + b"c,Ana,Ol\xe9.,joy\n", r"dev\.csv line 2: byte 0xe9 at offset"),
        (HEADER.encode("utf-16"), r"dev\.csv: there is no dialogue"),
        (HEADER.encode() + b"c,A\0na,Yes.,joy\n", r"dev\.csv line 2: null byte"),
    ],
)
def test_faulty_csv(toy: Toy, dev: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        corpora.load(toy(suffix=".csv", **(CSV | {"dev": dev})))


def test_all_empty_texts_are_named_at_once(toy: Toy) -> None:
    rows = "c,Ana,Yes.,joy\n" + "c,Ana,,joy\n" * 2 + "d,Bo,Hm.,joy\n" + "d,Bo, ,joy\n" * 6
    with pytest.raises(UserError) as caught:
        corpora.load(toy(suffix=".csv", **(CSV | {"dev": HEADER + rows})))
    first, *lines, left = str(caught.value).split("\n")
    assert "line 3: dialogue 'c' utterance 1: the text is empty;" in first
    assert first.endswith("give its text. 7 more are empty:")
    assert [line.split(":")[0].split()[-1] for line in lines] == ["4", "6", "7", "8", "9"]
    assert left == "  and 2 more"


def test_a_file_beside_the_named_one_is_part_of_the_corpus(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "dialogues_train.txt").write_text("Late ? __eou__ No ! __eou__\n")
    data = dataclasses.replace(
        toy(),
        train=str(tmp_path / "dialogues_train.txt"),
        labels=("neutral", "anger", "joy", "fear"),
    )
    for digits, emotion in (("0 1", "anger"), ("0 3", "fear")):
        (tmp_path / "dialogues_emotion_train.txt").write_text(digits + "\n")
        assert corpora.load(data).splits["train"][0].utterances[1].emotion == emotion


def test_files_that_are_not_there(toy: Toy, tmp_path: Path) -> None:
    data = toy()
    for name, message in (
        (
            str(tmp_path / "own" / "tset.jsonl"),
            r"config\.data\.test names .*tset\.jsonl, which does not exist; name a file",
        ),
        (
            str(tmp_path / "none" / "test.jsonl"),
            r"which does not exist, nor does its folder .*none;",
        ),
        (str(tmp_path), r"which is a folder; name one file in it"),
        ("", r"config\.data\.test must name a file"),
    ):
        with pytest.raises(UserError, match=message):
            corpora.load(dataclasses.replace(data, test=name))


def test_the_content_tells_the_format_not_the_suffix(toy: Toy) -> None:
    assert corpora.load(toy(suffix=".txt")) == corpora.load(toy())
    assert len(corpora.load(toy(suffix=".data", **CSV)).splits["train"]) == 2


@pytest.mark.parametrize("link", [False, True], ids=["same path", "link"])
def test_one_file_for_two_splits(toy: Toy, tmp_path: Path, link: bool) -> None:
    data = toy()
    name = str(tmp_path / "other.jsonl") if link else data.train
    if link:
        os.symlink(data.train, name)
    with pytest.raises(
        UserError, match=r"config\.data\.train and config\.data\.test name the same file"
    ):
        corpora.load(dataclasses.replace(data, test=name))


def test_columns_must_differ(toy: Toy) -> None:
    with pytest.raises(UserError, match=r"names of the columns .* must differ"):
        corpora.load(dataclasses.replace(toy(), text_column="speaker", speaker_column="speaker"))
    with pytest.raises(UserError, match=r"'speaker' is named for more than one part"):
        corpora.load(dataclasses.replace(toy(), text_column="speaker"))


def test_a_column_called_features_is_somebody_s_own(toy: Toy, tmp_path: Path) -> None:
    head = "dialogue,speaker,text,emotion,features\n"
    files = {split: tmp_path / f"{split}.csv" for split in ("train", "dev", "test")}
    for split, file in files.items():
        file.write_text(f"{head}{split},Ann,hi {split},joy,round\n{split},Bob,so,anger,\n")
    data = dataclasses.replace(toy(), **{split: str(file) for split, file in files.items()})
    for _ in range(2):  # read, and from the cache
        (found,) = corpora.load(data).splits["train"]
        assert [dict(each.other) for each in found.utterances] == [{"features 5": "round"}, {}]


def test_answers_in_place_of_annotations_are_reported(toy: Toy, caplog: pytest.LogCaptureFixture):
    answered = line(confidence=0.9, probabilities={"joy": 0.9, "anger": 0.1})
    corrected = line(emotion="anger", confidence=0.9, probabilities={"joy": 0.9, "anger": 0.1})
    data = toy(
        suffix=".jsonl",
        train=answered + corrected.replace('"x"', '"y"'),
        dev=answered.replace("Fine", "Bad"),
        test=line(text="No answer."),
    )
    corpora.load(data)
    messages = [each for each in caplog.messages if "fields of a model's answer" in each]
    assert [each[: each.index(" annotated")] for each in messages] == [
        "train: 2 of 2",
        "dev: 1 of 1",
    ]
    assert "; 1 are the most probable ones" in messages[0]


def test_a_field_that_is_nearly_emotion_is_reported(toy: Toy, caplog: pytest.LogCaptureFixture):
    misspelt = '{"speaker": "Bo", "text": "Go!", "emotoin": "anger", "mood": 1}]}'
    train = line(other=1).replace("}]}", "}, " + misspelt) + line(emotion="anger").replace(
        '"x"', '"y"'
    )
    corpora.load(toy(suffix=".jsonl", train=train, dev=line(text="b"), test=line(text="c")))
    messages = [each for each in caplog.messages if "typed wrong?" in each and "field" in each]
    assert messages == [
        "train: utterances without an emotion have a field 'emotoin' (1): is 'emotion' typed wrong?"
    ]
