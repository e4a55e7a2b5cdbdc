"""A run at an address of an object store: it works in a folder of this machine, and what it has
written stands at the address soon after.

Files are put whole, again when they have grown. A checkpoint counts once the last of its objects
is there, an empty one by the name of `_WHOLE`; `results.json` comes after all else. So whatever
moment a machine is lost at, another goes on from what is at the address. There are no locks in a
store: the run that began last has the address, and the one before it notices, and stops.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.training import processes
from eacl_jax.training.loop import Interrupted, StopRequest
from eacl_jax.training.run_folder import CONFIG, RESULTS

log = logging.getLogger(__name__)

_CHECKPOINTS = "checkpoints"
_WHOLE = "whole.txt"
_USER = ".user.json"
_TOKEN = ".token"  # in the folder here: as which claim it was written
_EVERY = 15.0  # seconds between two looks at what was written
_AGAIN = (2.0, 10.0)  # seconds before what could not be put at the end is tried again

Step = tuple[str, str]  # stage, step


class Mirror:
    """One run's address, and the folder here that stands for it meanwhile."""

    def __init__(self, address: str, folder: Path, stop: Callable[[], None]) -> None:
        """Args:
        address: from `stores.address_of`.
        folder: emptied, and used by this process alone.
        stop: asks the run to stop, where another has taken the address.
        """
        self.address, self.folder = address, folder
        self._stop = stop
        self._lock = FileLock(folder.with_name(f"{folder.name}.lock"), timeout=0)
        self._token = uuid.uuid4().hex
        self._sent: dict[str, tuple[int, int]] = {}
        self._steps: set[Step] = set()  # whole, at the address
        self._left: list[str] = []  # of checkpoints that never became whole
        self._passing = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._problem = ""
        self.kept = False
        """Whether something could not be put at the address, and is in the folder still."""
        self.taken = ""
        """What to say when another has taken the address; empty while it is this run's."""

    def named(self, path: Path) -> str:
        """Where a path in the folder stands."""
        inside = path.relative_to(self.folder).as_posix()
        return self.address if inside == "." else f"{self.address}/{inside}"

    def open(self) -> None:
        """Fetches what a run needs to go on.

        Raises:
          UserError: what is there is no run's, it cannot be had, or another process of this machine
            is at it.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise UserError(
                f"{self.address}: another process of this machine is training there; wait for it,"
                " stop it, or name another address."
            ) from error
        try:
            self._finish_former()
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            self._fetch()
        except BaseException:
            self._lock.release()
            raise

    def _finish_former(self) -> None:
        """Puts there what a run of this machine has left here, killed or without the store, unless
        another has had the address since.
        """
        token = self.folder / _TOKEN
        if token.exists() and self._claim().get("token") == token.read_text():
            self._token, own = token.read_text(), self._token
            self._steps = {
                step
                for name in stores.objects(self.address)
                if (step := _step_of(name)) and name == _marker(step)
            }
            self._pass()
            self._token = own

    def _fetch(self) -> None:
        there = {
            name: found for name, found in stores.objects(self.address).items() if name[0] != "."
        }
        if there and CONFIG not in there:
            raise UserError(
                f"workdir {self.address} holds files but no {CONFIG}, so it is not a run's folder;"
                " name an empty or new one."
            )
        steps: dict[Step, list[str]] = {}
        for name in there:
            if (step := _step_of(name)) is not None:
                steps.setdefault(step, []).append(name)
        whole = {step for step, names in steps.items() if _marker(step) in names}
        complete = RESULTS in there
        wanted = [name for name in there if "/" not in name]
        if not complete:
            wanted += [name for step in whole for name in steps[step]]
        stores.fetch(self.address, wanted, self.folder)
        for step in whole:
            (self.folder / _marker(step)).unlink(missing_ok=True)
        if complete:  # what stands there need not be fetched to be known of
            for folder in {name.partition("/")[0] for name in there if "/" in name}:
                (self.folder / folder).mkdir(exist_ok=True)
        self._steps = whole
        self._left = [name for step, names in steps.items() if step not in whole for name in names]
        self._sent = dict(self._files())

    def claim(self) -> None:
        """Makes the address this run's, and begins to put there what is written.

        Raises:
          UserError: it is not allowed to write there.
        """
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        user = f"process {os.getpid()} on {socket.gethostname()}, since {since}"
        claim = json.dumps({"token": self._token, "user": user})
        stores.write_bytes(f"{self.address}/{_USER}", claim.encode())
        (self.folder / _TOKEN).write_text(self._token)
        stores.remove(self.address, self._left)
        self._thread = threading.Thread(target=self._keep_up, name="mirror", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Puts there all that was written.

        Raises:
          UserError: it cannot be written; the folder here keeps it for the next run.
        """
        for wait in (*_AGAIN, None):
            try:
                self._pass()
                return
            except UserError:
                if self.taken or wait is None:
                    self.kept = not self.taken
                    raise
                time.sleep(wait)

    def close(self, *, flush: bool) -> None:
        """Ends the copying.

        Args:
          flush: put there what is not yet; else what is here is given up.

        Raises:
          UserError: as `flush`.
        """
        try:
            if self._thread is not None:
                self._closing.set()
                self._thread.join()
                if flush and not self.taken:
                    self.flush()
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            self._lock.release()

    def _keep_up(self) -> None:
        while not self._closing.wait(_EVERY):
            try:
                self._pass()
                self._problem = ""
            except Exception as error:  # tried again; at the end it counts
                if self.taken:
                    self._stop()
                    return
                if self._problem != str(error):
                    self._problem = str(error)
                    log.warning("%s Training goes on; it is tried again.", error)

    def _pass(self) -> None:
        with self._passing:
            # First what steps there are: the rows that go with them are then written already.
            steps = set(self._whole_steps())
            files = {name: state for name, state in self._files() if self._sent.get(name) != state}
            new, old = steps - self._steps, self._steps - steps
            if not (files or new or old):
                return
            self._check_mine()
            results = files.pop(RESULTS, None)
            for name, state in files.items():
                self._send(name, state)
            for step in sorted(new):
                self._send_step(step)
            for step in old:
                self._remove_step(step)
            if results is not None:
                self._send(RESULTS, results)

    def _claim(self) -> dict[str, str]:
        found = stores.read_bytes(f"{self.address}/{_USER}")
        return json.loads(found) if found else {}

    def _check_mine(self) -> None:
        claim = self._claim()
        if claim.get("token") != self._token:
            self.taken = (
                f"{self.address}: a run that began later has taken this address"
                f" ({claim.get('user', 'unknown')}), so this one stops; nothing more of it is put"
                " there."
            )
            raise UserError(self.taken)

    def _send(self, name: str, state: tuple[int, int]) -> None:
        try:
            stores.send(self.folder / name, f"{self.address}/{name}")
        except FileNotFoundError:  # replaced meanwhile: next time
            return
        self._sent[name] = state

    def _send_step(self, step: Step) -> None:
        folder = self.folder.joinpath(_CHECKPOINTS, *step)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        try:
            for file in files:
                name = file.relative_to(self.folder).as_posix()
                stores.send(file, f"{self.address}/{name}")
        except FileNotFoundError:  # a newer one came, and it was deleted
            self._remove_step(step)
            return
        stores.write_bytes(f"{self.address}/{_marker(step)}", b"")
        self._steps.add(step)

    def _remove_step(self, step: Step) -> None:
        place = f"{self.address}/{_CHECKPOINTS}/{'/'.join(step)}"
        stores.remove(place, [_WHOLE, *stores.objects(place)])
        self._steps.discard(step)

    def _whole_steps(self) -> Iterator[Step]:
        """Checkpoints here; orbax gives them their names once they are whole."""
        for folder in self.folder.glob(f"{_CHECKPOINTS}/*/*"):
            if folder.name.isdecimal():
                yield folder.parent.name, folder.name

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """All files but those of checkpoints and hidden ones, with what changes when they do."""
        for place, folders, files in os.walk(self.folder):
            folders[:] = sorted({name for name in folders if name[0] != "."} - {_CHECKPOINTS})
            for file in (Path(place, name) for name in sorted(files) if name[0] != "."):
                with contextlib.suppress(FileNotFoundError):  # replaced meanwhile: next time
                    found = file.stat()
                    name = file.relative_to(self.folder).as_posix()
                    yield name, (found.st_size, found.st_mtime_ns)


