"""Encoders of sound small enough to compare number by number, and sounds for them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.encoders import save
from eacl_jax.encoders.audio import AudioEncoder
from eacl_jax.encoders.audio.loading import abstract_encoder
from eacl_jax.encoders.weights.parameters import draw_parameters

_SIZES: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "conv_dim": [6, 10, 8],
    "conv_kernel": [10, 3, 2],
    "conv_stride": [5, 2, 2],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    # Large, so that attention is far from uniform and a mistake shows.
    "initializer_range": 0.3,
}
# As the large ones of the family are.
_STABLE: dict[str, Any] = {
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}

CONFIGS: dict[str, dict[str, Any]] = {
    "wav2vec2": {**_SIZES, "model_type": "wav2vec2"},
    "wav2vec2-stable": {
        **_SIZES,
        **_STABLE,
        "model_type": "wav2vec2",
        "num_conv_pos_embeddings": 5,
        "hidden_act": "relu",
        "layer_norm_eps": 1e-3,
    },
    "wav2vec2-group-stable": {**_SIZES, "model_type": "wav2vec2", "do_stable_layer_norm": True},
    "hubert": {**_SIZES, "model_type": "hubert", "feat_proj_layer_norm": False},
    "hubert-stable": {**_SIZES, **_STABLE, "model_type": "hubert"},
    "wavlm": {**_SIZES, "model_type": "wavlm", "num_buckets": 8, "max_bucket_distance": 12},
    "wavlm-stable": {
        **_SIZES,
        **_STABLE,
        "model_type": "wavlm",
        "num_buckets": 16,
        "max_bucket_distance": 20,
    },
}


def sounds(lengths: Sequence[int], seed: int = 0) -> list[np.ndarray]:
    """Noise about a slow tone, float32, neither of mean 0 nor of deviation 1."""
    random = np.random.default_rng(seed)
    return [
        (
            0.02
            + 0.1 * np.sin(np.arange(length) / random.uniform(20, 60))
            + 0.05 * random.standard_normal(length)
        ).astype(np.float32)
        for length in lengths
    ]


def padded(parts: Sequence[np.ndarray], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their lengths; padding is noise."""
    rows = np.random.default_rng(9).standard_normal((len(parts), width)).astype(np.float32)
    for row, part in zip(rows, parts, strict=True):
        row[: len(part)] = part
    return rows, np.array([len(part) for part in parts], np.int32)


def build(config: Mapping[str, Any], *, seed: int = 0) -> AudioEncoder:
    """An encoder with random weights."""
    deviation = config["initializer_range"]
    return draw_parameters(abstract_encoder(config), seed=seed, deviation=deviation)


def write_folder(
    folder: Path,
    config: Mapping[str, Any] = CONFIGS["wavlm"],
    *,
    seed: int = 0,
    **preprocessor: Any,
) -> Path:
    """A Hugging Face folder of a tiny encoder with random weights."""
    save(build(config, seed=seed), config, folder)
    described = {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "sampling_rate": 16000,
        "do_normalize": True,
        **preprocessor,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(described))
    return folder
