"""Fixtures of the tests of exports."""

from pathlib import Path

import pytest

from tests.stubs.run import make_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a whole run."""
    return make_run(tmp_path_factory.mktemp("finished"))
