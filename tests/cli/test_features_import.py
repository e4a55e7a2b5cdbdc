"""`eacl features import`."""

import csv
import os
import pickle
from pathlib import Path

import pytest

from eacl_jax.features import table
from tests.stubs.pickles import MELD, meld


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "MELD_features_raw1.pkl"
    path.write_bytes(pickle.dumps(meld(), 2))
    return path


def write_corpus(folder: Path) -> None:
    fields = meld()
    folder.mkdir()
    for split, keys in {"train": (0, 1), "dev": (3, 4), "test": (5, 6)}.items():
        with (folder / f"{split}_sent_emo.csv").open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream)
            rows.writerow(["Dialogue_ID", "Utterance_ID", "Speaker", "Utterance", "Emotion"])
            for at, key in enumerate(keys):
                for turn, text in enumerate(fields[6][key]):
                    rows.writerow([at, turn, "Ann", text, MELD[fields[2][key][turn]]])


def test_import(eacl, tmp_path, file, monkeypatch):
    monkeypatch.setenv("EACL_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("eacl_jax.corpora.meld.Meld.EXPECTED", {})
    write_corpus(tmp_path / "meld")
    done = eacl(
        *("features", "import", file, "--as", "meld", "--out", tmp_path / "out"),
        *("--data", tmp_path / "meld"),
    )
    assert done.status == 0
    output = done.output.decode()
    assert "MELD_features_raw1 of 13 utterances" in output
    assert "audio: 4 numbers an utterance, for train 5 of 5, dev 3 of 3, test 5 of 5." in output
    assert output.endswith(f"Written to {tmp_path / 'out'}.\n")
    assert "WARNING: visual: those of many test utterances" in done.errors
    assert "dev_0/1" in table.read(tmp_path / "out" / "visual").splits["dev"]


def test_mistakes(eacl, tmp_path, file):
    start = ("features", "import", file, "--as", "meld", "--out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    done = eacl(*start, tmp_path / "full")
    assert (done.status, done.output) == (2, b"")
    assert "--out" in done.errors
    done = eacl(*start, tmp_path / "out", "--data", tmp_path / "none")
    assert (done.status, done.errors.count("\n")) == (2, 1)
    with file.open("r+b") as stream:
        os.ftruncate(stream.fileno(), 2 << 20)
    done = eacl(*start, tmp_path / "out", "--max-mb", "1")
    assert done.status == 2
    assert "has 2 MB, and at most 1 are read" in done.errors
    done = eacl("features", "import", file, "--as", "mosei", "--out", tmp_path / "out")
    assert done.status == 2
    assert "'iemocap', 'meld', 'emorynlp', 'dailydialog'" in done.errors
    assert not (tmp_path / "out").exists()
