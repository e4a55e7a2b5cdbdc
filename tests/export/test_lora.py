"""What a run with LoRA leaves: a model like any other, whose encoder is merged, and the folder that
names its base.
"""

import json
import shutil

import numpy as np
import pytest

from eacl_jax import EmotionRecognizer
from eacl_jax.encoders import load_folder, to_checkpoint
from eacl_jax.errors import UserError
from eacl_jax.export.hub import model_files
from eacl_jax.export.pytorch import export_hf
from eacl_jax.export.stablehlo import export_stablehlo
from tests.export.test_pytorch import compare as compare_in_pytorch
from tests.export.test_stablehlo import compare
from tests.stubs.recognizers import DIALOGUES
from tests.stubs.run import make_run
from tests.stubs.toys import make_encoder_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Whose matrices have moved far enough to be seen."""
    moves = {"encoder__lora_rank": 2, "stage_one__encoder_lr": 0.1, "stage_one__soup": 2}
    return make_run(tmp_path_factory.mktemp("lora"), **moves, stage_one__epochs=2)


@pytest.fixture(scope="module")
def base(run):
    return run.parent / "hidden" / "tiny-encoder"


@pytest.fixture
def adapter(run, tmp_path):
    """A copy that a test may change."""
    return shutil.copytree(run / "adapter", tmp_path / "adapter")


def point_to(adapter, base):
    file = adapter / "adapter_config.json"
    named = {"base_model_name_or_path": str(base)}
    file.write_text(json.dumps({**json.loads(file.read_text()), **named}))


def test_the_model_is_merged(run, base):
    found, before = (
        to_checkpoint(load_folder(folder).module) for folder in (run / "model" / "encoder", base)
    )
    changed = {name for name in found if np.abs(found[name] - before[name]).max() > 1e-3}
    config = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert {f"{module}.weight" for module in config["target_modules"]} == changed
    assert config["base_model_name_or_path"] == str(base)


def test_the_adapter_answers_as_the_model(run):
    model, adapter = (EmotionRecognizer.from_pretrained(run / n) for n in ("model", "adapter"))
    assert model.settings == adapter.settings
    assert model.facts == adapter.facts
    np.testing.assert_allclose(adapter.encode(DIALOGUES), model.encode(DIALOGUES), atol=1e-5)
    # Made by the base, which a model folder holds in float16.
    others = [found.with_labels("delight=joy,rage=anger") for found in (model, adapter)]
    np.testing.assert_allclose(*(found.anchors["stage_two"] for found in others), atol=1e-3)


def test_the_adapter_moves_with_its_base(run, base, adapter, tmp_path):
    moved = shutil.copytree(base, tmp_path / "moved")
    point_to(adapter, moved)
    again = EmotionRecognizer.from_pretrained(adapter)
    expected = EmotionRecognizer.from_pretrained(run).encode(DIALOGUES)
    np.testing.assert_allclose(again.encode(DIALOGUES), expected, atol=1e-5)
    again.save_pretrained(tmp_path / "whole")
    shutil.rmtree(moved)
    whole = EmotionRecognizer.from_pretrained(tmp_path / "whole")
    np.testing.assert_allclose(whole.encode(DIALOGUES), expected, atol=1e-5)


def test_a_base_that_is_missing_or_another_is_refused_in_a_line(adapter, tmp_path):
    point_to(adapter, tmp_path / "gone")
    with pytest.raises(UserError, match=r"base_model_name_or_path '.*gone' cannot be read") as gone:
        EmotionRecognizer.from_pretrained(adapter)
    point_to(adapter, make_encoder_folder(tmp_path / "other", seed=1))
    with pytest.raises(UserError, match="is another encoder: the sha256 of its weights") as other:
        EmotionRecognizer.from_pretrained(adapter)
    for error in (gone, other):
        assert "put there the folder or hub id" in str(error.value)
        assert "\n" not in str(error.value)
    for name in ("base.json", "adapter_model.safetensors"):
        (adapter / name).unlink()
        with pytest.raises(UserError, match=f"{name} is missing"):
            EmotionRecognizer.from_pretrained(adapter)


def test_the_hub_gets_an_adapter_that_others_can_use(adapter):
    with pytest.raises(UserError, match="a folder of this machine, where nobody else finds"):
        model_files(adapter)
    point_to(adapter, "princeton-nlp/sup-simcse-roberta-large")
    files = {"adapter_config.json", "adapter_model.safetensors", "base.json", "checksums.json"}
    assert set(model_files(adapter)) == {*files, "config.json", "heads.safetensors", "README.md"}
    assert "learnt.safetensors" in model_files(adapter, with_learnt=True)


@pytest.mark.parametrize("folder", ["model", "adapter"])
def test_exports_are_merged(run, tmp_path, folder):
    original = EmotionRecognizer.from_pretrained(run / folder)
    export_stablehlo(original, tmp_path / "program", platforms=["cpu"])
    compare(tmp_path / "program", original)
    export_hf(original, tmp_path / "hf")
    compare_in_pytorch(tmp_path / "hf", original)
