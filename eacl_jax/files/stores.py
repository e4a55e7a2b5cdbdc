"""Object stores: what is at an address such as `gs://bucket/run` is fetched to this machine, and
what was made here is put there.

A store takes and gives whole objects; it renames, appends and locks nothing. So all that reads and
writes files does so on a disk of this machine, and this is the only place that knows of stores. Any
store that fsspec knows could be used; those are let in that have been tried.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from eacl_jax.errors import UserError

# The package that each needs; memory, of this process alone, is for tests and demonstrations.
PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "memory": "fsspec"}
_ADDRESS = re.compile(r"([a-z][a-z0-9+]+):/+(.*)", re.DOTALL)
# What stores call the mark by which an object differs from others under its name.
_MARKS = ("generation", "etag", "ETag", "md5Hash", "updated", "LastModified", "created")
_VERSIONS = "versions.json"
# Above this, files are sent in pieces, which one that grows meanwhile would not stand.
_AT_ONCE = 2**26


class Object(NamedTuple):
    """Something at an address: its size in bytes, and what differs when it is replaced."""

    size: int
    mark: str


def address_of(given: str | Path, name: str = "") -> str | None:
    """The address that is given, without a slash at its end; None where it is a path.

    Args:
      given: by the user. A `Path` has lost one of an address' two slashes.
      name: what it is for, as the user names it, for the message.

    Raises:
      UserError: it is an address that cannot be used.
    """
    found = _ADDRESS.match(str(given))
    if found is None:
        return None
    scheme, rest = found[1], found[2].strip("/")
    named = f"{name}: {given}" if name else f"{given}"
    if scheme not in PACKAGES:
        raise UserError(
            f"{named} is an address of {scheme}; give a path, or an address of"
            f" {' or '.join(f'{each}://' for each in ('gs', 's3'))}."
        )
    if not rest:
        raise UserError(f"{named} names no bucket; write {scheme}://BUCKET/FOLDER.")
    return f"{scheme}://{rest}"


def objects(address: str) -> dict[str, Object]:
    """What is at an address, by the names below it; by "" where it is an object itself.

    Raises:
      UserError: the store cannot be asked, or a name leads out of the folder.
    """
    with _told(address, "read"):
        system, root = _open(address)
        try:
            listed = system.find(root, detail=True)
        except FileNotFoundError:
            return {}
    found = {}
    for place, info in listed.items():
        if info.get("type") == "directory" or place.endswith("/"):
            continue
        name = place.lstrip("/").removeprefix(root.strip("/")).lstrip("/")
        if ".." in name.split("/"):
            raise UserError(f"{address}: an object's name leads out of the folder: {name!r}.")
        mark = next((str(info[key]) for key in _MARKS if info.get(key)), "")
        found[name] = Object(int(info["size"]), mark)
    if len(found) > 1:  # some tools put an empty object where a folder begins
        found.pop("", None)
    return found


def fetch(address: str, names: Iterable[str], folder: Path) -> None:
    """Copies objects below an address into a folder, under their names.

    Raises:
      UserError: they cannot be had, or written here.
    """
    names = list(names)
    with _told(address, "read"):
        system, root = _open(address)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if names:
            # Lists on both sides: nothing in a name is taken for a pattern.
            system.get(
                [f"{root}/{name}" if name else root for name in names],
                [str(folder / (name or _last(address))) for name in names],
            )


def read_bytes(address: str) -> bytes | None:
    """The content of an object; None where there is none.

    Raises:
      UserError: the store cannot be asked.
    """
    with _told(address, "read"):
        system, place = _open(address)
        try:
            return bytes(system.cat_file(place))
        except FileNotFoundError:
            return None


def write_bytes(address: str, content: bytes) -> None:
    """Puts an object, or replaces it.

    Raises:
      UserError: it cannot be written.
    """
    with _told(address, "written"):
        system, place = _open(address)
        system.pipe_file(place, content)


def send(file: Path, address: str) -> None:
    """Puts a file's content at an address.

    Raises:
      FileNotFoundError: the file is not there.
      UserError: it cannot be written.
    """
    if file.stat().st_size <= _AT_ONCE:
        write_bytes(address, file.read_bytes())
        return
    with _told(address, "written"):
        system, place = _open(address)
        system.put_file(str(file), place)


def send_folder(folder: Path, address: str) -> None:
    """Puts a folder's files at an address, those at its top last: without them nothing takes it for
    whole.

    Raises:
      UserError: it cannot be written.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    for file in sorted(files, key=lambda path: (-len(path.parts), path)):
        send(file, f"{address}/{file.relative_to(folder).as_posix()}")


