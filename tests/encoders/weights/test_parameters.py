"""Tensors to parameters and back through the name table, and one clear error for all that does not
fit.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest
import transformers
from flax import nnx
from safetensors.numpy import save_file

from eacl_jax.encoders import Encoder, save, to_checkpoint
from eacl_jax.encoders.prefix import PrefixShape
from eacl_jax.encoders.registry import abstract_encoder
from eacl_jax.encoders.weights.checkpoint import Checkpoint
from eacl_jax.encoders.weights.parameters import load_parameters
from eacl_jax.errors import UserError
from tests.stubs.encoders import CONFIGS, tiny

architectures = pytest.mark.parametrize("architecture", sorted(CONFIGS))


def read(folder: Path, architecture: str = "roberta", **options: Any) -> Encoder:
    return load_parameters(abstract_encoder(CONFIGS[architecture], **options), Checkpoint(folder))


def written(
    folder: Path, change: Callable[[dict[str, np.ndarray]], Any], architecture: str = "roberta"
) -> Path:
    """A folder with a checkpoint to which `change` was done, in place or by returning another
    dict.
    """
    tensors = to_checkpoint(tiny(architecture))
    save_file(change(tensors) or tensors, folder / "model.safetensors")
    return folder


@architectures
@pytest.mark.parametrize(("wrote", "reads"), [(True, True), (True, False), (False, True)])
def test_round_trip(architecture: str, wrote: bool, reads: bool, tmp_path: Path) -> None:
    encoder = tiny(architecture, scan_layers=wrote)
    save(encoder, CONFIGS[architecture], tmp_path / "new" / "folder")
    assert (
        json.loads((tmp_path / "new" / "folder" / "config.json").read_text())
        == CONFIGS[architecture]
    )
    again = read(tmp_path / "new" / "folder", architecture, scan_layers=reads)
    expected = nnx.state(tiny(architecture, scan_layers=reads), nnx.Param)
    chex.assert_trees_all_equal(nnx.state(again, nnx.Param), expected)
    assert all(
        isinstance(leaf, jax.Array) and leaf.dtype == np.float32
        for leaf in jax.tree.leaves(expected)
    )


@pytest.mark.parametrize("prefix", [PrefixShape(3), PrefixShape(3, projection=5)])
def test_round_trip_of_a_prefix(prefix: PrefixShape, tmp_path: Path) -> None:
    encoder = tiny("roberta", prefix=prefix)
    save(encoder, CONFIGS["roberta"], tmp_path)
    checkpoint = Checkpoint(tmp_path)
    assert PrefixShape.of(checkpoint) == prefix
    again = load_parameters(abstract_encoder(CONFIGS["roberta"], prefix=prefix), checkpoint)
    chex.assert_trees_all_equal(nnx.state(again, nnx.Param), nnx.state(encoder, nnx.Param))
    assert np.abs(again.prefix()).max() > 0.1
    with pytest.raises(UserError, match=r"not part of this architecture: 'prefix_encoder"):
        load_parameters(abstract_encoder(CONFIGS["roberta"]), checkpoint)


@pytest.mark.parametrize("under_its_name", [True, False])
def test_tied_embeddings_under_their_other_name(under_its_name: bool, tmp_path: Path) -> None:
    """Older T5 files hold the table twice, or as the encoder's alone."""

    def change(tensors: dict[str, np.ndarray]) -> None:
        tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"]
        if not under_its_name:
            del tensors["shared.weight"]

    chex.assert_trees_all_equal(
        nnx.state(read(written(tmp_path, change, "t5"), "t5")), nnx.state(tiny("t5"))
    )


def test_of_two_tables_t5_reads_the_encoders_as_transformers_does(tmp_path: Path) -> None:
    def change(tensors: dict[str, np.ndarray]) -> None:
        tensors["encoder.embed_tokens.weight"] = tensors["shared.weight"]
        tensors["shared.weight"] = tensors["shared.weight"] + 1

    pytest.importorskip("torch")
    folder = written(tmp_path, change, "t5")
    (folder / "config.json").write_text(json.dumps(CONFIGS["t5"]))
    theirs = transformers.T5EncoderModel.from_pretrained(folder).encoder.embed_tokens.weight
    ours = to_checkpoint(read(folder, "t5"))["shared.weight"]
    np.testing.assert_array_equal(ours, theirs.detach().numpy())
    np.testing.assert_array_equal(ours, to_checkpoint(tiny("t5"))["shared.weight"])


