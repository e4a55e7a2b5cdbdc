"""Exchanged files become folders of features, by the text corpus' names where it is given."""

import dataclasses
import itertools
import json
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.features import table
from eacl_jax.features.join import joined, names_of
from eacl_jax.features.pickles import layouts
from eacl_jax.features.pickles.converting import convert
from eacl_jax.features.pickles.layouts import natural, read_exchanged
from eacl_jax.features.pickles.matching import Spoken
from tests.stubs.pickles import MELD, meld, python2

FIELDS = ("ids", "speakers", "labels", "text", "audio", "visual", "sentences", "train", "test")


def write(folder: Path, fields: Any, protocol: int = 2) -> Path:
    file = folder / "file.pkl"
    file.write_bytes(pickle.dumps(fields, protocol))
    return file


def corpus_of(fields: tuple[Any, ...]) -> list[Spoken]:
    """MELD's text corpus to `fields`: numbers of dialogues begin anew in each split."""
    splits = {0: "train_0", 1: "train_1", 3: "dev_0", 4: "dev_1", 5: "test_0", 6: "test_1"}
    return [
        Spoken(
            name.partition("_")[0],
            name,
            range(len(fields[6][key])),
            [text.replace("\x92", "'").upper() for text in fields[6][key]],
            [MELD[number] for number in fields[2][key]],
        )
        for key, name in splits.items()
    ]


def test_values_come_out_exactly(tmp_path):
    fields = meld()
    summary = convert(write(tmp_path, fields), "meld", tmp_path / "out").summary
    for name in ("text", "audio", "visual"):
        found = table.read(tmp_path / "out" / name).splits
        assert list(found) == ["train", "test"]
        for split, ids in (("train", fields[7]), ("test", fields[8])):
            wanted = {
                f"{key}/{at}": values
                for key in ids
                for at, values in enumerate(fields[FIELDS.index(name)][key])
            }
            assert list(found[split]) == list(wanted)
            assert all((found[split][key] == values).all() for key, values in wanted.items())
    assert any("no dev split" in line for line in summary)


@pytest.mark.parametrize("kind", ["python2", "arrays", "lists", "successive", "float64", "frames"])
def test_however_it_was_written(tmp_path, kind):
    fields = meld()
    changed: Any = fields
    if kind in ("arrays", "lists", "float64"):
        made = {
            "arrays": np.stack,
            "lists": lambda rows: [row.tolist() for row in rows],
            "float64": lambda rows: np.stack(rows).astype(np.float64),
        }[kind]
        dicts = [{key: made(rows) for key, rows in each.items()} for each in fields[3:6]]
        changed = (*fields[:3], *dicts, *fields[6:])
        changed[2].update({key: np.array(numbers) for key, numbers in fields[2].items()})
    if kind == "frames":
        audio = {key: [np.stack([row, row + 1]) for row in rows] for key, rows in fields[4].items()}
        changed = (*fields[:4], audio, *fields[5:])
    if kind == "python2":
        (tmp_path / "file.pkl").write_bytes(python2(fields))
    elif kind == "successive":
        (tmp_path / "file.pkl").write_bytes(b"".join(pickle.dumps(each, 2) for each in fields))
    else:
        write(tmp_path, changed)
    convert(tmp_path / "file.pkl", "meld", tmp_path / "out")
    audio = table.read(tmp_path / "out" / "audio").splits["test"]["6/2"]
    assert audio.shape == (2 if kind == "frames" else 1, 4)
    assert (audio[0] == fields[4][6][2]).all()


def four(fields: tuple[Any, ...], name: str) -> list[dict[int, Any]]:
    return [{key: [row + at for row in rows] for key, rows in fields[3].items()} for at in range(4)]


def own_ids(fields: tuple[Any, ...]) -> dict[int, list[str]]:
    """As IEMOCAP's, of annotated utterances only: one was left out before each."""
    return {
        key: [f"Ses{key}_F{2 * at:03}" for at in range(len(each))]
        for key, each in fields[0].items()
    }


