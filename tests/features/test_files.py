"""Files of features: what each kind gives, and what is wrong with a file."""

import gzip
import json
import math

import numpy as np
import pytest
from safetensors.numpy import save_file

from eacl_jax.errors import UserError
from eacl_jax.features import table
from eacl_jax.features.files import read_features
from eacl_jax.features.table import FeatureTable

ROWS = {"d1/0": np.float32([[1, 2]]), "d1/1": np.float32([[3, np.nan], [5, 6]])}


def test_a_folder_comes_back_as_it_was_written(tmp_path):
    splits = {"train": ROWS, "dev": {"d2/0": np.float32([[0, 0]])}, "test": {}}
    table.write(FeatureTable(splits, ("loudness", "pitch"), "prosody 1"), tmp_path / "out")
    found = read_features(str(tmp_path / "out"))
    assert (found.columns, found.made_by) == (("loudness", "pitch"), "prosody 1")
    assert {split: list(rows) for split, rows in found.splits.items()} == {
        split: list(rows) for split, rows in splits.items()
    }
    for key, rows in ROWS.items():
        np.testing.assert_array_equal(found.splits["train"][key], rows)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "dialogue,utterance,loudness,pitch\nd1,0,1,2\nd1,1,3,\n"),
        ("a.tsv", "Dialogue_ID\tUtterance_ID\tloudness\tpitch\nd1\t0\t1\t2\nd1\t1\t3\tnan\n"),
        ("a.csv", "filename,loudness,pitch\nd1/0.wav,1,2\nd1/1.WAV,3,--undefined--\n"),
        ("a.csv", "\ufeffkey;loudness;pitch\nd1/0;1;2\nd1/1;3;\n"),
        ("a.CSV", "key\tloudness\tpitch\nd1/0\t1\t2\nd1/1\t3\t\n"),
        ("a.TSV", "key\tloudness\tpitch\nd1/0\t1\t2\nd1/1\t3\t\n"),
        ("a.csv", ",key,loudness,pitch\n0,d1/0,1,2\n1,d1/1,3,\n"),
        ("a.csv", "Unnamed: 0,key,loudness,pitch\n0,d1/0,1,2\n1,d1/1,3,\n"),
        ("a.csv", "Unnamed: 0,key,loudness,pitch\n9,d1/0,1,2\n4,d1/1,3,\n"),
        ("a.csv", "Sr No.,key,loudness,pitch\n1,d1/0,1,2\n3,d1/1,3,\n"),
        ("a.csv", "key|loudness|pitch\nd1/0|1|2\nd1/1|3|\n"),
        ("a.csv", "sep=;\r\nkey;loudness;pitch\r\nd1/0;1;2\r\nd1/1;3;\r\n"),
        ("a.csv", "\n\nkey;loudness;pitch\nd1/0;1;2\nd1/1;3;\n"),
        ("a.tsv", "key\tloudness\tpitch\nd1/0\t1\t2\nd1/1\t3\t\n".encode("utf-16")),
        ("a.csv", gzip.compress(b"key,loudness,pitch\nd1/0,1,2\nd1/1,3,\n", mtime=0)),
    ],
)
def test_tables(tmp_path, name, text, caplog):
    (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
    with caplog.at_level("INFO"):
        found = read_features(str(tmp_path / name))
    assert f"{name}: 2 numbers an utterance: loudness, pitch" in caplog.text
    assert found.columns == ("loudness", "pitch")
    (rows,) = found.splits.values()
    assert list(rows) == ["d1/0", "d1/1"]
    assert rows["d1/0"].tolist() == [[1, 2]]
    assert rows["d1/1"][0, 0] == 3
    assert math.isnan(rows["d1/1"][0, 1])


@pytest.mark.parametrize("header", ["key", " Key", "ID", "Utterance Key"])
def test_numbers_of_keys_stay_as_they_are_written(tmp_path, header):
    (tmp_path / "a.csv").write_text(f"{header},x\n01,1\n1,2\n")
    assert list(read_features(str(tmp_path / "a.csv")).splits["all"]) == ["01", "1"]
    (tmp_path / "a.csv").write_text("DialogueID, Utterance ID,x\n007,01,1\n")
    assert list(read_features(str(tmp_path / "a.csv")).splits["all"]) == ["007/01"]


def test_numbers_of_any_size_are_read_and_blank_keys_refused(tmp_path):
    (tmp_path / "a.csv").write_text("key,x\n1/0,9007199254740993\n1/1,2\n")
    rows = read_features(str(tmp_path / "a.csv")).splits["all"]
    assert rows["1/0"].tolist() == [[2.0**53]]
    (tmp_path / "a.csv").write_text('key,x\n" ",1\n')
    with pytest.raises(UserError, match="row 1: the cell of column 'key' is empty"):
        read_features(str(tmp_path / "a.csv"))


def test_arrays_an_utterance(tmp_path):
    np.savez(tmp_path / "a.npz", **{"d1_0": np.arange(3.0), "d1_1": np.ones((2, 3))})
    save_file({"d1_0": np.arange(3, dtype=np.float32)}, tmp_path / "a.safetensors")
    for split in ("train", "dev", "test"):
        (tmp_path / "many" / split / "d1").mkdir(parents=True)
        np.save(tmp_path / "many" / split / "d1" / "0.npy", np.arange(3.0))
        np.save(tmp_path / "many" / split / "d1" / "1.WAV.npy", np.arange(3.0))
    assert read_features(str(tmp_path / "a.npz")).splits["all"]["d1_1"].shape == (2, 3)
    assert read_features(str(tmp_path / "a.safetensors")).splits["all"]["d1_0"].shape == (1, 3)
    found = read_features(str(tmp_path / "many"))
    assert {split: list(rows) for split, rows in found.splits.items()} == {
        "train": ["d1/0", "d1/1"],
        "dev": ["d1/0", "d1/1"],
        "test": ["d1/0", "d1/1"],
    }


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"loudness\n1\n", "no column that names the utterance"),
        ("a.csv", b"key\nd1/0\n", "no column of numbers"),
        ("a.csv", b"key,x\nd1/0,1\nd1/0,2\n", "row 2: 'd1/0' is there twice"),
        (
            "a.csv",
            b"key,x\nd1/0,1\nd1/1,loud\n",
            "row 2: column 'x' holds 'loud', which is no number",
        ),
        ("a.csv", b"key,x\nd1/0,1\n,2\n", "row 2: the cell of column 'key' is empty"),
        ("a.csv", b"key,x\nd1/0,inf\n", r"row 1 \(d1/0\): a number is infinite"),
        ("a.csv", b"key,x\nd1/0,1,2\n", "cannot be read as a table"),
        ("a.csv", b"key,x,x\nd1/0,1,2\n", "column names repeat"),
        ("a.csv", b"key,h\xf6he\nd1/0,1\n", "line 1: byte 0xf6 at offset 5 is not UTF-8"),
        ("a.csv", b"key,x\nd1/0,1\nd\xe9/0,1\n", "line 3: byte 0xe9 at offset 14 is not UTF-8"),
        ("a.csv", b"key;x\nd1/0;1,5\n", "holds '1,5'; write numbers with a decimal point"),
        ("a.csv", b",key,x\n0,d1/0,1\n5,d1/1,1\n", "column 1 has no name"),
        ("a.csv", b"key,x,\nd1/0,1,7\n", "column 3 has no name"),
        ("a.csv", b"dialogue,utterance,id,x\nd1,0,7,1\n", "'id' names utterances, as another"),
        ("a.csv", b"key,x,Gold Label\nd1/0,1,2\n", "'Gold Label' has the name .* columns are x"),
        ("a.csv", b"key,emotion\nd1/0,joy\n", "'emotion' has .* prefix.* columns are none"),
        ("a.npz", b"PK nonsense", "damaged or holds what are no plain arrays"),
        ("a.safetensors", b"nonsense", "damaged or no safetensors file"),
        ("a.pkl", b"cos\nsystem\n", "`eacl features import`"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        read_features(str(tmp_path / name))
    assert name in str(error.value)


def test_what_is_wrong_with_a_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="holds no features"):
        read_features(str(tmp_path))
    with pytest.raises(UserError, match="is not there"):
        read_features(str(tmp_path / "missing"))
    with pytest.raises(UserError, match="no file or folder is named"):
        read_features("")
    (tmp_path / "train.csv").write_text("key,x\n1/0,1\n")
    with pytest.raises(UserError, match=r"one file of features for dev, such as dev\.csv"):
        read_features(str(tmp_path))
    for split in ("dev", "test"):
        (tmp_path / f"{split}.csv").write_text("key,y\n1/0,1\n")
    with pytest.raises(UserError, match="different columns: train: x; dev: y; test: y"):
        read_features(str(tmp_path))


