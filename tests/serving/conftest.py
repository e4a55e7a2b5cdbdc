"""A tiny real recognizer, and a service to talk to without a network."""

import pytest

from eacl_jax.recognizer.recognizer import EmotionRecognizer
from tests.stubs.several import make_several
from tests.stubs.toys import make_recognizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> EmotionRecognizer:
    """An untrained recognizer of three emotions."""
    return make_recognizer(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def several(tmp_path_factory) -> EmotionRecognizer:
    """An untrained recognizer of several of three emotions an utterance."""
    return make_several(tmp_path_factory.mktemp("several"))