@pytest.mark.parametrize(
    ("family", "row", "layout", "modalities"),
    [
        ("iemocap", "i s l t a v x T E", "IEMOCAP_features", "text audio visual"),
        ("iemocap", "i s l 4 a v x T E", "iemocap_multimodal_features", "text* audio visual"),
        ("meld", "i s l t a v x T E r", "MELD_features_raw1", "text audio visual"),
        ("meld", "s l l 4 x T E V", "meld_features_roberta", "roberta"),
        ("meld", "i s l 4 a v x T E r", "meld_multimodal_features", "text* audio visual"),
        ("meld", "i s l l 4 a v x T E r", "meld_multimodal_features", "text* audio visual"),
        ("emorynlp", "s l 4 x T E V", "emorynlp_features_roberta", "roberta"),
        ("dailydialog", "s l 4 x T E V", "dailydialog_features_roberta", "roberta"),
    ],
)
def test_each_layout(tmp_path, family, row, layout, modalities):
    fields = meld()
    fields[2].update({key: [each % 6 for each in numbers] for key, numbers in fields[2].items()})
    parts: dict[str, list[Any]] = dict(zip("isltavx", ([each] for each in fields), strict=False))
    if family == "iemocap":
        parts["i"] = [own_ids(fields)]
    parts |= {"4": four(fields, "text"), "T": [[0, 1]], "E": [{6, 5}], "r": [None]}
    parts["V"] = [np.array([3, 4])]
    if "V" not in row:
        parts["T"] = [[0, 1, 3, 4]]
    file = write(tmp_path, [each for part in row.split() for each in parts[part]])
    done = convert(file, family, tmp_path / "out")
    assert f"is a {layout} of 13 utterances" in done.summary[0]
    names = sorted(
        part.replace("*", str(at)) if "*" in part else part + (str(at) if part == "roberta" else "")
        for part in modalities.split()
        for at in (range(1, 5) if part in ("roberta", "text*") else [0])
    )
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == names
    found = table.read(tmp_path / "out" / names[-1]).splits
    first = "Ses5_F000" if family == "iemocap" else "5/0"
    assert next(iter(found["test"])) == first  # though the ids were a set
    assert list(found) == (["train", "dev", "test"] if "V" in row else ["train", "test"])
    if "V" in row:
        assert (found["dev"]["3/1"] == fields[3][3][1] + 3).all()


def test_names_and_splits_of_the_text_corpus(tmp_path):
    fields = meld()
    corpus = corpus_of(fields)
    # The corpus has an utterance that the file lacks, and numbers of its own.
    corpus[1] = Spoken(
        "train", "train_1", (0, 4, 7), ("Hm.", *corpus[1].texts), ("joy", *corpus[1].labels)
    )
    done = convert(write(tmp_path, fields), "meld", tmp_path / "out", corpus)
    found = table.read(tmp_path / "out" / "audio").splits
    assert {split: list(rows) for split, rows in found.items()} == {
        "train": ["train_0/0", "train_0/1", "train_0/2", "train_1/4", "train_1/7"],
        "dev": ["dev_0/0", "dev_0/1", "dev_1/0"],
        "test": ["test_0/0", "test_0/1", "test_1/0", "test_1/1", "test_1/2"],
    }
    assert (found["dev"]["dev_1/0"] == fields[4][4][0]).all()
    assert (found["train"]["train_1/7"] == fields[4][1][1]).all()
    summary = "\n".join(done.summary)
    assert (
        "13 of the file's 13 utterances are in the text corpus, in 6 of its 6 dialogues" in summary
    )
    assert "13 of 13 labels agree (neutral, surprise," in summary
    assert "no dev split: 2 of its train are the text corpus' dev" in summary
    assert "without features: train 1." in summary


def test_of_the_same_id_with_unannotated_utterances_between(tmp_path):
    """As IEMOCAP is released: the files have annotated utterances only."""
    fields = meld()
    fields[2].update({key: [each % 6 for each in numbers] for key, numbers in fields[2].items()})
    orders = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
    corpus = []
    for key, sentences in fields[6].items():
        texts = [each for text in sentences for each in ("[LAUGHTER] Hm?", text + " [BREATHING]")]
        labels = [each for number in fields[2][key] for each in (None, orders[number])]
        split = "test" if key in fields[8] else "train"
        corpus.append(Spoken(split, str(key), range(len(texts)), texts, labels))
    done = convert(write(tmp_path, fields[:9]), "iemocap", tmp_path / "out", corpus)
    found = table.read(tmp_path / "out" / "audio").splits
    assert list(found["test"]) == ["5/1", "5/3", "6/1", "6/3", "6/5"]
    assert (found["test"]["6/5"] == fields[4][6][2]).all()
    assert "13 of 13 labels agree" in "\n".join(done.summary)


