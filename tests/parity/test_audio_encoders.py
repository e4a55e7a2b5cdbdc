"""Our encoders of sound against transformers' in PyTorch, which gets each sound alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from eacl_jax.encoders import audio, to_checkpoint
from eacl_jax.encoders.audio.encoder import Layers
from eacl_jax.encoders.audio.loading import abstract_encoder
from eacl_jax.encoders.relative import logarithmic_buckets
from eacl_jax.encoders.weights.checkpoint import Checkpoint
from eacl_jax.encoders.weights.parameters import load_parameters
from tests.stubs.audio_encoders import CONFIGS, padded, sounds

torch = pytest.importorskip(
    "torch", reason="PyTorch is not installed: there is nothing to compare with"
)
transformers = pytest.importorskip("transformers")

# 60, 36 and 1 frames: more than WavLM's farthest distance, and the fewest samples.
LENGTHS = (1217, 741, 30)
cases = pytest.mark.parametrize("case", sorted(CONFIGS))


def theirs(config: Mapping[str, Any], kind: str = "AutoModel") -> Any:
    """A PyTorch model with every parameter drawn at random."""
    torch.manual_seed(0)
    options = {name: value for name, value in config.items() if name != "model_type"}
    wanted = transformers.AutoConfig.for_model(config["model_type"], **options)
    wanted._attn_implementation = "eager"
    model = getattr(transformers, kind).from_config(wanted)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_scale = name.endswith(("norm.weight", "original0", "gru_rel_pos_const"))
            parameter.copy_(is_scale + 0.3 * torch.randn_like(parameter))
    return model.eval()


def run_theirs(model: Any, sound: np.ndarray, **options: Any) -> Any:
    return model(torch.tensor(sound)[None], **options)


def read(folder: Path, config: Mapping[str, Any]) -> audio.AudioEncoder:
    return load_parameters(abstract_encoder(config), Checkpoint(folder))


def pair(case: str, folder: Path) -> tuple[Any, audio.AudioEncoder]:
    model = theirs(CONFIGS[case])
    model.save_pretrained(folder)
    return model, read(folder, CONFIGS[case])


def run(
    encoder: audio.AudioEncoder, parts: Sequence[np.ndarray], width: int, layer: Layers = -1
) -> list[np.ndarray]:
    frames = jax.jit(lambda module, *inputs: module(*inputs, layer=layer))(
        encoder, *padded(parts, width)
    )
    lengths = np.asarray(frames.segment_ids).sum(axis=1)
    return [
        np.asarray(hidden[:length]) for hidden, length in zip(frames.hidden, lengths, strict=True)
    ]


@pytest.mark.slow_after(1)
@cases
def test_hidden_states_and_gradients(case: str, tmp_path: Path) -> None:
    """Each sound of a padded batch is as alone, and so is each parameter's gradient, from a
    weighted sum over all frames.
    """
    model, encoder = pair(case, tmp_path)
    sound, lengths = padded(sounds(LENGTHS), 1400)
    random = np.random.default_rng(1)
    weights = np.zeros((len(sound), encoder.shape.frames(1400), 24), np.float32)
    expected = []
    for row, length in enumerate(lengths):
        hidden = run_theirs(model, sound[row, :length]).last_hidden_state[0]
        weights[row, : len(hidden)] = random.standard_normal(hidden.shape)
        (hidden * torch.tensor(weights[row, : len(hidden)])).sum().backward()
        expected.append(hidden.detach().numpy())
    graphdef, params = nnx.split(encoder, nnx.Param)

    def functional(params: nnx.State) -> tuple[jax.Array, audio.Frames]:
        frames = nnx.merge(graphdef, params)(sound, lengths)
        return jnp.sum(frames.hidden * weights), frames

    (_, frames), gradient = jax.jit(jax.value_and_grad(functional, has_aux=True))(params)
    for hidden, ids, alone in zip(*map(np.asarray, frames), expected, strict=True):
        assert ids.sum() == ids[: len(alone)].sum() == len(alone)
        np.testing.assert_allclose(hidden[: len(alone)], alone, atol=1e-5)
    gradients = {
        name: parameter.grad.numpy()
        for name, parameter in model.named_parameters()
        if name != "masked_spec_embed"
    }
    ours = to_checkpoint(nnx.merge(graphdef, gradient))
    assert ours.keys() == gradients.keys()
    for name, value in ours.items():
        scale = max(1.0, float(np.abs(gradients[name]).max()))
        np.testing.assert_allclose(value / scale, gradients[name] / scale, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("case", ["wav2vec2", "wavlm-stable"])
def test_layers(case: str, tmp_path: Path) -> None:
    model, encoder = pair(case, tmp_path)
    parts = sounds(LENGTHS[1:2])
    with torch.no_grad():
        found = run_theirs(model, parts[0], output_hidden_states=True)
    # In transformers 5 the last of these is without the norm behind it.
    expected = [each[0].numpy() for each in found.hidden_states[:3]]
    expected.append(found.last_hidden_state[0].numpy())
    for layer, hidden in ((0, expected[0]), (-2, expected[2])):
        np.testing.assert_allclose(run(encoder, parts, 741, layer)[0], hidden, atol=1e-5)
    np.testing.assert_allclose(
        run(encoder, parts, 741, "mean")[0], np.mean(expected, axis=0), atol=1e-5
    )


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("wav2vec2", "AutoModelForPreTraining"),
        ("wav2vec2-stable", "AutoModelForCTC"),
        ("hubert-stable", "AutoModelForAudioClassification"),
        ("wavlm", "AutoModelForAudioXVector"),
    ],
)
def test_checkpoints_with_heads_are_read(case: str, kind: str, tmp_path: Path) -> None:
    """As pretraining and fine-tuning leave them; the weights' norm by its names of old."""
    model = theirs({**CONFIGS[case], "vocab_size": 20, "use_weighted_layer_sum": True}, kind)
    state = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in model.state_dict().items()
    }
    assert any(name.endswith("weight_g") for name in state)
    torch.save(state, tmp_path / "pytorch_model.bin")
    parts = sounds(LENGTHS[1:2])
    with torch.no_grad():
        expected = run_theirs(model.base_model, parts[0]).last_hidden_state[0].numpy()
    ours = run(read(tmp_path, CONFIGS[case]), parts, LENGTHS[1])[0]
    np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [True, False])
