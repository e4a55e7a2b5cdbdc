"""Messages about files that cannot be read."""

from pathlib import Path

import pytest

from eacl_jax.errors import UserError
from eacl_jax.files import local


def test_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    assert (
        local.unreadable(file, PermissionError(13, "Permission denied"))
        == f"{file} may not be read (permission denied)"
    )
    assert local.unreadable(file, ValueError("No space left on device (os error 28)")).endswith(
        "(No space left on device)"
    )
    assert local.unreadable(file, FileNotFoundError(2, "")) == f"{file} is missing"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("gs://runs/meld", "gs://runs/meld is in an object store"),
        (Path("gs://runs/meld"), "gs://runs/meld is in an object store"),
        ("s3://b/c", "s3://b/c is in an object store"),
        ("file:///x", "file:///x is an address of file"),
    ],
)
def test_an_address_is_no_folder_to_be_made_here(given, message):
    with pytest.raises(UserError, match=f"workdir: {message}"):
        local.expand(given, "workdir")


@pytest.mark.parametrize("given", ["runs/a:b", "C:/runs", "a/gs:/b", "~"])
def test_other_paths_with_colons_are_paths(given):
    assert local.expand(given) == Path(given).expanduser()
