"""Features of a corpus: from files, objects and columns."""

import json

import numpy as np
import pytest

from eacl_jax import corpora
from eacl_jax.config import DataConfig
from eacl_jax.corpora.beside import with_given_features
from eacl_jax.corpora.files import read_file
from eacl_jax.dialogue import Taxonomy
from eacl_jax.errors import UserError
from eacl_jax.features.modality import Modality
from eacl_jax.training import evaluation


def made(tmp_path, utterances, features=()):
    for split in ("train", "dev", "test"):
        record = {"id": f"{split}-1", "utterances": utterances}
        (tmp_path / f"{split}.jsonl").write_text(json.dumps(record) + "\n")
    return DataConfig(
        corpus="custom",
        **{split: str(tmp_path / f"{split}.jsonl") for split in ("train", "dev", "test")},
        cache_dir=str(tmp_path / "cache"),
        labels=("joy", "anger"),
        features=tuple(features),
    )


SAID = [
    {"speaker": "Ann", "text": "hi", "emotion": "joy", "features": {"face": [1, None]}},
    {"speaker": "Bob", "text": "so", "emotion": "anger"},
]


def test_objects_and_files_together(tmp_path, caplog):
    rows = "\n".join(f"{split}-1,1,{n}" for n, split in enumerate(("train", "dev", "test")))
    (tmp_path / "voice.csv").write_text(f"dialogue,utterance,pitch\n{rows}\nother,0,9\n")
    data = made(tmp_path, SAID, [f"voice={tmp_path / 'voice.csv'}"])
    for _ in range(2):  # prepared, and read again
        corpus = corpora.load(data)
        assert {name: kind.columns for name, kind in corpus.features.items()} == {
            "face": (),
            "voice": ("pitch",),
        }
        first, second = corpus.splits["test"][0].utterances
        np.testing.assert_array_equal(first.features["face"], [[1, np.nan]])
        assert set(first.features) == {"face"}
        assert second.features["voice"].tolist() == [[2]]
    assert "test: 1 of 2 utterances have no features voice" in caplog.text


def test_columns_of_tables(tmp_path):
    table = "dialogue,speaker,text,emotion,voice.rate,voice.pitch,note\n1,Ann,hi,joy,,3,x\n1,Bob,so,anger,,,y\n"
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.csv").write_text(
            table.replace("1,Ann", f"{split},Ann").replace("1,Bob", f"{split},Bob")
        )
    more = "dev,Cleo,oh,joy,4,,z\n"
    (tmp_path / "dev.csv").write_text((tmp_path / "dev.csv").read_text() + more)
    data = DataConfig(
        corpus="custom",
        **{split: str(tmp_path / f"{split}.csv") for split in ("train", "dev", "test")},
        cache_dir=str(tmp_path / "cache"),
        features=("voice",),
    )
    corpus = corpora.load(data)
    first, second = corpus.splits["train"][0].utterances
    assert corpus.features["voice"].columns == ("pitch", "rate")
    np.testing.assert_array_equal(first.features["voice"], [[3, np.nan]])
    assert not second.features
    assert first.other == {"note": "x"}


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["voice"], r"no columns voice\.SOMETHING"),
        (["face=x.csv"], "'face' are there already"),
        (["my voice=x.csv"], "cannot be a modality's name"),
        (["voice=missing.csv"], r"config\.data\.features\[0\]: missing\.csv is not there"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path, features, message):
    with pytest.raises(UserError, match=message):
        corpora.load(made(tmp_path, SAID, features))


def test_widths_must_agree(tmp_path):
    other = {**SAID[1], "features": {"face": [1, 2, 3]}}
    with pytest.raises(
        UserError, match=r"utterance 1: its features 'face' have 3 numbers.* have 2"
    ):
        corpora.load(made(tmp_path, [SAID[0], other]))


def test_one_splits_features_are_not_those_of_all(tmp_path):
    data = made(tmp_path, SAID, [f"voice={tmp_path / 'voice.csv'}"])
    for split in ("train", "dev", "test"):
        file = tmp_path / f"{split}.jsonl"
        file.write_text(file.read_text().replace(f"{split}-1", f"{split}_0"))
    (tmp_path / "voice.csv").write_text("filename,pitch\ndia0_utt1,3\n")
    with pytest.raises(UserError, match="'dia0_utt1' may be those of an utterance of train or of"):
        corpora.load(data)


