"""What a model folder says is checked before anything is answered by it."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from eacl_jax.errors import UserError
from eacl_jax.recognizer import jax_runtime, preparing
from eacl_jax.recognizer.folder import read_settings
from eacl_jax.recognizer.locate import LORA
from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.recognizers import THREE_EACH, recognizer
from tests.stubs.toys import make_recognizer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_recognizer(folder / "encoder").save_pretrained(folder / "model")
    return folder / "model"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"temperature": 0}, "config.temperature: must be in [1e-30, 1e+30], got 0.0"),
        ({"temperature": "0.1"}, "config.temperature: expected float, got '0.1'"),
        (
            {"calibration": {"stage_one": 1.0}},
            "config.calibration: expected stage_one and stage_two, got stage_one",
        ),
        (
            {"calibration": {"stage_one": 1.0, "stage_two": -1}},
            "config.calibration.stage_two: must be in [1e-30, 1e+30], got -1.0",
        ),
        ({"labels": [1, 2, 3]}, "config.labels: expected a tuple of strings"),
        ({"labels": ["joy", "joy", "x"]}, "labels repeat"),
        ({"labels": ["joy", "anger"]}, "2 labels but 3 label words"),
        (
            {"encoder_dtype": "float16"},
            "config.encoder_dtype: expected one of float32, bfloat16, bfloat16_products; got 'float16'",
        ),
        ({"anchor_encoding": "x"}, "config.anchor_encoding: expected one of fixed, live"),
        ({"readout": 3}, "config.readout: expected one of mask, first, last, mean"),
        (
            {"prompt": {"max_tokens": 3, "max_past": 8}},
            "config.prompt.max_tokens: must be at least 16",
        ),
        ({"prompt": 3}, "config.prompt: expected a group of settings"),
        ({"colour": 3}, "config.colour: unknown key"),
        ({"labels": ["joy", "anger", "a\ud800"]}, "holds half of a surrogate pair"),
        ({"temperature": 1e-300}, "config.temperature: must be in [1e-30, 1e+30]"),
        ({"temperature": None}, "config.temperature: expected float, got None"),
        ({"anchors_per_label": 0}, "config.anchors_per_label: must be at least 1, got 0"),
        ({"head": "crf"}, "config.head: expected one of mapping, predictor; got 'crf'"),
        (
            {"offsets": {"stage_three": [0, 0, 0]}},
            "config.offsets.stage_three: there is no such stage; expected stage_one or stage_two.",
        ),
        (
            {"offsets": {"stage_two": [0.5, 1]}},
            "config.offsets.stage_two: expected 3 numbers, one a label, got 2.",
        ),
        (
            {"offsets": {"stage_one": [0, "much", 0]}},
            "config.offsets.stage_one[1]: expected float, got 'much'",
        ),
        ({"offsets": {"stage_one": [0, float("nan"), 0]}}, "it holds NaN, which JSON has no"),
        ({"offsets": {"stage_one": 3}}, "config.offsets.stage_one: expected a tuple of numbers"),
        ({"offsets": [0, 0, 0]}, "config.offsets: expected an object"),
        (
            {"calibration_without_offsets": {"stage_one": 0}},
            "config.calibration_without_offsets.stage_one: must be in [1e-30, 1e+30]",
        ),
        (
            {"calibration_without_offsets": {"stage_one": 0.5}},
            "config.calibration_without_offsets.stage_one: expected stages of config.offsets only",
        ),
        (
            {"modalities": {"voice": {"width": 1, "frames": 1, "mean": [0], "deviation": [0]}}},
            "config.modalities.voice.deviation: expected finite numbers above 0",
        ),
        (
            {"modalities": {"voice": {"width": 1, "frames": 0, "mean": [0], "deviation": [1]}}},
            "config.modalities.voice: expected a width and frames of at least 1",
        ),
    ],
)
def test_each_setting_is_checked(model, tmp_path, changes, message):
    values = json.loads((model / "config.json").read_text(encoding="utf-8"))
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**values, **changes}), encoding="utf-8")
    with pytest.raises(UserError) as caught:
        read_settings(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("file", ["heads.safetensors", "encoder/model.safetensors"])
def test_numbers_that_are_not_finite_are_no_model(model, tmp_path, file):
    shutil.copytree(model, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / file)
    name = sorted(tensors)[-1]
    tensors[name] = np.array(tensors[name])
    tensors[name].flat[0] = np.nan
    save_file(tensors, tmp_path / "model" / file, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"{file}: .*{name}.* NaN or infinity"):
        EmotionRecognizer.from_pretrained(tmp_path / "model")


def test_prompts_that_the_encoder_cannot_read_are_no_model(model, tmp_path):
    shutil.copytree(model, tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    values["prompt"]["max_tokens"] = 1000  # positions that there are not would give NaN
    file.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(
        UserError,
        match=(
            r"config.json: config.prompt.max_tokens is 1000, but the encoder reads at most \d+"
            r" tokens"
        ),
    ):
        EmotionRecognizer.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "anchors.stage_two",
            lambda a: a * [[0], [1], [1]],
            r"anchors.stage_two: those of the labels 0 \(from 0\) are zero",
        ),
        (
            "anchors.stage_two",
            lambda a: a[:, :3],
            r"anchors.stage_two: expected shape \[3, 16\], found \[3, 3\]",
        ),
        (
            "anchors.stage_one",
            lambda a: a[:, 0],
            r"anchors.stage_one: expected shape \[3, 16\], found \[3\]",
        ),
        ("anchors.stage_two", lambda a: (a * 9).astype(np.int32), r"found \[3, 16\] of type int32"),
        (
            "mapping.output.kernel",
            lambda a: (a * 9).astype(np.int32),
            "mapping.output.kernel: numbers of type int32",
        ),
    ],
)
def test_heads_of_another_form_are_no_model(model, tmp_path, name, change, message):
    shutil.copytree(model, tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "heads.safetensors")
    changed = change(tensors[name])
    tensors[name] = np.ascontiguousarray(
        changed.astype(np.float32) if changed.dtype == np.float64 else changed
    )
    save_file(tensors, tmp_path / "model" / "heads.safetensors")
    with pytest.raises(UserError, match=message):
        EmotionRecognizer.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"anchors_per_label": 2},
            r"anchors.stage_two: 3 anchors for 3 labels, of which each has 2",
        ),
        ({"head": "predictor"}, r"predictor.kernel: expected shape \[16, 3\], found nothing"),
        ({"head": "predictor"}, r"mapping.output.bias: not expected"),
        (
            {"head": "predictor"},
            r"anchors.stage_two: expected shape \[3, 3\], found \[3, 16\]",
        ),
    ],
)
def test_heads_are_those_of_the_settings(model, tmp_path, settings, message):
    shutil.copytree(model, tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    values = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**values, **settings}), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        EmotionRecognizer.from_pretrained(tmp_path / "model")


def test_the_label_of_an_anchor_that_points_nowhere_is_named(tmp_path):
    recognizer(**THREE_EACH).save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "heads.safetensors")
    tensors["anchors.stage_two"][[4, 5]] = 0
    save_file(tensors, tmp_path / "heads.safetensors")
    with pytest.raises(UserError, match=r"some of those of the labels 1 \(from 0\) are zero"):
        EmotionRecognizer.from_pretrained(tmp_path)


def test_a_folder_of_something_else_is_not_written_into(tmp_path):
    saved = make_recognizer(tmp_path / "one")
    for name, text in (("README.md", "my notes"), ("thesis.tex", "mine")):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(UserError, match=rf"holds {name} and no model; name a new or empty"):
            saved.save_pretrained(folder)
        assert (folder / name).read_text() == text
    # A repository that is empty but for what its program keeps there, and a model, may be.
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / ".gitattributes").touch()
    saved.save_pretrained(repository)
    (repository / "config.json").unlink()  # as where a process ended in between
    saved.save_pretrained(repository)


def test_a_model_saved_over_another_is_that_model_alone(tmp_path):
    one, other = make_recognizer(tmp_path / "one"), make_recognizer(tmp_path / "two", shift=0.3)
    one.save_pretrained(tmp_path / "model")
    for name in LORA:  # as if it had been one that names its encoder
        (tmp_path / "model" / name).write_text("{}")
    (tmp_path / "model" / "notes.md").write_text("mine")
    other.save_pretrained(tmp_path / "model")
    assert not [name for name in LORA if (tmp_path / "model" / name).exists()]
    assert (tmp_path / "model" / "notes.md").exists()
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "model")
    np.testing.assert_array_equal(loaded.encode("Ann: hi"), other.encode("Ann: hi"))


def test_what_is_replaced_while_it_is_read_is_refused(tmp_path, monkeypatch):
    make_recognizer(tmp_path / "one").save_pretrained(tmp_path / "model")
    other = make_recognizer(tmp_path / "two", shift=0.3).with_labels("joy,rage=anger")
    load = jax_runtime.load

    def slowly(*given):
        found = load(*given)
        other.save_pretrained(tmp_path / "model")
        return found

    monkeypatch.setattr(jax_runtime, "load", slowly)
    with pytest.raises(UserError, match="was replaced while it was read; load it again"):
        EmotionRecognizer.from_pretrained(tmp_path / "model")


def test_a_run_s_settings_are_not_overwritten_by_a_model_s(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"seed": 0}')
    with pytest.raises(UserError, match=r"a run's or an encoder's.* such as .*/run/model"):
        recognizer().save_pretrained(tmp_path / "run")
    assert (tmp_path / "run" / "config.json").read_text() == '{"seed": 0}'


def test_what_is_read_later_is_of_the_model_that_was_loaded(tmp_path):
    one = make_recognizer(tmp_path / "one", shift=0.3)
    one.save_pretrained(tmp_path / "model")
    loaded = EmotionRecognizer.from_pretrained(tmp_path / "model")
    elsewhere = EmotionRecognizer.from_pretrained(tmp_path / "model", runtime="onnx")
    one.with_labels("joy,rage=anger").save_pretrained(tmp_path / "model")
    for model in (loaded, elsewhere):
        with pytest.raises(UserError, match="no longer the model that was loaded from there"):
            model.with_labels("joy=great,anger=rude")
    with pytest.raises(UserError, match="not the model that was loaded, or no longer"):
        preparing.prepare(loaded, tmp_path / "model")


@pytest.mark.parametrize("part", ["encoder", "label_encoder"])
def test_a_copy_without_its_tokenizer_s_settings_is_not_whole(part, tmp_path):
    """transformers would make up a tokenizer that reads texts otherwise."""
    make_recognizer(tmp_path / "one", shift=0.3).save_pretrained(tmp_path / "model")
    (tmp_path / "model" / part / "tokenizer_config.json").unlink()
    with pytest.raises(UserError, match=f"{part}/tokenizer_config.json is missing: .* not whole"):
        EmotionRecognizer.from_pretrained(tmp_path / "model")
