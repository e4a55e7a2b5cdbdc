"""What XLA has compiled, kept in the cache folder for later runs.

    <cache>/compiled/            XLA's executables, private to their owner
    <cache>/compiled_together/   those of runs of several processes

The folder may be deleted at any time, and a run without a folder to write to goes on without.
"""

import logging
import os
import stat
from pathlib import Path

from eacl_jax.config import DataConfig
from eacl_jax.errors import UserError

log = logging.getLogger(__name__)

# jax's settings where the user's environment gives none. Seconds of compilation from which on a
# result is kept, and bytes in all: beyond, what was not used for longest goes.
_COMPILED = {
    "jax_persistent_cache_min_compile_time_secs": 1.0,
    "jax_compilation_cache_max_size": 5 * 10**9,
}
_NO_LIMIT = {"jax_compilation_cache_max_size": -1}


def keep_compiled(data: DataConfig | None = None, *, together: bool = False) -> None:
    """Spares later commands the compilations of this one; see `keep_compiled_in`. Call it before
    JAX compiles anything.

    Args:
      data: names the cache folder, as `corpora.cache_folder` reads it; the usual one where a
        command has no configuration.
      together: whether several processes of one run use the folder.
    """
    from eacl_jax import corpora

    try:
        keep_compiled_in(corpora.cache_folder(data or DataConfig()), together=together)
    except UserError as error:
        log.warning("compiled programs are not kept for later runs: %s", error)


def keep_compiled_in(cache: Path, *, together: bool = False) -> None:
    """Lets XLA keep what it compiles in `cache / "compiled"`, and find it there in later runs; to
    be called before the first compilation.

    Loading an executable is running it: a folder in which others could put some is not used, and a
    warning says so. Where the user has given jax a folder (JAX_COMPILATION_CACHE_DIR) or has turned
    its cache off, nothing is changed.

    Several processes have a folder of their own, without a limit of its size: with one, jax locks
    the folder for each read and write, and on a disk that machines share all would wait for all.
    """
    import jax  # a command begins anew for huge pages before it imports this

    if (
        jax.config.values["jax_compilation_cache_dir"]
        or not jax.config.values["jax_enable_compilation_cache"]
    ):
        return
    try:
        # Links are followed once, here: what is checked is what will be used.
        folder = (cache / ("compiled_together" if together else "compiled")).resolve()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = _not_private(folder)
        if not reason and not together:
            _forget_unfinished(folder)
    except (OSError, NotImplementedError) as error:  # the latter from a file system without locks
        reason = str(error)
    if reason:
        log.warning("compiled programs are not kept for later runs: %s", reason)
        return
    for name, value in (_COMPILED | (_NO_LIMIT if together else {})).items():
        if name.upper() not in os.environ:
            jax.config.update(name, value)
    jax.config.update("jax_compilation_cache_dir", str(folder))


def _not_private(folder: Path) -> str:
    """Why somebody else could put files into `folder`; empty where nobody can."""
    found = folder.stat()
    if found.st_uid != os.getuid():
        return (
            f"{folder} belongs to another user, who could put programs there; set EACL_JAX_CACHE to"
            " a folder of yours."
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"others may write to {folder}, and so could put programs there; try `chmod go-w"
            f" {folder}` if you trust its files."
        )
    # A folder above is as good: who may rename in it can put another in this one's place. (Its
    # group may: on many systems that is the user alone.)
    for above in folder.parents:
        mode = above.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return (
                f"anybody may write to {above}, and so could replace {folder}; set EACL_JAX_CACHE"
                " to a folder of yours."
            )
    return ""


def _forget_unfinished(folder: Path) -> None:
    """Deletes what killed processes left half written. jax notes the time of use last, beside each
    executable; without that note it would fail to make room, and a file cut short it would neither
    read nor replace.
    """
    import filelock  # jax's own, with the lock that jax takes for each read and write

    try:
        with filelock.FileLock(folder / ".lockfile", timeout=10):
            for file in folder.glob("*-cache"):
                if not file.with_name(f"{file.name.removesuffix('-cache')}-atime").exists():
                    file.unlink()
    except filelock.Timeout:
        log.info("%s is busy: unfinished files in it are left for the next run", folder)
