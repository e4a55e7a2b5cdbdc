"""From what the configuration names to an encoder with its tokenizer."""

import json
import sys
from pathlib import Path
from typing import Any

import chex
import pytest
from flax import nnx

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders import build, load, save
from eacl_jax.encoders.prefix import PrefixShape
from eacl_jax.encoders.sources import find_folder
from eacl_jax.errors import UserError
from tests.stubs.encoders import CONFIGS, make_tokenizer, tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete tiny model."""
    save(tiny("roberta"), CONFIGS["roberta"], tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def rewrite(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIGS["roberta"] | changes))


def test_folder(folder: Path) -> None:
    loaded = load(EncoderConfig(path=str(folder), scan_layers="never", frozen_layers=1))
    assert loaded.config == CONFIGS["roberta"]
    assert loaded.folder == folder
    assert loaded.tokenizer("so what", add_special_tokens=False)["input_ids"] == [5, 3]
    assert loaded.module.frozen_layers == 1
    chex.assert_trees_all_equal(
        nnx.state(loaded.module), nnx.state(tiny("roberta", scan_layers=False))
    )


def test_an_adapter_beside_the_weights_is_not_passed_over(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds an adapter .*merge it into the encoder's weights"):
        load(EncoderConfig(path=str(folder)))
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        UserError, match=r"an adapter alone, .* weights of the encoder that it was trained from"
    ):
        load(EncoderConfig(path=str(folder)))


@pytest.mark.parametrize(
    ("how", "method"),
    [
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"load_in_8bit": True}, "quantization_config"),
    ],
)
def test_quantized_weights_are_refused_as_such(
    how: dict[str, Any], method: str, folder: Path
) -> None:
    rewrite(folder, quantization_config=how)
    with pytest.raises(UserError, match=rf"config.json: the weights are quantized \({method}\)"):
        load(EncoderConfig(path=str(folder)))
    load(EncoderConfig(path=str(folder), random_weights=True))


def test_random_weights_need_no_weight_file(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    config = EncoderConfig(path=str(folder), random_weights=True)
    expected = build(CONFIGS["roberta"], scan_layers=False, seed=7)
    chex.assert_trees_all_equal(nnx.state(load(config, seed=7).module), nnx.state(expected))
    with pytest.raises(UserError, match=r"holds no model.safetensors"):
        load(EncoderConfig(path=str(folder)))


@pytest.mark.parametrize(
    ("setting", "dtype", "depth", "scanned"),
    [
        ("auto", "float32", 11, False),
        ("auto", "float32", 12, True),
        ("auto", "bfloat16_products", 12, False),
        ("always", "bfloat16_products", 2, True),
        ("never", "float32", 12, False),
    ],
)
def test_deep_encoders_are_scanned(
    folder: Path, setting: Any, dtype: Any, depth: int, scanned: bool
) -> None:
    rewrite(folder, num_hidden_layers=depth)
    config = EncoderConfig(path=str(folder), random_weights=True, scan_layers=setting, dtype=dtype)
    module = load(config).module
    assert isinstance(module.layers, nnx.List) is not scanned


def test_checksum(folder: Path) -> None:
    with pytest.raises(UserError, match="sha256"):
        load(EncoderConfig(path=str(folder), sha256="0" * 64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "gpt2"},
            r"'model_type' is 'gpt2'; supported: bert, camembert, deberta, .*, xlnet",
        ),
        ({"model_type": None}, r"'model_type' is None"),
        ({"hidden_act": "sparkle"}, r"'hidden_act' must be one of gelu, .*; got 'sparkle'"),
        (
            {"num_attention_heads": 5},
            r"'hidden_size' \(24\) must be a multiple of 'num_attention_heads' \(5\)",
        ),
        ({"vocab_size": None}, r"'vocab_size' is missing"),
        ({"vocab_size": "many"}, r"'vocab_size' must be a whole number of at least 1, got 'many'"),
        ({"hidden_dropout_prob": 1.0}, r"'hidden_dropout_prob' must be a number from 0 to below 1"),
        (
            {"position_embedding_type": "relative_key"},
            r"'position_embedding_type' must be one of absolute",
        ),
        ({"is_decoder": True}, r"'is_decoder' must be one of False"),
        (
            {"max_position_embeddings": 2},
            r"'max_position_embeddings' must be above 'pad_token_id' \+ 1",
        ),
        (
            {"num_hidden_layers": 0},
            r"'num_hidden_layers' must be a whole number of at least 1, got 0",
        ),
    ],
)
def test_config_that_cannot_be_built(changes: dict[str, Any], message: str, folder: Path) -> None:
    rewrite(folder, **changes)
    with pytest.raises(UserError, match=message) as raised:
        load(EncoderConfig(path=str(folder)))
    assert str(folder / "config.json") in str(raised.value)


@pytest.mark.parametrize(
    ("architecture", "changes", "message"),
    [
        (
            "deberta",
            {"pos_att_type": "c2p|p2p"},
            r"'pos_att_type' must be some of c2p, p2c; got 'p2p'",
        ),
        ("deberta", {"pos_att_type": 3}, r"'pos_att_type' must be some of c2p, p2c; got '3'"),
        (
            "deberta",
            {"relative_attention": "yes"},
            r"'relative_attention' must be one of True, False; got 'yes'",
        ),
        (
            "deberta-v2",
            {"position_buckets": 100},
            r"half of 'position_buckets' \(100\) .* the farthest distance, 48",
        ),
        ("deberta-v2", {"conv_kernel_size": 2}, r"'conv_kernel_size' must be odd, got 2"),
        (
            "deberta-v2",
            {"conv_kernel_size": 3, "conv_groups": 5},
            r"must be a multiple of 'conv_groups' \(5\)",
        ),
        (
            "electra",
            {"embedding_size": 0},
            r"'embedding_size' must be a whole number of at least 1, got 0",
        ),
        (
            "modernbert",
            {"layer_types": ["full_attention"]},
            r"'layer_types' must name 4 layers, got 1",
        ),
        (
            "modernbert",
            {"layer_types": ["causal"] * 4},
            r"'layer_types' must be a list of full_attention, sliding_attention",
        ),
        (
            "modernbert",
            {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}},
            r"'rope_type' must be one of default; got 'yarn'",
        ),
        ("modernbert", {"local_rope_theta": 0}, r"'rope_theta' must be positive"),
        (
            "modernbert",
            {"rope_parameters": {"full_attention": {"type": "linear", "factor": 4.0}}},
            r"'type' must be one of default; got 'linear'",
        ),
        (
            "modernbert",
            {"rope_parameters": {"rope_theta": 5.0}},
            r"'rope_parameters' must be of full_attention and sliding_attention, got rope_theta",
        ),
        ("modernbert", {"sliding_window": 6}, r"'sliding_window' must be one of"),
        ("modernbert", {"hidden_size": 15, "num_attention_heads": 3}, r"an even width, got 5"),
        ("t5", {"dense_act_fn": "tanh"}, r"'dense_act_fn' must be one of relu, .*; got 'tanh'"),
        (
            "t5",
            {"feed_forward_proj": "gated-relu6"},
            r"'feed_forward_proj' must be one of relu, .*; got 'gated-relu6'",
        ),
        (
            "t5",
            {"relative_attention_max_distance": 2},
            r"'relative_attention_max_distance' \(2\) must be above a quarter",
        ),
        ("xlnet", {"attn_type": "uni"}, r"'attn_type' must be one of bi; got 'uni'"),
        ("xlnet", {"n_head": 5}, r"'d_model' \(24\) must be a multiple of 'n_head' \(5\)"),
    ],
)
def test_what_an_architecture_cannot_do_is_refused(
    architecture: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build(CONFIGS[architecture] | changes)


def test_prefix_where_an_architecture_takes_none() -> None:
    with pytest.raises(
        UserError, match="holds a prefix_encoder, which 'model_type' 'mpnet' cannot take"
    ):
        build(CONFIGS["mpnet"], prefix=PrefixShape(3))


def test_all_fields_that_are_amiss_are_named_at_once() -> None:
    with pytest.raises(UserError) as raised:
        build(
            CONFIGS["mpnet"]
            | {"hidden_act": "x", "vocab_size": 0, "relative_attention_num_buckets": 16}
        )
    assert all(
        name in str(raised.value)
        for name in ("hidden_act", "vocab_size", "relative_attention_num_buckets")
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", ": not valid JSON at column 2: .*; correct it, or fetch the encoder's folder again"),
        ('{"a": 1, "a": 2}', ": not usable JSON: the field 'a' is there twice"),
        ("[1]", " must hold a JSON object, got list"),
        (None, " is missing; expected the folder of a Hugging Face model, .* holds"),
    ],
)
def test_damaged_config(text: str | None, message: str, folder: Path) -> None:
    (folder / "config.json").unlink()
    if text is not None:
        (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=f"config.json{message}"):
        load(EncoderConfig(path=str(folder)))


def test_tokenizer_is_missing_damaged_or_too_large(folder: Path) -> None:
    rewrite(folder, vocab_size=5)
    with pytest.raises(
        UserError, match=r"tokens have numbers up to 5, but .* gives the encoder 5 tokens"
    ):
        load(EncoderConfig(path=str(folder), random_weights=True))
    rewrite(folder)
    described = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = described["model"]["vocab"]
    vocabulary["happy" if "happy" in vocabulary else list(vocabulary)[-1]] = 5000
    (folder / "tokenizer.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match=r"tokens have numbers up to 5000, but"):
        load(EncoderConfig(path=str(folder), random_weights=True))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="the tokenizer cannot be read"):
        load(EncoderConfig(path=str(folder), random_weights=True))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"holds no tokenizer; expected one of tokenizer.json"):
        load(EncoderConfig(path=str(folder), random_weights=True))


@pytest.mark.parametrize("path", ["/no/such/folder", "./missing", "a/b/c", "over there"])
def test_no_such_folder(path: str) -> None:
    with pytest.raises(
        UserError,
        match=r"encoder.path: there is no folder .*; (did you mean|/|the current folder holds) ",
    ):
        find_folder(path)


def test_files_inside_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "weights_for_a_test"
    (package / "model" / "en").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_folder("package:weights_for_a_test/model/en") == package / "model" / "en"
    assert "weights_for_a_test" not in sys.modules
    with pytest.raises(UserError, match="has no folder 'modell'"):
        find_folder("package:weights_for_a_test/modell")
    with pytest.raises(UserError, match="no package 'no_such_package_here' is installed"):
        find_folder("package:no_such_package_here/model")
    for path in ("package:weights_for_a_test/../x", "package:a.b/c", "package:"):
        with pytest.raises(UserError, match="must be package:NAME/FOLDER"):
            find_folder(path)


def test_camembert_and_xlm_roberta_are_roberta() -> None:
    for name in ("camembert", "xlm-roberta"):
        assert nnx.graphdef(build(CONFIGS["roberta"] | {"model_type": name})) == nnx.graphdef(
            tiny("roberta")
        )