def test_folder_to_features(normalize: bool, tmp_path: Path) -> None:
    """Their feature extractor and model, and ours, from the folder that they write."""
    model = theirs(CONFIGS["wavlm-stable"])
    model.save_pretrained(tmp_path)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize)
    extractor.save_pretrained(tmp_path)
    parts = sounds((1600, 24000, 8000))
    for ours, sound in zip(audio.features_of(parts, tmp_path), parts, strict=True):
        prepared = extractor(sound, sampling_rate=16000, return_tensors="pt").input_values
        with torch.no_grad():
            expected = model(prepared).last_hidden_state[0].numpy()
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.slow
def test_published_convolutions_over_twenty_seconds(tmp_path: Path) -> None:
    """As wav2vec2-base's, but narrow: a norm over 64000 frames."""
    config = {**CONFIGS["wav2vec2"], "num_hidden_layers": 1, "conv_dim": [16] * 7}
    del config["conv_kernel"], config["conv_stride"]
    model = theirs(config)
    model.save_pretrained(tmp_path)
    encoder = read(tmp_path, config)
    assert encoder.shape.fewest_samples == 400
    parts = sounds((320_000, 400))
    for ours, sound in zip(run(encoder, parts, 330_000), parts, strict=True):
        with torch.no_grad():
            expected = run_theirs(model, sound).last_hidden_state[0].numpy()
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_published_distances_of_wavlm() -> None:
    from transformers.models.wavlm.modeling_wavlm import WavLMAttention

    ahead = np.arange(-3000, 3001)
    attention = WavLMAttention(8, 2, num_buckets=320, max_distance=800)
    np.testing.assert_array_equal(
        logarithmic_buckets(ahead, buckets=320, farthest=800),
        attention._relative_positions_bucket(torch.tensor(ahead)).numpy(),
    )
