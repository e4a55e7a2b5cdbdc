"""A folder like a project's after `make quickstart`, for what the documents run."""

import shutil
from pathlib import Path

import pytest

from tests.stubs.audio_encoders import write_folder
from tests.stubs.toys import make_recognizer

ROOT = Path(__file__).resolve().parents[2]
LABELS = "complaint=anger, worry=fear, thanks=joy, information=neutral"


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """The documents, and untrained models where their commands leave trained ones."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "docs", folder / "docs")
    recognizer = make_recognizer(folder / "encoder")
    recognizer.save_pretrained(folder / "runs" / "quickstart" / "model")
    recognizer.with_labels(LABELS).save_pretrained(folder / "runs" / "support")
    write_folder(folder / "wavlm-base-plus")
    return folder
