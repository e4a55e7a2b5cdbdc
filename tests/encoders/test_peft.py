"""LoRA's matrices in PEFT's files: names, shapes and arithmetic are PEFT's."""

import json

import chex
import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file
from transformers import AutoConfig, AutoModel

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders import build, to_checkpoint
from eacl_jax.encoders.weights import peft
from eacl_jax.errors import UserError
from eacl_jax.model.low_rank import merged
from eacl_jax.training.lora import adapters
from tests.stubs.encoders import CONFIGS

SCALE = 2.5
BEFORE = "base_model.model."


def adapted(architecture, scan_layers):
    """A tiny encoder and matrices that have learnt something."""
    encoder = build(CONFIGS[architecture], scan_layers=scan_layers)
    params = nnx.to_pure_dict(nnx.state(encoder, nnx.Param))
    config = EncoderConfig(lora_rank=2)
    matrices = adapters(params, nnx.to_pure_dict(encoder.depths()), config, 0)
    rng = np.random.default_rng(0)
    return encoder, jax.tree.map(lambda x: rng.normal(size=x.shape).astype(np.float32), matrices)


def write(folder, encoder, matrices):
    peft.write(folder, encoder, matrices, scale=SCALE, base="bert-base", revision="main")
    return load_file(folder / "adapter_model.safetensors")


@pytest.mark.parametrize("scan_layers", [False, True])
@pytest.mark.parametrize("architecture", CONFIGS)
def test_base_and_products_make_the_merged_weights(architecture, scan_layers, tmp_path):
    encoder, matrices = adapted(architecture, scan_layers)
    tensors = write(tmp_path, encoder, matrices)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    modules = config["target_modules"]
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 2, 5)
    assert config["base_model_name_or_path"] == "bert-base"
    assert set(tensors) == {
        f"{BEFORE}{module}.lora_{half}.weight" for module in modules for half in "AB"
    }
    graphdef, params = nnx.split(encoder, nnx.Param)
    base = to_checkpoint(encoder)
    weights = merged(nnx.to_pure_dict(params), matrices, SCALE)
    for name, found in to_checkpoint(nnx.merge(graphdef, weights)).items():
        module, expected = name.removesuffix(".weight"), base[name]
        if module in modules:
            a, b = (tensors[f"{BEFORE}{module}.lora_{half}.weight"] for half in "AB")
            product = b @ a if name.endswith(".weight") else (b @ a).T  # XLNet's: [in, ...]
            assert np.abs(product).max() > 0.1
            expected = expected + config["lora_alpha"] / config["r"] * product.reshape(
                expected.shape
            )
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    chex.assert_trees_all_close(peft.read(tmp_path, encoder), matrices, rtol=1e-6)
    other = build(CONFIGS[architecture], scan_layers=not scan_layers)
    again = tmp_path / "again"
    again.mkdir()
    chex.assert_trees_all_equal(write(again, other, peft.read(tmp_path, other)), tensors)
    assert peft.read_config(tmp_path) == ("bert-base", "main", SCALE)


@pytest.mark.parametrize("architecture", [name for name in CONFIGS if name != "xlnet"])
def test_the_maps_are_modules_of_the_model_in_pytorch(architecture, tmp_path):
    encoder, matrices = adapted(architecture, scan_layers=False)
    tensors = write(tmp_path, encoder, matrices)
    module = AutoModel.from_config(AutoConfig.for_model(**CONFIGS[architecture]))
    shapes = {
        name: each.weight.shape
        for name, each in module.named_modules()
        if "Linear" in type(each).__name__
    }
    for name in json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]:
        out, width = shapes[name]
        assert tensors[f"{BEFORE}{name}.lora_A.weight"].shape == (2, width)
        assert tensors[f"{BEFORE}{name}.lora_B.weight"].shape == (out, 2)


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, *adapted("bert", True))
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_dora": True}, "use_dora is True; only plain LoRA"),
        ({"rank_pattern": {"query": 4}}, "rank_pattern is .*only plain LoRA"),
        ({"peft_type": "IA3"}, "expected peft_type 'LORA'"),
        ({"r": 0}, "expected peft_type 'LORA', and base_model_name_or_path, r"),
        ({"r": True}, "expected peft_type 'LORA', and base_model_name_or_path, r"),
        ({"bias": "lora_only"}, "bias is 'lora_only'; only plain LoRA"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is 'pissa'; only plain LoRA"),
        ({"modules_to_save": ["x"]}, "modules_to_save is .*only plain LoRA"),
    ],
)
def test_another_kind_of_adapter_is_refused(folder, changes, message):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    with pytest.raises(UserError, match=message):
        peft.read_config(folder)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("mpnet", "lora_A.weight is of no linear map of the encoder"),
        ("electra", None),
    ],
)
def test_matrices_of_another_encoder_are_refused(folder, architecture, message):
    encoder = build(CONFIGS[architecture])
    if message is None:  # the same names and widths
        assert peft.read(folder, encoder)
        return
    with pytest.raises(UserError, match=message):
        peft.read(folder, encoder)


def test_matrices_that_do_not_fit_are_refused(folder):
    encoder = build({**CONFIGS["bert"], "hidden_size": 36})
    with pytest.raises(UserError, match=r"those of .*query do not fit its \[36, "):
        peft.read(folder, encoder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "r": 8}))
    with pytest.raises(UserError, match=r"have the rank 2, and adapter_config\.json says 8"):
        peft.read(folder, build(CONFIGS["bert"]))
    (folder / "adapter_model.safetensors").write_bytes(b"1")
    with pytest.raises(UserError, match=r"adapter_model\.safetensors is damaged"):
        peft.read(folder, encoder)
