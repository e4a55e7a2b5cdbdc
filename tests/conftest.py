"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of golden numbers and public corpora, which are not part of the project."""
    folder = Path(os.environ.get("EACL_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder.name!r} beside the project and EACL_SHARED is not set: golden numbers and corpora are not here")
    return folder
