"""A folder of sound files to a folder of features, in parallel; killed, the same call goes on."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eacl_jax.errors import UserError
from eacl_jax.features import table
from eacl_jax.features.sound import files, journal, workers
from eacl_jax.features.sound.decoding import MOST_SECONDS
from eacl_jax.features.sound.extractors import extractor
from eacl_jax.files.machine import processors


@dataclasses.dataclass(frozen=True)
class Extracted:
    """Attributes: made_by: what made the features. utterances: how many have them. made: how many
    of them in this call, the others being there. skipped: by the file's name, why it has none.
    """

    made_by: str
    utterances: int
    made: int
    skipped: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Maker:
    """What makes features of sound files.

    Attributes:
      made_by: its name, kept with the features.
      columns: what the numbers are; empty where that is not known.
      made: from the files' names below a folder, the folder, the longest to be read in seconds and
        a number of processes, to each file's result, in any order.
    """

    made_by: str
    columns: tuple[str, ...]
    made: Callable[[Iterable[str], Path, float, int], Iterator[workers.Result]]

    @classmethod
    def of(cls, made_by: str) -> "Maker":
        """One of `extractors`, in processes of their own. Raises `UserError`; see there."""
        makes = extractor(made_by)

        def made(
            names: Iterable[str], folder: Path, most_seconds: float, jobs: int
        ) -> Iterator[workers.Result]:
            return workers.made(names, folder, makes.made_by, most_seconds, jobs)

        return cls(makes.made_by, makes.columns, made)


def extract(
    audio: Path,
    out: Path,
    *,
    maker: Maker | str = "prosody",
    jobs: int | None = None,
    most_seconds: float = MOST_SECONDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Extracted:
    """Makes the features of all sound files in a folder, and those below it.

    Args:
      audio: see `files.find` for its splits and keys.
      out: the folder of features, in the form of `features.table`. Where it is there, files that
        have not changed since are not read again.
      maker: or the name of one, see `extractors.extractor`.
      jobs: processes; else one a core that this one may use.
      most_seconds: longer files are skipped.
      progress: is called with how many files are done, and of how many.

    Raises:
      UserError: there are no files, none can be used, a package is missing, or `out` cannot be
        written.
    """
    workers.check_main()
    if not audio.is_dir():
        raise UserError(f"{audio} is no folder; name one with sound files.")
    makes = Maker.of(maker) if isinstance(maker, str) else maker
    found = files.find(audio)
    identity = {"made_by": makes.made_by, journal.LONGEST: float(most_seconds)}
    # Another folder's files may have the same names, sizes and times. Its path is not written.
    folder = hashlib.blake2b(str(audio.resolve()).encode(), digest_size=8).hexdigest()
    there = journal.before(out, identity, folder)
    with journal.Journal(out, {**identity, journal.FOLDER: folder}) as kept:
        done = there | kept.done
        current = {file.name: done[file.name] for file in found if journal.current(done, file)}
        todo = {file.name: file for file in found if file.name not in current}
        jobs = min(jobs or processors(), max(len(todo), 1))
        progress(len(current), len(found))
        for name, rows, problem in makes.made(todo, audio, most_seconds, jobs):
            current[name] = journal.Done(todo[name].size, todo[name].changed, rows, problem)
            kept.add(name, current[name])
            progress(len(current), len(found))
        facts = {"made_from": identity, journal.FOLDER: folder}
        result = _write(out, found, current, facts, makes.columns, len(todo))
        kept.remove()
    return result


def _write(
    out: Path,
    found: list[files.SoundFile],
    done: Mapping[str, journal.Done],
    facts: Mapping[str, Any],
    columns: tuple[str, ...],
    tried: int,
) -> Extracted:
    made_by = facts["made_from"]["made_by"]
    splits: dict[str, dict[str, np.ndarray]] = {}
    sources, skipped = {}, {}
    for file in found:
        rows = done[file.name].rows
        if rows is None:
            skipped[file.name] = done[file.name].problem
        else:
            splits.setdefault(file.split, {})[file.key] = rows
            sources[file.name] = (file.split, file.key, file.size, file.changed)
    if not sources:
        first = next(iter(skipped.values()))
        raise UserError(f"none of the {len(found)} sound files can be used; the first: {first}")
    table.write(
        table.FeatureTable(splits, columns, made_by),
        out,
        **facts,
        **{journal.SKIPPED: skipped, journal.SOURCES: sources},
    )
    return Extracted(made_by, len(sources), tried - len(skipped), skipped)