def _step_of(name: str) -> Step | None:
    parts = PurePosixPath(name).parts
    if len(parts) < 4 or parts[0] != _CHECKPOINTS:
        return None
    return parts[1], parts[2]


def _marker(step: Step) -> str:
    return f"{_CHECKPOINTS}/{'/'.join(step)}/{_WHOLE}"


@contextlib.contextmanager
def mirrored(address: str, cache: Path, stop: StopRequest) -> Iterator[Mirror]:
    """A run's address while the block runs; of several processes only the first copies.

    Args:
      address: from `stores.address_of`.
      cache: folder in which the run may work.
      stop: asked where another run takes the address.

    Raises:
      UserError: what is at the address cannot be used, or nothing can be put there. Errors from
        within name the address, not the folder.
    """
    name = hashlib.sha256(address.encode()).hexdigest()[:20]
    ask = processes.ask_to_stop if processes.count() > 1 else stop.ask
    mirror = Mirror(address, cache / "runs" / name, ask)
    try:
        with stores.naming(mirror.folder, address):
            processes.by_main("address", mirror.open)
            if processes.is_main():
                with _closing(mirror):
                    yield mirror
            else:
                yield mirror
    except UserError as error:
        if not mirror.kept:
            raise
        raise UserError(
            f"{error} What this run has written is in {mirror.folder}; the same command, run again"
            " on this machine, puts it there."
        ) from error.__cause__


@contextlib.contextmanager
def _closing(mirror: Mirror) -> Iterator[None]:
    try:
        yield
    except Interrupted:
        mirror.close(flush=True)
        if mirror.taken:
            raise UserError(mirror.taken) from None
        raise
    except BaseException as error:
        with contextlib.suppress(UserError):  # what is the matter has been said
            mirror.close(flush=not isinstance(error, KeyboardInterrupt))
        raise
    mirror.close(flush=True)
