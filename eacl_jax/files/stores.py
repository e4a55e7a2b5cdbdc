"""Object stores: what is at an address such as `gs://bucket/run` is fetched to this machine, and
what was made here is put there.

A store takes and gives whole objects; it renames, appends and locks nothing. So all that reads and
writes files does so on a disk of this machine, and this module alone knows of stores. Any
store that fsspec knows could be used; those are let in that have been tried.
"""

import contextlib
import errno
import fnmatch
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from eacl_jax.errors import UserError

# The package that each needs; memory, of this process alone, is for tests and demonstrations.
PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "memory": "fsspec"}
_ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+]+):(/*)(.*)", re.DOTALL)
# What stores call the mark by which an object differs from others under its name.
_MARKS = ("generation", "etag", "ETag", "md5Hash", "updated", "LastModified", "created")
# Above this, files are sent in pieces, which one that grows meanwhile would not stand.
_AT_ONCE = 2**26
_copies: dict[str, str] = {}  # addresses by where their copies are


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
    if found is None or not (found[2] or found[1].lower() in ("gs", "s3")):
        return None
    scheme, rest = found[1].lower(), found[3].strip().strip("/")
    named = f"{name}: {given}" if name else f"{given}"
    if scheme not in PACKAGES:
        raise UserError(
            f"{named} is an address of {scheme}; give a path, or an address of gs:// or s3://."
        )
    if not rest or not found[2]:
        raise UserError(f"{named} names no bucket; write {scheme}://BUCKET/FOLDER.")
    return f"{scheme}://{rest}"


def objects(address: str) -> dict[str, Object]:
    """What is at an address, by the names below it; by "" where it is an object itself.

    Raises:
      UserError: the store cannot be asked, or a name leads out of the folder.
    """
    with _explained(address, "read"):
        system, root = _open(address)
        try:
            listed = system.find(root, detail=True)
        except FileNotFoundError:
            return {}
    found = {}
    for path, info in listed.items():
        if info.get("type") == "directory" or path.endswith("/"):
            continue
        name = path.lstrip("/").removeprefix(root.strip("/")).lstrip("/")
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
    if not names:
        return
    with _explained(address, "read"):
        from fsspec.callbacks import TqdmCallback

        system, root = _open(address)
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        # A bar where a person looks on: None has tqdm ask whether that is a terminal.
        bar = {"desc": address, "unit": " files", "leave": False, "disable": None}
        # Lists on both sides: nothing in a name is taken for a pattern.
        system.get(
            [f"{root}/{name}" if name else root for name in names],
            [str(folder / (name or address.rpartition("/")[2])) for name in names],
            callback=TqdmCallback(tqdm_kwargs=bar),
        )


def read_bytes(address: str) -> bytes | None:
    """The content of an object; None where there is none.

    Raises:
      UserError: the store cannot be asked.
    """
    with _explained(address, "read"):
        system, path = _open(address)
        try:
            return bytes(system.cat_file(path))
        except FileNotFoundError:
            return None


def write_bytes(address: str, content: bytes) -> None:
    """Puts an object, or replaces it.

    Raises:
      UserError: it cannot be written.
    """
    with _explained(address, "written"):
        system, path = _open(address)
        system.pipe_file(path, content)


def send(file: Path, address: str) -> None:
    """Puts a file's content at an address.

    Raises:
      FileNotFoundError: the file is not there.
      UserError: it cannot be written.
    """
    if file.stat().st_size <= _AT_ONCE:
        write_bytes(address, file.read_bytes())
        return
    with _explained(address, "written"):
        system, path = _open(address)
        system.put_file(str(file), path)


def send_folder(folder: Path, address: str, together: Collection[str] = ()) -> None:
    """Puts a folder's files at an address, those at its top last: without them nothing takes it for
    whole. Where there are such, they go first, so that old and new are never taken for one.

    Args:
      folder: the files'.
      address: of the folder there.
      together: names of files and folders of which nothing old stays there.

    Raises:
      UserError: it cannot be written.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    new = {path.relative_to(folder).as_posix() for path in files}
    remove(address, [path.name for path in files if path.parent == folder])
    if together:
        there = sorted(objects(address), key=lambda name: name.count("/"))
        remove(address, [n for n in there if n.partition("/")[0] in together and n not in new])
    for file in sorted(files, key=lambda path: (-len(path.parts), path)):
        send(file, f"{address}/{file.relative_to(folder).as_posix()}")


def remove(address: str, names: Iterable[str]) -> None:
    """Deletes objects below an address, in this order; what is not there is passed over.

    Raises:
      UserError: it is not allowed.
    """
    with _explained(address, "changed"):
        system, root = _open(address)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                system.rm_file(f"{root}/{name}")


def local_copy(address: str, cache: Path, *, wanted: Collection[str] = ("*",)) -> Path:
    """A copy of what is at an address, on this machine's disk.

    The store is asked each time; fetched is only what has changed.

    Args:
      address: from `address_of`.
      cache: folder in which copies are kept.
      wanted: patterns of names, as `fnmatch` has them; `*` stands for slashes too. None: it must
        be an object itself.

    Returns:
      The file or folder.

    Raises:
      UserError: there is nothing of it, or it cannot be had.
    """
    from filelock import FileLock  # takes its time, and most paths are none of a store

    folder = cache / "copies" / hashlib.sha256(address.encode()).hexdigest()[:20]
    copy, record = folder / "copy" / address.rpartition("/")[2], folder / "versions.json"
    _copies[str(copy)] = address
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            there = objects(address)
            if not there:
                raise UserError(f"there is nothing at {address}.")
            these = {n: found for n, found in there.items() if not n or _matches(n, wanted)}
            if not these:
                tops = sorted({name.partition("/")[0] for name in there})
                more = ", ..." if len(tops) > 8 else ""
                needed = "none of what is needed here" if wanted else "name a file in it"
                raise UserError(f"{address} holds {', '.join(tops[:8])}{more}: {needed}.")
            here = _versions(record)
            changed = [
                name
                for name, found in these.items()
                if here.get(name) != list(found) or not _holds(copy / name, found)
            ]
            _delete_others(copy, there)
            if changed:
                kept = {name: here[name] for name in here if name in there and name not in changed}
                record.write_text(json.dumps(kept))
                _renew(address, copy, changed)
                again = objects(address)
                if moved := [name for name, found in these.items() if again.get(name) != found]:
                    raise UserError(
                        f"{address}{'/' if moved[0] else ''}{moved[0]} changed while it was read;"
                        " run the same again."
                    )
                record.write_text(json.dumps(kept | {name: list(these[name]) for name in changed}))
    except OSError as error:
        raise UserError(
            f"{address} cannot be copied to {error.filename or folder}: {error.strerror or error}."
        ) from error
    return copy


def with_addresses(text: str) -> str:
    """A message with the addresses of what was copied, in place of where the copies are."""
    for copy, address in _copies.items():
        text = text.replace(copy, address)
    return text


@contextlib.contextmanager
def naming(folder: Path, address: str) -> Iterator[None]:
    """While the block runs, errors name an address in place of the folder that stands for it; not
    where they are about the disk that the folder is on.
    """
    try:
        yield
    except UserError as error:
        if str(folder) not in str(error) or " on the disk" in str(error):
            raise
        raise type(error)(str(error).replace(str(folder), address)) from error.__cause__


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _delete_others(copy: Path, there: Collection[str]) -> None:
    """Deletes from a copy what is no longer at its address."""
    if copy.is_file() and "" not in there:
        copy.unlink()
    elif copy.is_dir() and "" in there:
        shutil.rmtree(copy)
    for file in [path for path in copy.rglob("*") if not path.is_dir()]:
        if file.relative_to(copy).as_posix() not in there:
            file.unlink()
            for folder in file.parents:
                if folder == copy or any(folder.iterdir()):
                    break
                folder.rmdir()


def _renew(address: str, copy: Path, names: list[str]) -> None:
    """Fetches into a copy; who reads the former files goes on doing so."""
    part = copy.parent / f".unfinished-{secrets.token_hex(4)}"
    try:
        part.mkdir()
        fetch(address, names, part)
        for name in names:
            target = copy / name if name else copy
            target.parent.mkdir(parents=True, exist_ok=True)
            (part / (name or copy.name)).replace(target)
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


def _open(address: str) -> tuple[Any, str]:
    import fsspec  # only where there is an address

    scheme = address.partition(":")[0]
    try:
        # What another machine writes is to be seen at once.
        system = fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise UserError(
            f"{address}: the package {PACKAGES[scheme]} is not installed; pip install"
            " 'eacl_jax[stores]'."
        ) from error
    # Not fsspec's own reading of addresses, to which "::" means another store inside.
    return system, system._strip_protocol(address)


@contextlib.contextmanager
def _explained(address: str, done: str) -> Iterator[None]:
    """Says in a line why a store does not do what is asked, whatever its library raises."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and (
            error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
            or (error.filename and os.path.exists(error.filename))
        ):
            raise  # it is about this machine's disk
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise UserError(
            f"{address} cannot be {done} ({type(error).__name__}: {reason}); look at its name, at"
            " the network, and at what your credentials allow."
        ) from error
