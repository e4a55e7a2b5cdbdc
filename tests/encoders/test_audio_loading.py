"""A folder to an encoder of sound, and what is wrong with folders."""

import json
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest
from flax import nnx, serialization, traverse_util
from safetensors.numpy import load_file, save_file

from eacl_jax.config import EncoderConfig
from eacl_jax.encoders import audio, load
from eacl_jax.errors import UserError
from tests.stubs.audio_encoders import CONFIGS, build, padded, sounds, write_folder
from tests.stubs.encoders import CONFIGS as TEXT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "wavlm-tiny")


def rewrite(folder: Path, **changes: Any) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIGS["wavlm"] | changes))


def test_folder(folder: Path) -> None:
    loaded = audio.load_folder(str(folder))
    assert loaded.config == CONFIGS["wavlm"]
    assert (loaded.sampling_rate, loaded.normalize, loaded.folder) == (16000, True, folder)
    expected = build(CONFIGS["wavlm"])
    chex.assert_trees_all_equal(nnx.state(loaded.module), nnx.state(expected))
    assert not write_and_load(folder, do_normalize=False).normalize


def write_and_load(folder: Path, **preprocessor: Any) -> audio.LoadedAudioEncoder:
    return audio.load_folder(write_folder(folder, **preprocessor))


def test_the_processor_may_hold_the_extractor(folder: Path) -> None:
    """transformers reads it first."""
    described = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "processor_config.json").write_text(
        json.dumps({"feature_extractor": {**described, "do_normalize": False}})
    )
    assert not audio.load_folder(folder).normalize
    (folder / "preprocessor_config.json").unlink()
    assert not audio.load_folder(folder).normalize
    for without in ({"processor_class": "Wav2Vec2Processor"}, {"feature_extractor": None}):
        (folder / "processor_config.json").write_text(json.dumps(without))
        with pytest.raises(UserError, match=r"preprocessor_config\.json is missing"):
            audio.load_folder(folder)


def test_flax_weights(folder: Path) -> None:
    """As transformers 4 wrote them: convolutions and dense layers as kernels."""
    tensors = load_file(folder / "model.safetensors")
    tree: dict[tuple[str, ...], np.ndarray] = {}
    for name, tensor in tensors.items():
        *scopes, leaf = (
            name.replace("parametrizations.weight.original0", "weight_g")
            .replace("parametrizations.weight.original1", "weight_v")
            .split(".")
        )
        if leaf == "weight" and tensor.ndim > 1 and "rel_attn_embed" not in scopes:
            tree[(*scopes, "kernel")] = tensor.T
        else:
            tree[(*scopes, leaf)] = tensor
    (folder / "model.safetensors").unlink()
    (folder / "flax_model.msgpack").write_bytes(
        serialization.msgpack_serialize(traverse_util.unflatten_dict(tree))
    )
    chex.assert_trees_all_equal(
        nnx.state(audio.load_folder(folder).module), nnx.state(build(CONFIGS["wavlm"]))
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model_type": "roberta"},
            r"'model_type' is 'roberta', which is an encoder of text; encoders of sound are"
            r" hubert, wav2vec2, wavlm\.",
        ),
        ({"model_type": "whisper"}, r"'model_type' is 'whisper'; encoders of sound are hubert, "),
        ({"conv_dim": [6, 10]}, r"must be of one length, at most 16; got 2, 3, 3"),
        ({"conv_kernel": "10"}, r"'conv_kernel' must be a list of whole numbers from 1, got '10'"),
        ({"conv_stride": [5, 2, 0]}, r"'conv_stride' must be a list of whole numbers from 1"),
        ({"feat_extract_norm": "batch"}, r"'feat_extract_norm' must be one of group, layer"),
        ({"quantization_config": {"quant_method": "hqq"}}, r"the weights are quantized \(hqq\)"),
        ({"add_adapter": True}, r"'add_adapter' must be one of False; got True"),
        ({"conv_pos_batch_norm": True}, r"'conv_pos_batch_norm' must be one of False"),
        ({"num_conv_pos_embedding_groups": 5}, r"'num_conv_pos_embedding_groups' \(5\)"),
        ({"max_bucket_distance": 2}, r"'max_bucket_distance' \(2\) must be above a quarter"),
        ({"hidden_size": None}, r"'hidden_size' is missing; expected a whole number"),
    ],
)
def test_config_that_cannot_be_built(changes: dict[str, Any], message: str, folder: Path) -> None:
    rewrite(folder, **changes)
    with pytest.raises(UserError, match=message) as raised:
        audio.load_folder(folder)
    assert str(folder / "config.json") in str(raised.value)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"sampling_rate": 8000}, r"'sampling_rate' is 8000; only encoders of 16000"),
        ({"do_normalize": "yes"}, r"'do_normalize' must be true or false, got 'yes'"),
        (
            {"feature_extractor_type": "WhisperFeatureExtractor"},
            r"Wav2Vec2FeatureExtractor .*'WhisperFeatureExtractor'",
        ),
        ({"feature_size": 80}, r"'feature_size' 1, got 'Wav2Vec2FeatureExtractor' with 80"),
    ],
)
def test_other_preprocessing(described: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        write_and_load(tmp_path, **described)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", r"config.json is missing"),
        ("preprocessor_config.json", r"preprocessor_config.json is missing: it says how"),
        ("model.safetensors", r"holds no model.safetensors"),
    ],
)
def test_missing_files(name: str, message: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=message):
        audio.load_folder(folder)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no folder .*wavlm"):
        audio.load_folder(tmp_path / "wavlm")


