"""Folders and files that appear whole or not at all."""

import errno
import itertools
import os
from pathlib import Path

import pytest

from eacl_jax.errors import UserError
from eacl_jax.files.whole import check_file, check_new, new_folder, write_text


def names(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*"))


def write(folder: Path, text: str = "new") -> None:
    (folder / "encoder").mkdir()
    (folder / "encoder" / "weights").write_text(text)
    (folder / "config").write_text(text)


def fail(folder: Path, error: BaseException) -> None:
    with new_folder(folder) as new:
        write(new)
        raise error


WHOLE = ["config", "encoder", "encoder/weights"]
FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    Exception("No space left on device (os error 28)"),
]


@pytest.mark.parametrize("made", [False, True], ids=["new", "empty"])
def test_a_folder_appears_whole(made: bool, tmp_path: Path) -> None:
    out = tmp_path / "above" / "out"
    if made:
        out.mkdir(parents=True)
    with new_folder(out) as new:
        write(new)
        assert not (out / "config").exists()
    assert names(out) == WHOLE
    assert names(tmp_path / "above") == ["out", *(f"out/{name}" for name in WHOLE)]


@pytest.mark.parametrize("made", [False, True], ids=["new", "empty"])
@pytest.mark.parametrize(
    "error", [*FULL, KeyboardInterrupt(), ValueError("a bug")], ids=["full", "rust", "stop", "bug"]
)
def test_nothing_is_left_of_what_fails(made: bool, error: BaseException, tmp_path: Path) -> None:
    out = tmp_path / "above" / "out"
    if made:
        out.mkdir(parents=True)
    expected = UserError if error in FULL else type(error)
    with pytest.raises(
        expected,
        match=r"out cannot be written \(No space left on device\)" if error in FULL else None,
    ):
        fail(out, error)
    assert names(tmp_path) == (["above", "above/out"] if made else [])
    check_new(out)


def test_what_is_there_is_replaced_or_stays_as_it_was(tmp_path: Path) -> None:
    write(tmp_path, "old")
    (tmp_path / "mine").touch()
    (tmp_path / "encoder" / "stale").touch()
    with pytest.raises(UserError, match="was left as it was"):
        fail(tmp_path, FULL[0])
    assert (
        (tmp_path / "config").read_text() == (tmp_path / "encoder" / "weights").read_text() == "old"
    )
    with new_folder(tmp_path) as new:
        write(new)
    assert names(tmp_path) == [*WHOLE, "mine"]
    assert (
        (tmp_path / "config").read_text() == (tmp_path / "encoder" / "weights").read_text() == "new"
    )


def test_a_folder_that_is_written_within_one(tmp_path: Path) -> None:
    with new_folder(tmp_path / "out") as outer:
        with new_folder(outer) as inner:
            write(inner)
        (outer / "config").write_text("changed")
    assert names(tmp_path / "out") == WHOLE


def test_a_file_is_replaced_or_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "file", "old")
    with pytest.raises(UserError, match=r"file/x cannot be written \(Not a directory\)"):
        write_text(tmp_path / "file" / "x", "text")

    def full(*_: object) -> None:
        raise FULL[0]

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        write_text(tmp_path / "file", "new")
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_a_folder_that_cannot_be_made_is_refused_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, message in (
        ("file", "is there and is no folder"),
        ("file/x/y", "file is no folder"),
        ("", "not an empty folder"),
    ):
        with pytest.raises(UserError, match=message):
            check_new(tmp_path / path)
    check_new(tmp_path / "a" / "b")
    (tmp_path / "locked").mkdir(mode=0o500)
    if not os.access(tmp_path / "locked", os.W_OK):
        with pytest.raises(
            UserError,
            match=r"--output: .*locked/new cannot be made: it is not allowed to write in .*locked",
        ):
            check_new(tmp_path / "locked" / "new", "--output")


OWN = ("config", "heads", "encoder", "adapter")


def old_model(folder: Path) -> None:
    folder.mkdir()
    write(folder, "old")
    for name in ("heads", "adapter", "notes"):
        (folder / name).write_text("old")