def converted(
    folder: Path, fields: Any, family: Any, corpus: list[Spoken], name: str
) -> dict[str, dict[str, float]]:
    """Of each split the first number of each utterance."""
    convert(write(folder, fields), family, folder / "out", corpus)
    splits = table.read(folder / "out" / name).splits
    return {
        split: {key: float(row[0, 0]) for key, row in rows.items()}
        for split, rows in splits.items()
    }


def fields_of(dialogues: dict[str, list[tuple[str, int]]], tests: list[str]) -> tuple[Any, ...]:
    """IEMOCAP_features of sentences and labels; the features number a dialogue's utterances."""
    sentences = {key: [text for text, _ in said] for key, said in dialogues.items()}
    labels = {key: [number for _, number in said] for key, said in dialogues.items()}
    vectors = {key: [np.full(2, at) for at in range(len(said))] for key, said in dialogues.items()}
    train = [key for key in dialogues if key not in tests]
    return ({}, {}, labels, vectors, vectors, vectors, sentences, train, tests)


def spoken(split: str, name: str, said: list[tuple[str, str | None]]) -> Spoken:
    texts, labels = zip(*said, strict=True)
    return Spoken(split, name, range(len(said)), texts, labels)


HM = ("Hm.", "neutral")


@pytest.mark.parametrize(
    ("file", "corpus", "wanted"),
    [
        # Annotated utterances have the features, whoever else says the same.
        (
            [("Yeah.", 1), ("Fine.", 2)],
            [("Yeah.", None), ("Hm.", None), ("Yeah.", "sad"), ("Oh.", None), ("Fine.", "neutral")],
            {2: 0, 4: 1},
        ),
        # So they have where the file has fewer, then those of the same label.
        (
            [("Yeah.", 1), ("Fine.", 2)],
            [("Yeah.", "happy"), ("Yeah.", None), ("Yeah.", "sad"), HM, ("Fine.", "neutral")],
            {2: 0, 4: 1},
        ),
        # Where the file has all, all have them.
        (
            [("Yeah.", 2), ("Hm.", 2), ("Yeah.", 1)],
            [("Yeah.", None), ("Hm.", None), ("Yeah.", "sad")],
            {0: 0, 1: 1, 2: 2},
        ),
        # A changed one between, and nothing for one of other words, though as many were said.
        (
            [("Yeah.", 1), ("I know you.", 1), ("Fine.", 2)],
            [("Yeah.", "sad"), ("No.", None), ("I knew you.", "sad"), ("Fine.", "neutral")],
            {0: 0, 2: 1, 3: 2},
        ),
        (
            [("Yeah.", 1), ("I know you.", 1), ("Fine.", 2)],
            [("Yeah.", "sad"), ("What is it?", "sad"), ("Fine.", "neutral")],
            {0: 0, 2: 2},
        ),
    ],
)
def test_whose_features_they_are_in_a_dialogue(tmp_path, file, corpus, wanted):
    lines = [(f"{at} times", at % 6) for at in range(20)]
    orders = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
    there = [spoken("train", "a", corpus)]
    there += [spoken("test", "b", [(text, orders[number]) for text, number in lines])]
    fields = fields_of({"a": file, "b": lines}, ["b"])
    found = converted(tmp_path, fields, "iemocap", there, "audio")
    assert found["train"] == {f"a/{at}": number for at, number in wanted.items()}


def test_ids_that_are_one_off_swap_no_dialogues(tmp_path):
    """Half of what they say is the same: the same words elsewhere are more than that."""
    start = [("Hi, Jim.", 2), ("How is your mother?", 2), ("Tell me.", 2)]
    file = {
        "d_0": [*start, ("She is ill, I fear.", 1)],
        "d_1": [*start, ("She is well!", 0)],
        # Changed a little, so that no words are all the same: more of d_3 than of d_2.
        "d_2": [("One.", 2), ("Two.", 2), ("Thre.", 2), ("Four.", 1), ("Six.", 1)],
        "t": [("Hm.", 2)],
    }
    orders = ("happy", "sad", "neutral")
    names = {"d_0": "d_1", "d_1": "d_2", "d_2": "d_3", "t": "t"}
    said = {
        names[key]: [(text, orders[number]) for text, number in each] for key, each in file.items()
    }
    said["d_3"][2] = ("Three.", "neutral")
    there = [spoken("test" if key == "t" else "train", key, each) for key, each in said.items()]
    fields = fields_of(file, ["t"])
    for number, rows in enumerate(fields[3].values()):
        rows[:] = [row + 10 * number for row in rows]
    found = converted(tmp_path, fields, "iemocap", there, "audio")
    assert found["train"] == {
        **{f"d_1/{at}": at for at in range(4)},
        **{f"d_2/{at}": 10 + at for at in range(4)},
        **{f"d_3/{at}": 20 + at for at in range(5)},
    }