@pytest.mark.parametrize(
    ("numbers", "fits"),
    [
        ((0, 1, 2), True),
        ((1, 2), True),
        ((1,), True),
        ((1, 2, 3), False),
        ((2, 3), False),
        ((0, 1, 2, 3), "past"),
        ((0, 2, 4), "past"),
    ],
)
def test_utterances_that_a_file_counts_from_one_are_not_taken_for_others(
    tmp_path, numbers, fits, caplog
):
    utterances = [{"speaker": "Ann", "text": f"hi {n}", "emotion": "joy"} for n in range(3)]
    data = made(tmp_path, utterances, [f"voice={tmp_path / 'voice.csv'}"])
    rows = [f"{split}-1,{n},{n}" for split in ("train", "dev", "test") for n in numbers]
    (tmp_path / "voice.csv").write_text("\n".join(["dialogue,utterance,pitch", *rows]) + "\n")
    if fits:
        corpora.load(data)
        warning = (
            "split dev: of 1 dialogue whose file does not number the utterances, 1 has features"
        )
        assert (warning in caplog.text) == (fits == "past")
        return
    with pytest.raises(UserError, match=r"split train: the numbers .* one too high.*subtract 1"):
        corpora.load(data)


@pytest.mark.parametrize("shift", [0, -1])
def test_numbers_that_the_corpus_counts_from_one_are_kept(tmp_path, shift, caplog):
    for split in ("train", "dev", "test"):
        rows = "".join(f"{split},{n},Ann,hi,joy\n" for n in (1, 2, 4))
        (tmp_path / f"{split}.csv").write_text(
            "dialogue,utterance_id,speaker,text,emotion\n" + rows
        )
    rows = "".join(
        f"{split},{n + shift},{n}\n"
        for split in ("train", "dev", "test")
        for n in range(1, 5 if shift else 6)
    )
    (tmp_path / "voice.csv").write_text("dialogue,utterance,pitch\n" + rows)
    data = DataConfig(
        corpus="custom",
        **{split: str(tmp_path / f"{split}.csv") for split in ("train", "dev", "test")},
        cache_dir=str(tmp_path / "cache"),
        features=(f"voice={tmp_path / 'voice.csv'}",),
        labels=("joy", "anger"),
    )
    if shift:
        with pytest.raises(UserError, match=r"one too low.*add 1 to"):
            corpora.load(data)
        return
    utterances = corpora.load(data).splits["train"][0].utterances
    assert "does not number" not in caplog.text
    assert [each.features["voice"].item() for each in utterances] == [1, 2, 4]


@pytest.mark.parametrize("key", ["{split}-u.wav", "{split}-v.wav"])
def test_ids_of_utterances_are_keys(tmp_path, key):
    data = made(tmp_path, SAID, [f"voice={tmp_path / 'voice.csv'}"])
    splits = ("train", "dev", "test")
    for split in splits:
        file = tmp_path / f"{split}.jsonl"
        utterances = [{**SAID[0], "id": f"{split}-u.wav"}, SAID[1]]
        file.write_text(json.dumps({"id": split, "utterances": utterances}) + "\n")
    rows = [f"{key.format(split=split)},{n}" for n, split in enumerate(splits)]
    (tmp_path / "voice.csv").write_text("\n".join(["file,pitch", *rows]) + "\n")
    if "v.wav" in key:
        with pytest.raises(UserError, match=r"are 'train/0' \(its id 'train-u\.wav'\), 'train/1';"):
            corpora.load(data)
        return
    found = [corpora.load(data).splits[split][0].utterances[0].features for split in splits]
    assert [each["voice"].item() for each in found] == [0, 1, 2]


@pytest.mark.parametrize(
    ("numbers", "there"),
    [((0, 2, 3, 4), range(5)), ((1, 2, 3, 4), range(1, 5)), ((0, 2, 3, 4), (0, 1, 3, 4))],
)
def test_ids_tell_which_utterances_were_left_out(tmp_path, numbers, there, caplog):
    splits = ("train", "dev", "test")
    data = made(tmp_path, SAID, [f"voice={tmp_path / 'voice.csv'}"])
    for split in splits:
        said = [
            {"id": f"{split}_{n}.wav", "speaker": "Ann", "text": f"hi {n}", "emotion": "joy"}
            for n in numbers
        ]
        record = json.dumps({"id": split, "utterances": said})
        (tmp_path / f"{split}.jsonl").write_text(record + "\n")
    rows = [f"{split}_{n}.wav,{n}" for split in splits for n in there]
    (tmp_path / "voice.csv").write_text("\n".join(["file,pitch", *rows]) + "\n")
    for split in splits:
        (dialogue,) = corpora.load(data).splits[split]
        found = [u.features.get("voice") for u in dialogue.utterances]
        expected = [n if n in there else None for n in numbers]
        assert [None if each is None else each.item() for each in found] == expected
    assert "does not number" not in caplog.text


