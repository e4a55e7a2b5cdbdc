"""A run at an address of an object store: it works in a folder of this machine, and what it has
written stands at the address soon after.

Files are put whole, again when they have grown. A checkpoint counts by an object that is put last
and lists the others; while it is put or taken away another one says so; the one before goes when
the new one is whole; `results.json` comes after all else. So whatever moment a machine is lost at,
another goes on from what is at the address. Checkpoints that have neither mark were put there by
somebody else, and are refused. There are no locks in a store: the run that began last has the
address, and the one before it notices, and stops.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from eacl_jax.errors import UserError
from eacl_jax.files import stores
from eacl_jax.training import processes
from eacl_jax.training.checkpoint import ASIDE
from eacl_jax.training.loop import Interrupted, StopRequest
from eacl_jax.training.run_folder import CONFIG, RESULTS, check_path

log = logging.getLogger(__name__)

_CHECKPOINTS = "checkpoints"
_WHOLE = "whole.json"  # of a checkpoint: the sizes of its other objects, by name
_UNFINISHED = "unfinished.json"  # of a checkpoint that a run puts there or takes away
_USER = ".user.json"
_TOKEN = ".token"  # in the folder here: as which claim it was written
_SENDING = ".sending"  # in the folder here: links to what is being put there
_MARKS = (f"/{_WHOLE}", f"/{_UNFINISHED}")
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
        self._open = False
        self._claim = {"token": "", "user": ""}
        self._sent: dict[str, tuple[int, int]] = {}
        self._steps: set[Step] = set()  # whole, at the address
        self._begun: set[Step] = set()  # there in part
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
          UserError: what is there is no run's, it cannot be had, nobody knows whether it is whole,
            or another process of this machine is at it.
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
            self._clear()
            self.folder.mkdir()
            self._fetch()
        except BaseException:
            self._lock.release()
            raise
        self._open = True

    def claim(self) -> None:
        """Makes the address this run's, and begins to put there what is written.

        Raises:
          UserError: it is not allowed to write there, or another run has gone on there since
            `open`.
        """
        if self._whole_there(stores.objects(self.address)) != self._steps:
            raise UserError(
                f"{self.address}: another run has put checkpoints there while this one was"
                " prepared. Stop that one, or leave it alone; then run the same command again."
            )
        since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
        user = f"process {os.getpid()} on {socket.gethostname()}, since {since}"
        self._claim = {"token": uuid.uuid4().hex, "user": user}
        self._write_claim()
        (self.folder / _TOKEN).write_text(self._claim["token"])
        self._thread = threading.Thread(target=self._keep_up, name="mirror", daemon=True)
        self._thread.start()

    def flush(self) -> None:
        """Puts there all that was written.

        Raises:
          UserError: it cannot be written; the folder here keeps it for the next run.
        """
        problem = UserError(f"{self.address}: what this run writes changed while it was put there.")
        for wait in (0.0, *_AGAIN):
            time.sleep(wait)
            try:
                self.kept = not self._pass()
            except UserError as error:
                self.kept = not self.taken
                if self.taken:
                    raise
                problem = error
            if not self.kept:
                return
        raise problem

    def close(self, *, flush: bool) -> None:
        """Ends the copying.

        Args:
          flush: put there what is not yet; else it is kept here, for the next run.

        Raises:
          UserError: as `flush`.
        """
        if not self._open:
            return
        try:
            if self._thread is not None:
                self._closing.set()
                self._thread.join()
                if flush and not self.taken:
                    self.flush()
                self.kept = not self.taken and self._is_behind()
            if not self.kept:
                self._clear()
        finally:
            self._open = False
            self._lock.release()

    def _keep_up(self) -> None:
        while not self._closing.wait(_EVERY):
            try:
                self._pass(until=self._closing)
                self._problem = ""
            except Exception as error:  # tried again; at the end it counts
                if self.taken:
                    self._stop()
                    return
                if self._problem != str(error):
                    self._problem = str(error)
                    log.warning("%s Training goes on; it is tried again.", error)

    def _finish_former(self) -> None:
        """Puts there what a run of this machine has left here, killed or without the store, unless
        another has had the address since. Nothing is removed.
        """
        token = self.folder / _TOKEN
        if not token.exists():
            return
        self._claim = {"token": token.read_text(), "user": ""}
        if self._their_claim().get("token") == self._claim["token"]:
            self._look()
            if not self._pass(remove=False):
                raise UserError(
                    f"{self.folder}: another program changed what an earlier run had left there;"
                    " run the same command again."
                )

    def _fetch(self) -> None:
        there = self._look()
        if "" in there:
            raise UserError(f"workdir {self.address} is an object; name a folder.")
        there = {name: found for name, found in there.items() if name[0] != "."}
        if there and CONFIG not in there:
            raise UserError(
                f"workdir {self.address} holds files but no {CONFIG}, so it is not a run's folder;"
                " name an empty or new one."
            )
        wanted = {name for name in there if "/" not in name}
        if RESULTS in there:  # what stands there need not be fetched to be known of
            for folder in {name.partition("/")[0] for name in there if "/" in name}:
                (self.folder / folder).mkdir()
        else:
            wanted |= {
                name
                for name in there
                if _step_of(name) in self._steps and not name.endswith(_MARKS)
            }
        stores.fetch(self.address, wanted, self.folder)
        for name in wanted:
            if (self.folder / name).stat().st_size != there[name].size:
                raise UserError(
                    f"{self.address}/{name} changed while it was read: another run is at work"
                    " there; stop it, or name another address."
                )
        self._sent = dict(self._files())

    def _look(self) -> dict[str, stores.Object]:
        """What is at the address; notes which checkpoints are whole, and which a run has begun.

        Raises:
          UserError: a run could go on there, but of a checkpoint it is not known which it is. On a
            disk it gets its name when it is whole; a program that copies a folder to a store puts
            its parts under that name one by one.
        """
        there = stores.objects(self.address)
        steps = {step for name in there if (step := _step_of(name))}
        self._steps = self._whole_there(there)
        unknown = {
            step
            for step in steps - self._steps
            if step[1].isdecimal() and _at(*step, _UNFINISHED) not in there
        }
        self._begun = steps - self._steps - unknown
        if unknown and CONFIG in there and RESULTS not in there:
            raise UserError(
                f"{self.address}: no run has marked"
                f" {', '.join(_at(*step) for step in _in_order(unknown))} whole, as where a folder"
                " was copied there, so whether all of it is there cannot be known; copy the run to"
                " a folder on a disk and go on there, name another address to begin anew, or delete"
                " what is not marked."
            )
        return there

    def _whole_there(self, there: Mapping[str, stores.Object]) -> set[Step]:
        """The checkpoints at the address all of whose objects are there."""
        whole = set()
        for step in {step for name in there if (step := _step_of(name))}:
            if (mark := _at(*step, _WHOLE)) not in there:
                continue
            sizes = json.loads(stores.read_bytes(f"{self.address}/{mark}") or b"{}")
            found = {name: there.get(_at(*step, name)) for name in sizes}
            if all(each is not None and each.size == sizes[name] for name, each in found.items()):
                whole.add(step)
        return whole

    def _is_behind(self) -> bool:
        """Whether something that is here is not at the address."""
        files = any(self._sent.get(name) != state for name, state in self._files())
        return files or not set(self._whole_steps()) <= self._steps

    def _pass(self, *, until: threading.Event | None = None, remove: bool = True) -> bool:
        """Puts there what is new.

        Args:
          until: ends the pass between two files, once it is set.
          remove: also remove checkpoints that are no longer here.

        Returns:
          Whether all that there was is there; not where it changed meanwhile, or the pass ended.
        """

        def go_on() -> bool:
            return until is None or not until.is_set()

        with self._passing:
            # Links keep what is being put there: nobody needs those set aside any more.
            for folder in self.folder.glob(f"{_CHECKPOINTS}/*/{ASIDE}/*"):
                shutil.rmtree(folder, ignore_errors=True)
            # First what steps there are: the rows that go with them are then written already.
            steps = set(self._whole_steps())
            files = {name: state for name, state in self._files() if self._sent.get(name) != state}
            new = _in_order(steps - self._steps)
            old = (self._steps | self._begun) - steps if remove else set()
            if not (files or new or old):
                return True
            self._check_mine()
            results = files.pop(RESULTS, None)
            # Within a folder what is deeper goes first: a model without its heads is none.
            names = sorted(files, key=lambda name: ("/" in name, -name.count("/"), name))
            sent = [go_on() and self._send(name, files[name]) for name in names]
            if not all(go_on() and self._send_step(step) for step in new):
                return False  # next time
            if old or results is not None:
                self._check_mine()
            for step in old:
                self._remove_step(step)
            if results is not None:
                sent.append(go_on() and self._send(RESULTS, results))
            return all(sent)

    def _their_claim(self) -> dict[str, str]:
        try:
            found = json.loads(stores.read_bytes(f"{self.address}/{_USER}") or b"{}")
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _write_claim(self) -> None:
        stores.write_bytes(f"{self.address}/{_USER}", json.dumps(self._claim).encode())

    def _check_mine(self) -> None:
        claim = self._their_claim()
        if not claim:  # somebody has tidied up
            self._write_claim()
        elif claim.get("token") != self._claim["token"]:
            self.taken = (
                f"{self.address}: a run that began later has taken this address"
                f" ({claim.get('user', 'unknown')}), so this one stops; nothing more of it is put"
                " there."
            )
            # What it was putting there stays in part, even if the other has tidied up meanwhile.
            with contextlib.suppress(UserError):
                for step in self._begun:
                    self._begin(step)
            raise UserError(self.taken)

    def _send(self, name: str, state: tuple[int, int]) -> bool:
        """Puts a file there; False where it was replaced meanwhile."""
        try:
            stores.send(self.folder / name, f"{self.address}/{name}")
        except FileNotFoundError:
            return False
        self._sent[name] = state
        return True

    def _send_step(self, step: Step) -> bool:
        """Puts a checkpoint there; False where it was set aside before it was linked or copied.

        Raises:
          UserError: it can be neither linked nor copied, as on a full disk without links.
        """
        links = self.folder.joinpath(_SENDING, *step)
        source = self.folder.joinpath(_CHECKPOINTS, *step)
        shutil.rmtree(links, ignore_errors=True)
        try:
            # With links in place of copies it takes no room, and no time in which it might go.
            shutil.copytree(source, links, copy_function=_link_or_copy)
        except OSError as error:  # shutil.Error is one too
            if not source.exists():
                return False
            raise UserError(
                f"{self.named(source)} cannot be put there, as it cannot be copied to"
                f" {links.parent}: {error}"
            ) from error
        prefix = f"{self.address}/{_at(*step)}"
        self._begin(step)
        sizes = {}
        for file in sorted(path for path in links.rglob("*") if path.is_file()):
            name = file.relative_to(links).as_posix()
            stores.send(file, f"{prefix}/{name}")
            sizes[name] = file.stat().st_size
        self._check_mine()
        stores.write_bytes(f"{prefix}/{_WHOLE}", json.dumps(sizes).encode())
        self._begun.discard(step)
        self._steps.add(step)
        stores.remove(prefix, [_UNFINISHED])
        shutil.rmtree(links, ignore_errors=True)
        return True

    def _remove_step(self, step: Step) -> None:
        prefix = f"{self.address}/{_at(*step)}"
        self._begin(step)
        others = stores.objects(prefix).keys() - {_WHOLE, _UNFINISHED}
        stores.remove(prefix, [_WHOLE, *others, _UNFINISHED])
        self._steps.discard(step)
        self._begun.discard(step)

    def _begin(self, step: Step) -> None:
        """Marks a checkpoint there as one that may lack something."""
        self._begun.add(step)
        stores.write_bytes(f"{self.address}/{_at(*step, _UNFINISHED)}", b"{}")

    def _whole_steps(self) -> Iterator[Step]:
        """Checkpoints here: orbax gives them their names when they are whole, and takes them away
        at once.
        """
        for folder in self.folder.glob(f"{_CHECKPOINTS}/*/*"):
            if folder.name.isdecimal():
                yield folder.parent.name, folder.name

    def _files(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """All files but those of checkpoints and hidden ones, with what changes when they do."""
        for root, folders, files in os.walk(self.folder):
            folders[:] = sorted({name for name in folders if name[0] != "."} - {_CHECKPOINTS})
            for file in (Path(root, name) for name in sorted(files) if name[0] != "."):
                with contextlib.suppress(FileNotFoundError):  # replaced meanwhile: next time
                    found = file.stat()
                    name = file.relative_to(self.folder).as_posix()
                    yield name, (found.st_size, found.st_mtime_ns)

    def _clear(self) -> None:
        """Deletes the folder; at one moment it is there, at the next it is not."""
        gone = f".gone-{self.folder.name}-"
        if self.folder.exists():
            self.folder.rename(self.folder.with_name(f"{gone}{uuid.uuid4().hex}"))
        for former in self.folder.parent.glob(f"{gone}*"):
            shutil.rmtree(former, ignore_errors=True)


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
    check_path(
        cache,
        f"{cache}, the cache folder, where a run at an address works",
        "set config.data.cache_dir or EACL_JAX_CACHE to another one",
    )
    name = hashlib.sha256(address.encode()).hexdigest()[:20]
    ask = processes.ask_to_stop if processes.count() > 1 else stop.ask
    mirror = Mirror(address, cache / "runs" / name, ask)
    where = f"What this run has written is in {mirror.folder}; the same command, run again on this"
    where += " machine, puts it there."
    try:
        with stores.naming(mirror.folder, address), _closing(mirror):
            yield mirror
    except UserError as error:
        if mirror.kept:
            raise UserError(f"{error} {where}") from error.__cause__
        raise
    except BaseException:
        if mirror.kept:
            log.warning("%s could not be written to. %s", address, where)
        raise


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
        with contextlib.suppress(UserError):  # the error at hand is raised instead
            mirror.close(flush=not isinstance(error, KeyboardInterrupt))
        raise
    mirror.close(flush=True)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # a disk without links
        shutil.copy2(source, target)


def _at(*parts: str) -> str:
    """The name of an object of a checkpoint, or of the folder that it is: stage, step, and what
    follows.
    """
    return "/".join((_CHECKPOINTS, *parts))


def _in_order(steps: Iterable[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (step[0], int(step[1])))


def _step_of(name: str) -> Step | None:
    """The checkpoint that an object belongs to."""
    parts = name.split("/")
    return (parts[1], parts[2]) if len(parts) > 3 and parts[0] == _CHECKPOINTS else None