def test_dialogues_of_the_same_words_are_told_apart_by_their_labels(tmp_path):
    file = {"x": [("Yes.", 1), ("No.", 2)], "y": [("Yes.", 0), ("No.", 2)], "t": [("Hm.", 2)]}
    there = [
        spoken("train", "a", [("Yes.", "happy"), ("No.", "neutral")]),
        spoken("train", "b", [("Yes.", "sad"), ("Oh.", None), ("No.", "neutral")]),
        spoken("test", "c", [HM]),
    ]
    fields = fields_of(file, ["t"])
    fields[3]["y"][:] = [row + 10 for row in fields[3]["y"]]
    found = converted(tmp_path, fields, "iemocap", there, "text")
    assert found["train"] == {"b/0": 0, "b/2": 1, "a/0": 10, "a/1": 11}


def iemocap(ids: Any = None) -> tuple[Any, ...]:
    """The fields of IEMOCAP_features, or of iemocap_features_roberta where it has no ids."""
    fields = meld()
    fields[2].update({key: [each % 6 for each in numbers] for key, numbers in fields[2].items()})
    if ids is not None:
        return (ids, *fields[1:9])
    return (*fields[1:3], *four(fields, "text"), fields[6], [0, 1], [5, 6], [3, 4])


def test_utterances_that_are_left_out_move_no_features(tmp_path):
    """Without the text corpus, by the utterances' own ids alone."""
    ids = own_ids(meld())
    ids[6][2] += ".wav"
    file = write(tmp_path, iemocap(ids))
    done = convert(file, "iemocap", tmp_path / "out")
    assert "by their own ids, such as 'Ses0_F000'" in "\n".join(done.summary)
    rows = table.read(tmp_path / "out" / "audio").splits["test"]
    assert list(rows) == ["Ses5_F000", "Ses5_F002", "Ses6_F000", "Ses6_F002", "Ses6_F004"]
    said = [(f"6/{at}", names_of("6", at)) for at in range(6)]
    of = joined(rows, said, "test", ids={f"6/{at}": f"Ses6_F{at:03}" for at in range(6)})
    assert of == {"6/0": "Ses6_F000", "6/2": "Ses6_F002", "6/4": "Ses6_F004"}
    assert (rows[of["6/4"]] == meld()[4][6][2]).all()


def twice_in(ids):
    ids[0][0] = ids[6][1]
    return ids


@pytest.mark.parametrize(
    "ids",
    [
        None,
        meld()[0],  # 0_0, 0_1: a count
        {key: list(range(len(each))) for key, each in meld()[0].items()},
        twice_in(own_ids(meld())),
        own_ids(meld()) | {6: ["a", "b"]},
        own_ids(meld()) | {6: ["a", "", "b"]},
        own_ids(meld()) | {6: np.zeros((3, 2), np.int64)},
        {0: ["a", "b", "c"]},
    ],
)
def test_without_own_ids_the_text_corpus_is_needed(tmp_path, ids):
    file = write(tmp_path, iemocap(ids))
    with pytest.raises(UserError, match="give the folder of the text corpus") as refused:
        convert(file, "iemocap", tmp_path / "out")
    assert str(refused.value).startswith(str(file))
    assert not (tmp_path / "out").exists()


def test_iemocap_without_own_ids_is_found_in_the_text_corpus(tmp_path):
    fields = meld()
    orders = ("happy", "sad", "neutral", "angry", "excited", "frustrated")
    corpus = [
        dataclasses.replace(each, labels=[orders[MELD.index(label) % 6] for label in each.labels])
        for each in corpus_of(fields)
    ]
    done = convert(write(tmp_path, iemocap()), "iemocap", tmp_path / "out", corpus)
    assert "is a iemocap_features_roberta of 13 utterances" in done.summary[0]
    found = table.read(tmp_path / "out" / "roberta4").splits
    assert (found["dev"]["dev_0/1"] == fields[3][3][1] + 3).all()


