"""wav2vec 2.0 (arXiv 2006.11477), and XLSR, which is of its kind."""

from typing import ClassVar

from eacl_jax.encoders.audio.encoder import AudioEncoder, audio_names
from eacl_jax.encoders.weights.names import NameTable


class Wav2Vec2Encoder(AudioEncoder):
    """The plain one of the family."""

    names: ClassVar[NameTable] = audio_names("wav2vec2")
