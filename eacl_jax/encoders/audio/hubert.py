"""HuBERT (arXiv 2106.07447): wav2vec 2.0's network, trained to name clusters of hidden frames."""

from typing import ClassVar

from eacl_jax.encoders.audio.encoder import AudioEncoder, audio_names
from eacl_jax.encoders.weights.names import NameTable


class HubertEncoder(AudioEncoder):
    """As wav2vec 2.0's; the norm before the projection may be missing."""

    names: ClassVar[NameTable] = audio_names("hubert")