def test_the_same_words_in_train_and_test_are_not_mixed_up(tmp_path):
    fields = meld()
    fields[6][5], fields[2][5] = fields[6][1], fields[2][1]
    convert(write(tmp_path, fields), "meld", tmp_path / "out", corpus_of(fields))
    found = table.read(tmp_path / "out" / "visual").splits
    assert (found["test"]["test_0/1"] == fields[5][5][1]).all()
    assert (found["train"]["train_1/1"] == fields[5][1][1]).all()


def test_an_order_that_is_not_published_is_found(tmp_path):
    fields = meld()
    fields[2].update({0: [0, 0, 0], 1: [1, 1], 3: [1, 1], 4: [2], 5: [2, 2], 6: [2, 0, 0]})
    roberta = four(fields, "roberta")
    file = write(tmp_path, [*fields[1:3], *roberta, fields[6], [0, 1], [5, 6], [3, 4]])
    corpus = corpus_of(fields)
    summary = "\n".join(convert(file, "emorynlp", tmp_path / "out", corpus).summary)
    assert "13 of 13 labels agree (neutral, surprise, fear)" in summary
    fields[2][0][0] = 1
    file = write(tmp_path, [*fields[1:3], *roberta, fields[6], [0, 1], [5, 6], [3, 4]])
    summary = "\n".join(convert(file, "emorynlp", tmp_path / "other", corpus).summary)
    assert "12 of 13 labels agree" in summary


def test_copies_and_zeros_are_warned_of(tmp_path):
    fields = meld()
    fields[5][6][0] = fields[5][0][1]  # test's visual vector is train's
    fields[5][6][1] = fields[5][6][2]
    fields[4][0][0][:] = 0
    fields[4][5][1][:] = 0
    done = convert(write(tmp_path, fields), "meld", tmp_path / "out", corpus_of(fields))
    warnings = "\n".join(done.warnings)
    assert (
        "visual, test, of 5 utterances: 2 (40.0%) as another utterance's of the split, 1 (20.0%) as"
        " one's of another split, 3 (60.0%) as one's of other words." in warnings
    )
    assert "visual, train, of 5 utterances: 1 (20.0%) as one's of another split" in warnings
    assert "audio, test, of 5 utterances: 1 (20.0%) all zero." in warnings
    assert "text, audio: known to come from networks trained on this corpus' labels" in warnings
    assert "text, test" not in warnings
    written = json.loads((tmp_path / "out" / "audio" / "features.json").read_text())
    assert written["copies"]["test"]["zero"] == 1
    assert (written["layout"], written["source"]) == ("MELD_features_raw1", "file.pkl")


def test_what_is_not_known(tmp_path):
    fields = meld()
    fields[4][0][0][1] = np.inf
    fields[4][0][1] = None
    done = convert(write(tmp_path, fields), "meld", tmp_path / "out")
    audio = table.read(tmp_path / "out" / "audio").splits["train"]
    assert np.isnan(audio["0/0"]).tolist() == [[False, True, False, False]]
    assert "0/1" not in audio
    assert any("1 infinite" in each for each in done.warnings)
    assert any(
        line.startswith("audio: 4 numbers an utterance, for train 7 of 8") for line in done.summary
    )


def other_ids(fields):
    return (*fields[:7], [0, 1, 3, 40], *fields[8:])


def other_sentences(fields):
    sentences = {key: [f"other {text[:10]}" for text in each] for key, each in fields[6].items()}
    return (*fields[:6], sentences, *fields[7:])


def other_labels(fields):
    labels = {key: [(each + 1) % 7 for each in numbers] for key, numbers in fields[2].items()}
    return (*fields[:2], labels, *fields[3:])


def high_labels(fields):
    labels = {key: [each + 1 for each in numbers] for key, numbers in fields[2].items()}
    return (*fields[:2], labels | {0: [7, 7, 7]}, *fields[3:])


def test_in_test(fields):
    return (*fields[:7], fields[8], fields[7], {})


