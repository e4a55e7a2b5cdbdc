"""Fixtures of the tests of exports."""

from pathlib import Path

import pytest

from tests.stubs.run import make_run
from tests.stubs.shared import shared_folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """The folder of a whole run."""
    return shared_folder(tmp_path_factory, "finished_stub", make_run) / "run"
