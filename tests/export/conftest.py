"""Fixtures of the tests of exports."""

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from tests.stubs.run import make_run


@pytest.fixture(scope="session", autouse=True)
def compile_fast() -> Iterator[None]:
    """Tiny models spend their time in the compiler."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a whole run."""
    return make_run(tmp_path_factory.mktemp("finished"))
