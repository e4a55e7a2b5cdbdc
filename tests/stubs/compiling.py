"""How tests of tiny models compile; a conftest that imports the fixture has all its tests do so."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="session", autouse=True)
def compile_fast() -> Iterator[None]:
    """Tiny models spend their time in the compiler."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