def test_config_names_the_type_that_is_written(tmp_path: Path) -> None:
    save(tiny("bert"), CONFIGS["bert"] | {"torch_dtype": "float16"}, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == CONFIGS["bert"] | {
        "torch_dtype": "float32"
    }


@pytest.mark.parametrize("prefix", ["roberta.", "0.auto_model.", "0.auto_model.roberta."])
def test_prefix_is_found(prefix: str, tmp_path: Path) -> None:
    def change(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        heads = {
            "lm_head.dense.weight": np.zeros(2),
            f"{prefix}pooler.dense.weight": np.zeros(2),
            "classifier.bias": np.zeros(2),
        }
        buffers = {f"{prefix}embeddings.position_ids": np.zeros((1, 48), np.int64)}
        return {prefix + name: value for name, value in tensors.items()} | heads | buffers

    chex.assert_trees_all_equal(
        nnx.state(read(written(tmp_path, change))), nnx.state(tiny("roberta"))
    )


@pytest.mark.parametrize(
    ("before", "beside", "told"),
    [
        ("module.", {}, r"all names begin with 'module\.': save the encoder without it"),
        ("base_model.model.roberta.", {}, r"all names begin with 'base_model\.model\.': save"),
        ("model.", {"head": np.zeros(2)}, r"the encoder's names begin with 'model\.': save it al"),
    ],
)
def test_what_a_program_put_before_the_names_is_told(
    before: str, beside: dict[str, np.ndarray], told: str, tmp_path: Path
) -> None:
    def change(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {before + name: value for name, value in tensors.items()} | beside

    with pytest.raises(UserError, match=told):
        read(written(tmp_path, change))
    with pytest.raises(UserError, match="found 0 among no tensors") as raised:
        read(written(tmp_path, lambda tensors: tensors.clear()))
    assert "begin with" not in str(raised.value)


def test_old_names_of_layer_norm(tmp_path: Path) -> None:
    def change(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        new = (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))
        return {name.replace(*new[0]).replace(*new[1]): value for name, value in tensors.items()}

    chex.assert_trees_all_equal(
        nnx.state(read(written(tmp_path, change, "bert"), "bert")), nnx.state(tiny("bert"))
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_float_types_become_float32(dtype: str, tmp_path: Path) -> None:
    folder = written(
        tmp_path, lambda tensors: {name: value.astype(dtype) for name, value in tensors.items()}
    )
    encoder = read(folder)
    assert encoder.embeddings.tokens.embedding.dtype == np.float32
    np.testing.assert_allclose(
        encoder.embeddings.tokens.embedding,
        tiny("roberta").embeddings.tokens.embedding[...],
        rtol=1e-2,
    )


def test_all_problems_are_in_one_message(tmp_path: Path) -> None:
    def change(tensors: dict[str, np.ndarray]) -> None:
        del tensors["encoder.layer.1.output.dense.bias"]
        tensors["encoder.layer.2.output.dense.bias"] = np.zeros(24, np.float32)
        tensors["embeddings.word_embeddings.weight"] = np.zeros((60, 24), np.float32)
        tensors["encoder.layer.0.output.dense.bias"] = np.zeros(24, np.int32)
        tensors["embeddings.LayerNorm.gamma"] = np.zeros(24, np.float32)

    with pytest.raises(UserError) as raised:
        read(written(tmp_path, change))
    message = str(raised.value)
    assert str(tmp_path / "model.safetensors") in message
    for part in (
        "missing: 'encoder.layer.1.output.dense.bias'",
        "not part of this architecture: 'encoder.layer.2.output.dense.bias'",
        "'embeddings.word_embeddings.weight' is [60, 24] of F32, config.json makes it [61, 24]",
        "'encoder.layer.0.output.dense.bias' is [24] of I32",
        "are the same tensor",
    ):
        assert part in message
    assert len(message.splitlines()) == 6


def test_square_kernel_is_transposed(tmp_path: Path) -> None:
    """A square matrix has the right shape either way round: only its values tell."""
    encoder = read(written(tmp_path, lambda tensors: None))
    tensor = to_checkpoint(encoder)["encoder.layer.1.attention.self.query.weight"]
    np.testing.assert_array_equal(tensor, np.asarray(encoder.layers.attention.query.kernel)[1].T)


@pytest.mark.parametrize(
    ("weights", "config"), [("mpnet", "bert"), ("bert", "mpnet"), ("roberta", "mpnet")]
)
def test_weights_of_another_architecture(weights: str, config: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match=r"(?s)does not fit its config.json.*missing: .*not part of this architecture: ",
    ):
        read(written(tmp_path, lambda tensors: None, weights), config)


def test_prefix_of_another_architecture(tmp_path: Path) -> None:
    folder = written(
        tmp_path, lambda tensors: {f"bert.{name}": value for name, value in tensors.items()}
    )
    with pytest.raises(
        UserError,
        match=(
            r"expected exactly one of .*'roberta.embeddings.word_embeddings.weight'.* found 0 among"
            r" 'bert\."
        ),
    ):
        read(folder)


def test_two_encoders_in_one_file(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        lambda tensors: tensors | {f"roberta.{name}": value for name, value in tensors.items()},
    )
    with pytest.raises(UserError, match=r"expected exactly one of .* found 2"):
        read(folder)
