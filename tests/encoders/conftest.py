"""Settings for this folder's tests."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def compile_fast() -> Iterator[None]:
    """Tiny models spend their time in the compiler. The comparisons with PyTorch compile as users
    do.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
