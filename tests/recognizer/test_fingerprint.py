"""Tells a model's answers from another model's."""

import dataclasses
import shutil

import numpy as np
import pytest

from eacl_jax.recognizer import fingerprint
from eacl_jax.recognizer.locate import CHECKSUMS, LEARNT
from eacl_jax.recognizer.programs import FOLDER
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.toys import make_recognizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("model")
    make_recognizer(made / "encoder").save_pretrained(made / "model")
    return made / "model"


def copied(folder, to):
    return shutil.copytree(folder, to / "copy")


def of(folder):
    return EmotionRecognizer.from_pretrained(folder).fingerprint


def test_what_answers_do_not_go_by_is_left_out(folder, tmp_path):
    """So that these may change while a prediction is unfinished."""
    copy = copied(folder, tmp_path)
    (copy / "README.md").write_text("# Mine")
    (copy / LEARNT).unlink()
    (copy / CHECKSUMS).unlink()
    assert of(copy) == of(folder)


@pytest.mark.parametrize("name", ["heads.safetensors", "encoder/model.safetensors"])
def test_other_weights_are_another_model(folder, tmp_path, name):
    copy = copied(folder, tmp_path)
    (copy / CHECKSUMS).unlink()  # the change is meant
    content = bytearray((copy / name).read_bytes())
    content[-8:] = np.full(2, 0.125, np.float32).tobytes()
    (copy / name).write_bytes(content)
    assert of(copy) != of(folder)


def test_other_settings_and_anchors_are_another_model(folder, tmp_path):
    loaded = EmotionRecognizer.from_pretrained(folder)
    settings = dataclasses.replace(loaded.settings, offsets={"stage_two": (0.5, 0.0, 0.0)})
    anchors = {**loaded.anchors, "stage_two": loaded.anchors["stage_two"][::-1]}
    changed = [loaded.changed(settings, loaded.anchors), loaded.changed(loaded.settings, anchors)]
    assert len({each.fingerprint for each in (loaded, *changed)}) == 3


def test_other_computing_gives_other_answers(folder, tmp_path):
    copy = copied(folder, tmp_path)
    (copy / FOLDER).mkdir(exist_ok=True)
    (copy / FOLDER / "int8.onnx").write_bytes(b"one")
    kinds = [("jax", "float32"), ("onnx", "float32"), ("onnx", "int8"), ("openvino", "bfloat16")]
    found = [fingerprint.of_files(copy, *kind) for kind in kinds]
    assert len(set(found)) == 4
    (copy / FOLDER / "int8.onnx").write_bytes(b"two")
    again = [fingerprint.of_files(copy, *kind) for kind in kinds]
    assert [one == other for one, other in zip(found, again, strict=True)] == [
        True,
        True,
        False,
        True,
    ]
