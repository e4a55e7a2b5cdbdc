"""A tiny real recognizer, and a service to talk to without a network."""

from collections.abc import Iterator

import jax
import pytest

from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.toys import make_recognizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Iterator[EmotionRecognizer]:
    """An untrained recognizer of three emotions."""
    # Tiny models spend their time in the compiler.
    jax.config.update("jax_disable_most_optimizations", True)
    yield make_recognizer(tmp_path_factory.mktemp("tiny"))
    jax.config.update("jax_disable_most_optimizations", False)