def test_an_id_and_a_number_of_two_rows_are_refused(tmp_path):
    for split in ("train", "dev", "test"):
        rows = "".join(f"{split},{n},{split}/{n + 1},Ann,hi {n},joy\n" for n in range(3))
        (tmp_path / f"{split}.csv").write_text("dialogue,turn,id,speaker,text,emotion\n" + rows)
    rows = "".join(f"{s}/{n},{n}\n" for s in ("train", "dev", "test") for n in range(3))
    (tmp_path / "voice.csv").write_text("key,pitch\n" + rows)
    data = DataConfig(
        corpus="custom",
        **{split: str(tmp_path / f"{split}.csv") for split in ("train", "dev", "test")},
        cache_dir=str(tmp_path / "cache"),
        features=(f"voice={tmp_path / 'voice.csv'}",),
        labels=("joy", "anger"),
    )
    with pytest.raises(UserError, match="'train/0' by its number and those of 'train/1' by its id"):
        corpora.load(data)


HEAD = "dialogue,speaker,text,emotion,voice.rate,voice.pitch\n"
VOICE = Modality(2, 1, (0.0, 0.0), (1.0, 1.0), ("pitch", "rate"))


def test_a_column_that_is_empty_throughout_is_there(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text(HEAD + "1,Ann,hi,joy,,3\n1,Bob,so,anger,,\n")
    utterances = with_given_features(read_file(file), {}, {"voice": VOICE})[0].dialogue.utterances
    np.testing.assert_array_equal(utterances[0].features["voice"], [[3, np.nan]])
    assert not utterances[1].features
    file.write_text(HEAD.replace(",voice.rate", "") + "1,Ann,hi,joy,3\n")
    with pytest.raises(UserError, match=r"has columns voice\.pitch, but no voice\.rate"):
        with_given_features(read_file(file), {}, {"voice": VOICE})


@pytest.mark.parametrize("inside", [True, False])
def test_a_run_is_evaluated_by_the_columns_names(tmp_path, inside):
    """The test file's first column is empty, and the features' file has been sorted anew."""
    (tmp_path / "test.csv").write_text(HEAD + "1,Ann,hi,joy,,3\n1,Bob,so,anger,,4\n")
    (tmp_path / "voice.csv").write_text("key,rate,energy,pitch\n1/0,,9,3\n1/1,,9,4\n")
    data = DataConfig(
        corpus="custom",
        test=str(tmp_path / "test.csv"),
        cache_dir=str(tmp_path / "cache"),
        features=("voice",) if inside else (f"voice={tmp_path / 'voice.csv'}",),
    )
    taxonomy = Taxonomy(("anger", "joy"), ("anger", "joy"))
    given = "test", "", taxonomy, "single", {"voice": VOICE}
    (dialogue,), _ = evaluation._dialogues(data, *given)
    found = [each.features["voice"] for each in dialogue.utterances]
    np.testing.assert_array_equal(found, [[[3, np.nan]], [[4, np.nan]]])
    if inside:  # what another split's file alone has
        (tmp_path / "test.csv").write_text(HEAD.replace(",voice.rate", "") + "1,Ann,hi,joy,3\n")
        (dialogue,), _ = evaluation._dialogues(data, *given)
        found = dialogue.utterances[0].features["voice"]
        np.testing.assert_array_equal(found, [[3, np.nan]])
    (tmp_path / "test.csv").write_text(HEAD.replace("rate", "speed") + "1,Ann,hi,joy,1,3\n")
    (tmp_path / "voice.csv").write_text("key,speed,pitch\n1/0,1,3\n")
    with pytest.raises(UserError, match=r"features voice: there is no column 'rate'; the model"):
        evaluation._dialogues(data, *given)