def test_arrays_that_would_run_code_are_not_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{"a": 1}], object))
    with pytest.raises(UserError, match="no plain arrays"):
        read_features(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    "array",
    [
        np.array([1 + 2j, 3]),
        np.array(["1", "2"]),
        np.array([True, False]),
        np.array(["2020"], "M8"),
    ],
)
def test_arrays_of_other_than_real_numbers_are_refused(tmp_path, array):
    np.savez(tmp_path / "a.npz", **{"d1/0": array})
    with pytest.raises(UserError, match=r"a\.npz: 'd1/0': expected an array of real numbers"):
        read_features(str(tmp_path / "a.npz"))
    with (tmp_path / "0.NPY").open("wb") as file:
        np.save(file, array)
    (tmp_path / "a.npz").unlink()
    with pytest.raises(UserError, match=r"0\.NPY: expected an array of real numbers"):
        read_features(str(tmp_path))


def test_names_of_files_in_capitals(tmp_path):
    for split in ("train", "dev", "test"):
        (tmp_path / f"{split}.CSV").write_text("key,x\n1/0,1\n")
    assert list(read_features(str(tmp_path)).splits) == ["train", "dev", "test"]


def test_arrays_of_one_utterance_are_not_chosen_among(tmp_path):
    np.savez(tmp_path / "a.npz", **{"d1_0.wav": np.arange(3.0), "d1_0.mp4": np.ones(3)})
    with pytest.raises(UserError, match=r"'d1_0' is there twice, once as 'd1_0\.mp4'"):
        read_features(str(tmp_path / "a.npz"))
    for ending in ("wav", "mp4"):
        np.save(tmp_path / f"d1_0.{ending}.npy", np.ones(3))
    with pytest.raises(UserError, match=r"has 'd1_0' twice, once as d1_0\.wav\.npy"):
        read_features(str(tmp_path))


def test_widths_must_agree(tmp_path):
    np.savez(tmp_path / "a.npz", **{"d1_0": np.arange(3.0), "d1_1": np.arange(4.0)})
    with pytest.raises(UserError, match="'d1_0' has 3 numbers and 'd1_1' has 4"):
        read_features(str(tmp_path / "a.npz"))


def test_damaged_folders_are_refused(tmp_path):
    table.write(FeatureTable({"all": ROWS}), tmp_path)
    description = json.loads((tmp_path / "features.json").read_text())
    description["keys"]["all"].append("d1/2")
    (tmp_path / "features.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"all\.safetensors does not fit features\.json"):
        read_features(str(tmp_path))
    (tmp_path / "features.json").write_text("{}")
    with pytest.raises(UserError, match="it is no folder of features"):
        read_features(str(tmp_path))
