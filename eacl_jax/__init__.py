"""Emotion recognition in conversation with emotion-anchored contrastive learning, in JAX."""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eacl_jax.dialogue import Dialogue, Utterance
    from eacl_jax.recognizer.ensemble import Ensemble
    from eacl_jax.recognizer.recognizer import EmotionRecognizer

# Else transformers tells whoever uses JAX that PyTorch is missing.
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")

__all__ = ["Dialogue", "EmotionRecognizer", "Ensemble", "Utterance"]

# Only on demand: the recognizer imports JAX, for which a mistyped command line should not wait.
_MODULES = {
    "Dialogue": "dialogue",
    "Utterance": "dialogue",
    "EmotionRecognizer": "recognizer.recognizer",
    "Ensemble": "recognizer.ensemble",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"eacl_jax.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
