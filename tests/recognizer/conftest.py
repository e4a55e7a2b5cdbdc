"""Fixtures of the tests of recognizers."""

from pathlib import Path

import jax
import pytest

from tests.stubs.run import make_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a whole run."""
    # Tiny models spend their time in the compiler.
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        return make_run(tmp_path_factory.mktemp("finished"))
    finally:
        jax.config.update("jax_disable_most_optimizations", False)
