"""From what the configuration names to an encoder with its tokenizer."""

import json
import sys
from pathlib import Path
from typing import Any

import chex
import huggingface_hub
import pytest
from flax import nnx
from huggingface_hub.errors import LocalEntryNotFoundError
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders import build, load, save
from eacl_jax.encoders.sources import find_folder
from eacl_jax.errors import UserError
from tests.encoders.tiny import CONFIGS, tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete tiny model."""
    save(tiny("roberta"), CONFIGS["roberta"], tmp_path)
    words = Tokenizer(models.WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "so": 5}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(tmp_path)
    return tmp_path


def rewrite(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIGS["roberta"] | changes))


def test_folder(folder: Path) -> None:
    loaded = load(EncoderConfig(path=str(folder), scan_layers=False, frozen_layers=1))
    assert loaded.config == CONFIGS["roberta"]
    assert loaded.folder == folder
    assert loaded.tokenizer("so what", add_special_tokens=False)["input_ids"] == [5, 3]
    assert loaded.module.frozen_layers == 1
    chex.assert_trees_all_equal(nnx.state(loaded.module), nnx.state(tiny("roberta", scan_layers=False)))


def test_random_weights_need_no_weight_file(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    config = EncoderConfig(path=str(folder), random_weights=True)
    expected = build(CONFIGS["roberta"], seed=7)
    chex.assert_trees_all_equal(nnx.state(load(config, seed=7).module), nnx.state(expected))
    with pytest.raises(UserError, match=r"holds no model.safetensors"):
        load(EncoderConfig(path=str(folder)))


def test_checksum(folder: Path) -> None:
    with pytest.raises(UserError, match="sha256"):
        load(EncoderConfig(path=str(folder), sha256="0" * 64))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "gpt2"}, r"'model_type' is 'gpt2'; supported: bert, camembert, mpnet, roberta, xlm-roberta"),
        ({"model_type": None}, r"'model_type' is None"),
        ({"hidden_act": "sparkle"}, r"'hidden_act' must be one of gelu, .*; got 'sparkle'"),
        ({"num_attention_heads": 5}, r"'hidden_size' \(24\) must be a multiple of 'num_attention_heads' \(5\)"),
        ({"vocab_size": None}, r"'vocab_size' is missing"),
        ({"vocab_size": "many"}, r"'vocab_size' must be a whole number of at least 1, got 'many'"),
        ({"hidden_dropout_prob": 1.0}, r"'hidden_dropout_prob' must be a number from 0 to below 1"),
        ({"position_embedding_type": "relative_key"}, r"'position_embedding_type' must be one of absolute"),
        ({"is_decoder": True}, r"'is_decoder' must be one of False"),
        ({"max_position_embeddings": 2}, r"'max_position_embeddings' must be above 'pad_token_id' \+ 1"),
        ({"num_hidden_layers": 0}, r"'num_hidden_layers' must be a whole number of at least 1, got 0"),
    ],
)
def test_config_that_cannot_be_built(changes: dict[str, Any], message: str, folder: Path) -> None:
    rewrite(folder, **changes)
    with pytest.raises(UserError, match=message) as raised:
        load(EncoderConfig(path=str(folder)))
    assert str(folder / "config.json") in str(raised.value)


def test_all_fields_that_are_amiss_are_named_at_once() -> None:
    with pytest.raises(UserError) as raised:
        build(CONFIGS["mpnet"] | {"hidden_act": "x", "vocab_size": 0, "relative_attention_num_buckets": 16})
    assert all(name in str(raised.value) for name in ("hidden_act", "vocab_size", "relative_attention_num_buckets"))


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ("[1]", "must hold a JSON object, got list"), (None, "is missing")]
)
def test_damaged_config(text: str | None, message: str, folder: Path) -> None:
    (folder / "config.json").unlink()
    if text is not None:
        (folder / "config.json").write_text(text)
    with pytest.raises(UserError, match=f"config.json {message}"):
        load(EncoderConfig(path=str(folder)))


def test_tokenizer_is_missing_damaged_or_too_large(folder: Path) -> None:
    rewrite(folder, vocab_size=5)
    with pytest.raises(UserError, match=r"the tokenizer has 6 tokens, but .* gives the encoder 5"):
        load(EncoderConfig(path=str(folder), random_weights=True))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="the tokenizer cannot be read"):
        load(EncoderConfig(path=str(folder), random_weights=True))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"holds no tokenizer; expected one of tokenizer.json"):
        load(EncoderConfig(path=str(folder), random_weights=True))


@pytest.mark.parametrize("path", ["/no/such/folder", "./missing", "a/b/c", "over there"])
def test_no_such_folder(path: str) -> None:
    with pytest.raises(UserError, match=r"there is no folder .* neither a hub id"):
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


def test_hub_id_is_fetched_or_taken_from_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def snapshot(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert find_folder("owner/name", revision="v2") == tmp_path
    assert (asked["name"], asked["revision"]) == ("owner/name", "v2")
    assert {"config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json"} <= set(
        asked["allow_patterns"]
    )
    assert not any(pattern.endswith((".bin", ".py", ".pkl", "*")) for pattern in asked["allow_patterns"])
    find_folder("owner/name", weights=False)
    assert not any("safetensors" in pattern for pattern in asked["allow_patterns"])


def test_hub_id_without_network_or_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot(*_: Any, **__: Any) -> str:
        raise LocalEntryNotFoundError("nothing cached\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    with pytest.raises(UserError, match=r"no folder 'owner/name'.*\(LocalEntryNotFoundError: nothing cached\)"):
        find_folder("owner/name")


def test_cached_snapshot_is_used_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real library against a cache laid out by hand."""
    commit = "0" * 40
    snapshot = tmp_path / "models--owner--name" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert find_folder("owner/name") == snapshot
    with pytest.raises(UserError, match="no folder 'owner/other'"):
        find_folder("owner/other")


def test_camembert_and_xlm_roberta_are_roberta() -> None:
    for name in ("camembert", "xlm-roberta"):
        assert nnx.graphdef(build(CONFIGS["roberta"] | {"model_type": name})) == nnx.graphdef(tiny("roberta"))