def twice(fields):
    return (*fields[:8], [5, 6, 1], {})


def fewer_vectors(fields):
    fields[4][6].pop()
    return fields


def other_width(fields):
    fields[4][6][1] = fields[4][6][1][:-1]
    return fields


def fewer_sentences(fields):
    fields[6][6].pop()
    return fields


def words_for_numbers(fields):
    fields[4][6][1] = ["a", "b"]
    return fields


def objects(fields):
    fields[4][6] = np.array([[None, "a"]] * 3, object)
    return fields


def objects_alone(fields):
    audio = {key: np.array([[None, 1]] * len(rows), object) for key, rows in fields[4].items()}
    return (*fields[:4], audio, *fields[5:])


def objects_of_one(fields):
    fields[4][6][1] = np.array([[None, 1]], object)
    return fields


def deep(fields):
    fields[4][6][1] = [[[1.0]]]
    return fields


test_in_test.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (other_ids, "dialogue '40' is in a split, and has no labels: its ids are other ones."),
        (
            other_sentences,
            "only 0 of its 13 utterances are in the text corpus, in 0 of 6 dialogues",
        ),
        (other_labels, "only 0 of 13 labels are those of the text corpus"),
        (high_labels, "and meld has 0 to 6 (neutral"),
        (test_in_test, "only 0 of its 13 utterances"),
        (twice, "the dialogue '1' is in train and in test"),
        (fewer_vectors, "expected a vector for each of its 3 utterances, got 2"),
        (other_width, "utterance 1, has 3 numbers, and"),
        (fewer_sentences, "has 3 labels and 2 sentences"),
        (words_for_numbers, "audio of dialogue '6', utterance 1: expected numbers"),
        (objects, "dialogue '6': it is an array of Python objects of 2 axes; save a list instead"),
        (objects_alone, "audio of dialogue '0': it is an array of Python objects of 2 axes; save"),
        (objects_of_one, "audio of dialogue '6', utterance 1: it is an array of Python objects"),
        (deep, "audio of dialogue '6', utterance 1: expected numbers"),
        (lambda fields: fields[:5], "it has 5 fields (dict of lists, dict of lists"),
        (lambda fields: fields[0], "it has 1 fields (dict of lists)"),
        (lambda fields: (*fields[:4], [1], *fields[5:]), "field 5 of 10 should be audio, a dict"),
        (lambda fields: (*fields[:7], 3, *fields[8:]), "field 8 of 10 should be the ids of train"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, part):
    corpus = corpus_of(meld())
    file = write(tmp_path, change(meld()))
    with pytest.raises(UserError) as refused:
        convert(file, "meld", tmp_path / "out", corpus)
    assert part in str(refused.value)
    assert str(refused.value).startswith(str(file))
    assert not (tmp_path / "out").exists()


def test_one_vector_many_times_does_not_fill_memory(tmp_path):
    fields = meld()
    vector = np.zeros(1 << 16, np.float32)
    audio = {key: [vector] * len(each) for key, each in fields[2].items()}
    file = write(tmp_path, (*fields[:4], audio, *fields[5:]))
    with pytest.raises(UserError, match="more memory than the limit of its size allows for"):
        convert(file, "meld", tmp_path / "out", most_bytes=25 << 16)
    convert(file, "meld", tmp_path / "out", most_bytes=27 << 16)


def test_one_row_many_times_is_looked_at_once(tmp_path, monkeypatch):
    """Of 40 kB 10^8 numbers, each of which would be looked at before they are too many."""
    fields, asked, numbers = meld(), [], layouts._numbers

    def noted(value, *rest):
        asked.append(id(value))
        return numbers(value, *rest)

    monkeypatch.setattr(layouts, "_numbers", noted)
    rows = [[0.5] * 1000] * 1000
    audio = {key: [rows] * len(each) for key, each in fields[2].items()}
    file = write(tmp_path, (*fields[:4], audio, *fields[5:]))
    with pytest.raises(UserError, match="more memory than the limit of its size allows for"):
        convert(file, "meld", tmp_path / "out", most_bytes=25 << 16)
    assert len(asked) < 100