def remove(address: str, names: Iterable[str]) -> None:
    """Deletes objects below an address, in this order; what is not there is passed over.

    Raises:
      UserError: it is not allowed.
    """
    with _told(address, "changed"):
        system, root = _open(address)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                system.rm_file(f"{root}/{name}")


def local_copy(address: str, cache: Path, *, without: Collection[str] = ()) -> Path:
    """A copy of what is at an address, on this machine's disk.

    The store is asked each time; fetched is only what has changed.

    Args:
      address: from `address_of`.
      cache: folder in which copies are kept.
      without: beginnings of names that are not wanted.

    Returns:
      The file or folder.

    Raises:
      UserError: there is nothing, or it cannot be had.
    """
    place = cache / "copies" / hashlib.sha256(address.encode()).hexdigest()[:20]
    copy, record = place / _last(address), place / _VERSIONS
    try:
        place.mkdir(parents=True, exist_ok=True)
        with FileLock(place / ".lock"):
            there = objects(address)
            if not there:
                raise UserError(f"there is nothing at {address}.")
            here = _versions(record)
            wanted = {
                name: found
                for name, found in there.items()
                if not name.startswith(tuple(without)) or not name
            }
            changed = [
                name
                for name, found in wanted.items()
                if here.get(name) != list(found) or not _holds(copy / name, found)
            ]
            gone = [name for name in here if name not in there]
            if changed or gone:
                kept = {n: v for n, v in here.items() if n not in {*changed, *gone}}
                record.write_text(json.dumps(kept))
                _renew(address, copy, changed, gone)
                kept |= {name: list(wanted[name]) for name in changed}
                if short := [name for name in changed if not _holds(copy / name, wanted[name])]:
                    raise UserError(
                        f"{address}/{short[0]} changed while it was read; run the same again."
                    )
                record.write_text(json.dumps(kept))
    except OSError as error:
        raise UserError(
            f"{address} cannot be copied to {error.filename or place}: {error.strerror or error}."
        ) from error
    return copy


def naming(folder: Path, address: str) -> "contextlib.AbstractContextManager[None]":
    """While the block runs, errors name an address in place of the folder with its copy."""
    return _named(str(folder), address)


@contextlib.contextmanager
def _named(folder: str, address: str) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        if folder not in str(error):
            raise
        raise type(error)(str(error).replace(folder, address)) from error.__cause__


def _renew(address: str, copy: Path, changed: Iterable[str], gone: Iterable[str]) -> None:
    """Fetches what has changed, and deletes what is gone; who reads the former files goes on doing
    so.
    """
    part = copy.parent / f".unfinished-{secrets.token_hex(4)}"
    try:
        part.mkdir()
        changed = list(changed)
        fetch(address, changed, part)
        for name in changed:
            target = copy / name if name else copy
            if name and copy.is_file():
                copy.unlink()
            elif target.is_dir():
                shutil.rmtree(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            (part / (name or copy.name)).replace(target)
        for name in gone:
            if name not in ("", *changed):
                (copy / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _versions(record: Path) -> dict[str, Any]:
    try:
        found = json.loads(record.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _holds(file: Path, found: Object) -> bool:
    return file.is_file() and file.stat().st_size == found.size


def _last(address: str) -> str:
    return address.rpartition("/")[2]


def _open(address: str) -> tuple[Any, str]:
    import fsspec  # only where there is an address

    scheme = address.partition(":")[0]
    try:
        # What another machine writes is to be seen at once.
        system, place = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        raise UserError(
            f"{address}: the package {PACKAGES[scheme]} is not installed; pip install"
            " 'eacl_jax[stores]'."
        ) from error
    return system, place


@contextlib.contextmanager
def _told(address: str, done: str) -> Iterator[None]:
    """Tells in a line why a store does not do what is asked, whatever its library raises."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.filename and os.path.exists(error.filename):
            raise  # it is about this machine's disk
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise UserError(
            f"{address} cannot be {done} ({type(error).__name__}: {reason}); look at its name, at"
            " the network, and at what your credentials allow."
        ) from error
