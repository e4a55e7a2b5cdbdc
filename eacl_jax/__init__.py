"""Emotion recognition in conversation with emotion-anchored contrastive learning, in JAX."""

import os
from typing import TYPE_CHECKING, Any

from eacl_jax.dialogue import Dialogue, Utterance

if TYPE_CHECKING:
    from eacl_jax.recognizer import EmotionRecognizer

# Else transformers tells whoever uses JAX that PyTorch is missing.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

__all__ = ["Dialogue", "EmotionRecognizer", "Utterance"]


def __getattr__(name: str) -> Any:
    # Only on demand: it imports JAX and transformers, for which a mistyped command line should not wait.
    if name == "EmotionRecognizer":
        from eacl_jax.recognizer import EmotionRecognizer

        return EmotionRecognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