def test_one_sentence_many_times_does_not_fill_memory(tmp_path):
    fields = meld()
    text = "A" * (1 << 20)
    for each in fields[6].values():
        each[:] = [text] * len(each)
    file = write(tmp_path, fields)
    with pytest.raises(UserError, match="letters, far more than a corpus has"):
        convert(file, "meld", tmp_path / "out", most_bytes=12 << 20)
    found = read_exchanged(file, "meld", 13 << 20)
    assert len({id(each) for said in found.plain.values() for each in said}) == 1
    convert(file, "meld", tmp_path / "out", most_bytes=13 << 20)


def test_utterances_of_next_to_nothing_do_not_fill_memory(tmp_path, monkeypatch):
    """Of a byte of the file each becomes objects."""
    fields = meld()
    monkeypatch.setattr(layouts, "_MOST_UTTERANCES", 12)
    with pytest.raises(UserError, match=r"has 13 utterances of .* far more than a corpus has"):
        convert(write(tmp_path, fields), "meld", tmp_path / "out")
    monkeypatch.undo()
    monkeypatch.setattr(layouts, "_ROW", 1 << 20)
    with pytest.raises(UserError, match="more memory than the limit of its size allows for"):
        convert(write(tmp_path, fields), "meld", tmp_path / "out", most_bytes=24 << 20)


def test_rows_are_not_made_before_they_are_counted(tmp_path):
    fields = meld()
    fields[4][6] = np.zeros((1 << 18, 1), np.uint8)
    file = write(tmp_path, fields)
    tracemalloc.start()
    with pytest.raises(UserError, match="its 3 utterances, got 262144"):
        convert(file, "meld", tmp_path / "out")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_numbers_are_not_made_before_they_are_counted(tmp_path, monkeypatch):
    """A row takes 3,000 numbers in the file, and is there a hundred times."""
    fields = meld()
    fields[4][6][1] = [[0] * 3000] * 100
    made = []
    asarray = np.asarray
    monkeypatch.setattr(np, "asarray", lambda *each: made.append(each[0]) or asarray(*each))
    with pytest.raises(UserError, match="more memory than the limit of its size allows for"):
        convert(write(tmp_path, fields), "meld", tmp_path / "out", most_bytes=1 << 18)
    assert max(map(len, made)) == 6


@pytest.mark.parametrize("id_", ["9" * 5000, "a\udcff"])
def test_ids_of_any_kind(tmp_path, id_):
    fields = meld()
    for each in fields[:7]:
        each[id_] = each.pop(5)
    convert(write(tmp_path, (*fields[:8], {6, id_}, {})), "meld", tmp_path / "out")
    found = table.read(tmp_path / "out" / "audio").splits["test"]
    assert list(found) == [f"6/{at}" for at in range(3)] + [f"{id_}/{at}" for at in range(2)]


def test_ids_of_sets_are_sorted_as_people_do():
    assert sorted(["a10", "b1", "a02", "a2", "a", "1"], key=natural) == [
        "1",
        "a",
        "a02",
        "a2",
        "a10",
        "b1",
    ]


def test_dialogues_of_no_split_are_told(tmp_path):
    fields = meld()
    summary = convert(write(tmp_path, fields), "meld", tmp_path / "all").summary
    assert not any("none of its splits" in line for line in summary)
    file = write(tmp_path, (*fields[:7], [0, 1], *fields[8:]))
    for corpus in (None, corpus_of(fields)):
        done = convert(file, "meld", tmp_path / f"out{corpus is None}", corpus)
        told = "2 dialogues of the file are in none of its splits, and left out."
        assert told in done.summary
        assert "of 10 utterances" in done.summary[0]


@pytest.mark.parametrize("number", [7, -1])
def test_labels_of_another_corpus_are_refused_without_the_text_corpus_too(tmp_path, number):
    fields = meld()
    fields[2][5][1] = number
    with pytest.raises(UserError, match=r"and meld has 0 to 6 .* is the named corpus right\?"):
        convert(write(tmp_path, fields), "meld", tmp_path / "out")


def test_of_a_file_without_annotation_nothing_is_written(tmp_path):
    fields = meld()
    corpus = [
        Spoken(each.split, each.id, each.numbers, each.texts, [None] * len(each.texts))
        for each in corpus_of(fields)
    ]
    with pytest.raises(UserError, match="none of its utterances is annotated"):
        convert(write(tmp_path, fields), "meld", tmp_path / "out", corpus)
    assert list(itertools.islice(tmp_path.iterdir(), 2)) == [tmp_path / "file.pkl"]
