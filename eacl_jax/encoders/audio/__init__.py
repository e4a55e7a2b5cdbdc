"""Pretrained encoders of sound: wav2vec 2.0, HuBERT and WavLM.

    loaded = load_folder("wavlm-base-plus")
    frames = features_of(sounds, loaded, layer=-1, parts=0)

A new architecture is one file, a subclass of `AudioEncoder`, and a line in `loading.ARCHITECTURES`.
"""

from eacl_jax.encoders.audio.encoder import AudioEncoder, Frames
from eacl_jax.encoders.audio.loading import ARCHITECTURES, LoadedAudioEncoder, load_folder
from eacl_jax.encoders.audio.passes import AudioPasses, features_of, made_by

__all__ = [
    "ARCHITECTURES",
    "AudioEncoder",
    "AudioPasses",
    "Frames",
    "LoadedAudioEncoder",
    "features_of",
    "load_folder",
    "made_by",
]