def test_tensors_are_named(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["encoder.layers.1.attention.gru_rel_pos_const"]
    tensors["encoder.layers.0.attention.extra.weight"] = np.zeros(3, np.float32)
    tensors["feature_extractor.conv_layers.0.conv.weight"] = np.zeros((6, 1, 9), np.float32)
    tensors["quantizer.codevectors"] = np.zeros(3, np.float32)  # known, and not read
    save_file(tensors, file)
    with pytest.raises(UserError) as raised:
        audio.load_folder(folder)
    message = str(raised.value)
    assert "missing: 'encoder.layers.1.attention.gru_rel_pos_const'" in message
    assert "not part of this architecture: 'encoder.layers.0.attention.extra.weight'" in message
    assert "[6, 1, 9] of F32, config.json makes it [6, 1, 10]" in message
    assert "quantizer" not in message


def test_each_loader_names_the_other_kind(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'model_type' is 'wavlm'; supported: bert"):
        load(EncoderConfig(path=str(folder)))
    (tmp_path / "config.json").write_text(json.dumps(TEXT["bert"]))
    with pytest.raises(UserError, match=r"'bert', which is an encoder of text"):
        audio.load_folder(tmp_path)


@pytest.mark.parametrize("case", ["wav2vec2", "wavlm-stable"])
def test_packed_frames_are_as_alone(case: str) -> None:
    """What is above the convolutions keeps segments of a row apart."""
    encoder = build(CONFIGS[case])
    inputs = padded(sounds((600, 441, 30)), 700)
    frames = jax.jit(lambda module: module.embed(*inputs))(encoder)
    encode = jax.jit(lambda module, hidden, ids: module.encode(hidden, ids))
    alone = np.asarray(encode(encoder, *frames))
    counts = np.asarray(frames.segment_ids).sum(axis=1)
    packed = np.zeros((1, counts.sum() + 3, 24), np.float32)
    ids = np.zeros((1, packed.shape[1]), np.int32)
    stops = np.cumsum(counts)
    for row, (count, stop) in enumerate(zip(counts, stops, strict=True)):
        packed[0, stop - count : stop] = frames.hidden[row, :count]
        ids[0, stop - count : stop] = row + 1
    together = np.asarray(encode(encoder, packed, ids))
    for row, (count, stop) in enumerate(zip(counts, stops, strict=True)):
        np.testing.assert_allclose(together[0, stop - count : stop], alone[row, :count], atol=1e-5)


def test_bfloat16(folder: Path) -> None:
    parts = sounds((8000,))
    exact = audio.features_of(parts, folder)[0]
    rough = audio.features_of(parts, audio.load_folder(folder, dtype="bfloat16"))[0]
    assert rough.dtype == np.float32
    assert 0 < np.linalg.norm(rough - exact) < 3e-2 * np.linalg.norm(exact)


def test_an_adapter_beside_the_weights_is_refused(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"holds an adapter \(adapter_config.json\), which is not"):
        audio.load_folder(folder)