def replace(folder: Path) -> None:
    with new_folder(folder, OWN) as new:
        write(new)
        (new / "heads").write_text("new")


def contents(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_nothing_old_stays_of_what_belongs_together(tmp_path: Path) -> None:
    old_model(tmp_path / "out")
    with new_folder(tmp_path / "out", OWN) as new:
        write(new)
    assert contents(tmp_path / "out") == {
        "config": "new",
        "encoder/weights": "new",
        "notes": "old",
    }


@pytest.mark.parametrize("linked", [False, True])
def test_a_process_that_ends_in_between_leaves_no_mixture(
    linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each renaming: all is old, or a file is missing, or all is new."""
    rename, count = Path.rename, 0

    def renamed(source: Path, target: Path) -> Path:
        nonlocal count
        if not count:
            raise KeyError("as if the process had been killed")
        count -= 1
        return rename(source, target)

    seen = set()
    for after in range(20):
        out, kept = tmp_path / f"out{after}", tmp_path / f"weights{after}"
        old_model(out)
        if linked:
            rename(out / "encoder", kept)
            (out / "encoder").symlink_to(kept)
        count = after
        monkeypatch.setattr(Path, "rename", renamed)
        try:
            replace(out)
        except KeyError:
            count = 0
        monkeypatch.undo()
        found = contents(out)
        whole = {"config", "heads"} <= found.keys()
        if whole:
            read = {(out / name).read_text() for name in ("config", "heads", "encoder/weights")}
            assert len(read) == 1
            seen |= read
        if linked:
            assert (kept / "weights").read_text() == "old"
    assert seen == {"old", "new"}


def test_what_was_moved_comes_back_where_something_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    for number in range(7):  # four are taken away, three come
        out, calls = tmp_path / f"out{number}", itertools.count()
        old_model(out)
        before = contents(out)

        def renamed(source: Path, target: Path, bad: int = number, calls=calls) -> Path:
            if next(calls) == bad:
                raise PermissionError(errno.EACCES, "denied")
            return rename(source, target)

        monkeypatch.setattr(Path, "rename", renamed)
        with pytest.raises(UserError, match="was left as it was"):
            replace(out)
        monkeypatch.undo()
        assert contents(out) == before


def test_what_cannot_be_moved_back_is_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    for number in range(1, 7):
        out, calls = tmp_path / f"out{number}", itertools.count()
        old_model(out)
        before = sorted(contents(out).values())

        def renamed(source: Path, target: Path, bad: int = number, calls=calls) -> Path:
            if next(calls) >= bad:
                raise PermissionError(errno.EACCES, "denied")
            return rename(source, target)

        monkeypatch.setattr(Path, "rename", renamed)
        with pytest.raises(UserError, match=rf"the rest is in {out}/\.unfinished-") as told:
            replace(out)
        monkeypatch.undo()
        assert "was left as it was" not in str(told.value)
        after = [file.read_text() for file in out.rglob("*") if file.is_file()]
        assert not (set(before) - set(after))


def test_a_signal_right_behind_a_rename_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    for number in range(7):
        out, calls = tmp_path / f"out{number}", itertools.count()
        old_model(out)
        before = contents(out)

        def renamed(source: Path, target: Path, bad: int = number, calls=calls) -> Path:
            moved = rename(source, target)
            if next(calls) == bad:
                raise KeyboardInterrupt
            return moved

        monkeypatch.setattr(Path, "rename", renamed)
        with pytest.raises(KeyboardInterrupt):
            replace(out)
        monkeypatch.undo()
        assert contents(out) == before


def test_a_link_stays_one_and_a_file_is_for_whom_it_was(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "private", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o600)
    link.symlink_to(file)
    check_file(link, "--json")
    write_text(link, "new")
    assert (link.is_symlink(), file.read_text(), file.stat().st_mode & 0o777) == (
        True,
        "new",
        0o600,
    )
    assert os.listdir(tmp_path / "there") == ["private"]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe is a pipe or a device; name a file"):
        check_file(tmp_path / "pipe", "--json")
