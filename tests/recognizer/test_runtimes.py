"""Recognizers whose representations are computed by something else than JAX."""

import pickle
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from eacl_jax import EmotionRecognizer
from eacl_jax.config import Stage
from eacl_jax.data.tokenizer import FoldersTokenizer
from eacl_jax.errors import UserError
from eacl_jax.export.parts import Parts
from eacl_jax.model.mesh import make_mesh
from tests.recognizer.test_recognizer import CHAT
from tests.stubs import recognizers, runtimes
from tests.stubs.toys import make_recognizer

NOTED = [
    {"speaker": "Ann", "text": f"the {word} is {mood}", "emotion": emotion}
    for word in ("day", "table", "window")
    for mood, emotion in (("lovely", "joy"), ("rude", "anger"), ("good", "neutral"))
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a model whose anchors are made of words."""
    folder = tmp_path_factory.mktemp("model")
    make_recognizer(folder / "encoder", shift=0.3).save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def in_jax(folder):
    return EmotionRecognizer.from_pretrained(folder)


class Lent:
    """JAX's representations under another name."""

    def __init__(self, runtime, name):
        self.name, self.represent, self.compile_ahead = (
            name,
            runtime.represent,
            runtime.compile_ahead,
        )
        self.label_anchors = runtime.label_anchors


@pytest.fixture
def elsewhere(folder, in_jax, monkeypatch):
    """The same model by another runtime, with the same representations."""
    lent = runtimes.module(lambda _, settings, name: Lent(in_jax.runtime, name))
    monkeypatch.setitem(sys.modules, runtimes.MODULE, lent)
    return EmotionRecognizer.from_pretrained(folder, runtime="onnx")


def same(one, other):
    assert [each.to_json() for each in one] == [each.to_json() for each in other]


def test_it_answers_as_the_model_in_jax_does(elsewhere, in_jax):
    assert elsewhere.runtime.name == "onnx"
    assert isinstance(elsewhere.tokenizer, FoldersTokenizer)
    assert elsewhere.encoder_config == in_jax.encoder_config
    assert elsewhere.settings == in_jax.settings
    for stage, anchors in in_jax.anchors.items():
        np.testing.assert_array_equal(elsewhere.anchors[stage], anchors)
    long = f"{CHAT}\nAnn: {'lovely <mask> ' * 200}"
    for on_long in ("cut", "pool"):
        same(elsewhere.predict(long, on_long=on_long), in_jax.predict(long, on_long=on_long))
    same(elsewhere.predict(CHAT, stage=Stage.ONE), in_jax.predict(CHAT, stage=Stage.ONE))
    one, other = elsewhere.conversation(), in_jax.conversation()
    lines = CHAT.splitlines()
    same([one.add(line) for line in lines], [other.add(line) for line in lines])


def test_it_takes_other_labels_and_examples_as_the_model_in_jax_does(elsewhere, in_jax):
    labels = "joy=lovely|great,anger=rude day"
    one, other = elsewhere.with_labels(labels), in_jax.with_labels(labels)
    same(one.predict(CHAT), other.predict(CHAT))
    one, other = elsewhere.adapt([NOTED, NOTED[::2]]), in_jax.adapt([NOTED, NOTED[::2]])
    assert one.adaptation == other.adaptation
    same(one.predict(CHAT), other.predict(CHAT))
    one, other = elsewhere.calibrate(NOTED), in_jax.calibrate(NOTED)
    assert one.settings == other.settings


def test_it_is_pickled_with_its_runtime(elsewhere):
    changed = elsewhere.with_labels("joy,anger")
    again = pickle.loads(pickle.dumps(changed))
    assert again.runtime.name == "onnx"
    assert again.labels == ("joy", "anger")
    same(again.predict(CHAT), changed.predict(CHAT))


@pytest.mark.parametrize(
    "ask",
    [
        lambda recognizer, _: recognizer.params,
        lambda recognizer, _: recognizer.graphdef,
        lambda recognizer, folder: recognizer.save_pretrained(folder / "new"),
        lambda recognizer, _: Parts.of(recognizer),
    ],
)
def test_what_needs_the_model_in_jax_says_so(elsewhere, ask, tmp_path):
    with pytest.raises(UserError, match=r"runtime='onnx': load it with runtime='jax'\."):
        ask(elsewhere, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_is_refused(folder):
    with pytest.raises(UserError, match="runtime must be one of jax, onnx, openvino, got 'tpu'"):
        EmotionRecognizer.from_pretrained(folder, runtime="tpu")
    with pytest.raises(UserError, match="mesh is of JAX's devices, and runtime is 'onnx'"):
        EmotionRecognizer.from_pretrained(folder, runtime="onnx", mesh=make_mesh(1))


@pytest.mark.parametrize("kind", [{}, recognizers.CLASSIFIER])
@pytest.mark.parametrize("runtime", ["jax", "onnx"])
def test_anchors_that_do_not_fit_are_refused(kind, runtime, tmp_path, monkeypatch):
    """The same by either runtime, as far as anchors go."""
    recognizers.recognizer(**kind).save_pretrained(tmp_path)
    monkeypatch.setitem(
        sys.modules, runtimes.MODULE, runtimes.module(lambda _, settings, name: None)
    )
    file = tmp_path / "heads.safetensors"
    good = load_file(file)
    last = "mapping.output.bias" if not kind else "predictor.bias"
    name = "anchors.stage_two"
    for changes, problem in (
        ({name: good[name][:-1]}, "anchors.stage_two: 2 anchors for 3 labels"),
        ({name: good[name][:, :-1].copy()}, r"anchors.stage_two: expected shape \[3, "),
        ({name: 0 * good[name]}, "anchors.stage_two: those of the labels 0, 1, 2"),
        ({name: np.nan * good[name]}, "anchors.stage_two holds NaN or infinity"),
        ({name: None}, "anchors.stage_two: missing"),
        ({last: None}, f"{last}: "),
    ):
        save_file({k: v for k, v in (good | changes).items() if v is not None}, file)
        with pytest.raises(UserError, match=problem):
            EmotionRecognizer.from_pretrained(tmp_path, runtime=runtime)
