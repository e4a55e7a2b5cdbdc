"""Weights of another model in a model folder are refused, and damaged ones; see `checksums`."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from eacl_jax.errors import UserError
from eacl_jax.recognizer.locate import CHECKSUMS, LEARNT
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs import runtimes
from tests.stubs.toys import make_recognizer


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    make_recognizer(folder / "encoder").save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Of the same form and size."""
    folder = tmp_path_factory.mktemp("other")
    make_recognizer(folder / "encoder", shift=0.3).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture
def copied(model, tmp_path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "copied"))


def weights(folder: Path) -> set[str]:
    files = {file for file in folder.rglob("*.safetensors") if file.name != LEARNT}
    return {file.relative_to(folder).as_posix() for file in files}


@pytest.mark.parametrize("runtime", ["jax", "onnx"])
def test_weights_of_another_model_are_refused(runtime, model, other, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, runtimes.MODULE, runtimes.module())
    assert {"heads.safetensors", "encoder/model.safetensors"} <= weights(model)
    for number, name in enumerate(sorted(weights(model))):
        if (model / name).read_bytes() == (other / name).read_bytes():
            continue
        folder = Path(shutil.copytree(model, tmp_path / str(number)))
        shutil.copy(other / name, folder / name)
        message = rf"{name} is damaged or another model's, .* or delete .*{CHECKSUMS}"
        with pytest.raises(UserError, match=message):
            EmotionRecognizer.from_pretrained(folder, runtime=runtime)
        (folder / CHECKSUMS).unlink()  # as where the change was meant
        EmotionRecognizer.from_pretrained(folder, runtime=runtime)


def test_numbers_that_were_damaged_are_refused(copied) -> None:
    file = copied / "encoder" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-8:] = np.full(2, 0.125, np.float32).tobytes()
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"encoder/model\.safetensors is damaged or another"):
        EmotionRecognizer.from_pretrained(copied)


def test_what_is_saved_over_a_model_is_whole(copied) -> None:
    before = (copied / CHECKSUMS).read_bytes()
    loaded = EmotionRecognizer.from_pretrained(copied).with_labels("joy,rage=anger")
    loaded.save_pretrained(copied)
    assert (copied / CHECKSUMS).read_bytes() != before
    assert EmotionRecognizer.from_pretrained(copied).labels == ("joy", "rage")
    known = json.loads((copied / CHECKSUMS).read_text(encoding="utf-8"))["files"]
    assert set(known) == weights(copied)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": "eacl', "not valid JSON .* or delete the file"),
        ('{"format": "eacl_jax checksums 9", "files": {}}', "was not written by this version"),
        (
            '{"format": "eacl_jax checksums 1", "files": {"encoder/gone.safetensors": "0"}}',
            r"encoder/gone\.safetensors is missing: copy or save",
        ),
    ],
)
def test_checksums_that_cannot_be_used(content, message, copied) -> None:
    (copied / CHECKSUMS).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        EmotionRecognizer.from_pretrained(copied)
