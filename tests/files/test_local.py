"""What is told of files that cannot be read."""

from pathlib import Path

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
