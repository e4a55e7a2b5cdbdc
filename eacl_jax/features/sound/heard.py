"""Features made of the sound that utterances name."""

import dataclasses
import hashlib
import io
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from eacl_jax.dialogue import Utterance
from eacl_jax.errors import UserError
from eacl_jax.features.modality import has_known
from eacl_jax.features.sound import workers
from eacl_jax.features.sound.decoding import MOST_SECONDS
from eacl_jax.features.sound.extractors import extractor
from eacl_jax.files import whole
from eacl_jax.files.machine import processors

log = logging.getLogger(__name__)

_SHOWN = 3
_JOBS = 2  # processes, where files come with a corpus
_FILES = 32  # a process at least, as one takes a second to begin


def within(folder: Path, audio: str, where: str) -> Path:
    """The file that an utterance's `audio` names.

    Args:
      folder: that all such files are in.
      audio: a path relative to it, or one of it.
      where: for the message.

    Raises:
      UserError: it leads out of the folder.
    """
    path = (folder / audio).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise UserError(
            f"{where}: its 'audio' {audio!r:.80} is outside of {folder}, the folder of the sounds;"
            " name one that holds all of them."
        )
    return path


def check_audio(utterance: Utterance, where: str) -> None:
    """Raises `UserError` where it cannot be told which file an utterance's `audio` names."""
    fields = utterance.audio_fields
    if len(fields) > 1:
        names = ", ".join(map(repr, fields))
        raise UserError(f"{where} has more than one field for its sound: {names}; keep one.")
    for name, value in fields.items():
        empty = value is None or (isinstance(value, float) and math.isnan(value))
        if not isinstance(value, str) and not empty:
            raise UserError(
                f"{where}: its {name!r} must be the path of a sound file, a text, got"
                f" {value!r:.60}."
            )
        if isinstance(value, str) and "\0" in value:
            raise UserError(
                f"{where}: its {name!r} {value!r:.60} holds a null character, which no path has;"
                " correct it."
            )


def none_named(utterances: Iterable[Utterance], makers: Iterable[str]) -> bool:
    """Whether some utterances lack features of sound, and none names a file: see `NONE_NAMED`.

    Args:
      utterances: all of them.
      makers: modalities that can be made of sound; utterances that bring all of these need none.
    """
    makers, lacks = tuple(makers), False
    for each in utterances:
        if each.audio:
            return False
        lacks = lacks or not all(has_known(each.features, name) for name in makers)
    return lacks


NONE_NAMED = (
    "no utterance names a sound file, so that none is read; give its path in that folder as"
    " `audio`, in a field of JSON or a column of a table of that name."
)


@dataclasses.dataclass(frozen=True)
class Sounds:
    """The sound that utterances name, and what is made of it, by several processes.

    Attributes:
      folder: that all files are in.
      makers: by modality that the model reads and that can be made of sound, what makes it; see
        `extractors.makers`.
    """

    folder: Path
    makers: Mapping[str, str]

    def heard(self, named: Sequence[tuple[str, Utterance]]) -> list[Utterance | str]:
        """Utterances with the features that they lack and that can be made of their `audio`.

        Args:
          named: utterances, each behind what to call it in a message.

        Returns:
          One of each, in their order; where its file cannot be used, why.
        """
        problems: dict[int, str] = {}
        wanted: dict[str, dict[str, None]] = {made_by: {} for made_by in self.makers.values()}
        for number, (where, utterance) in enumerate(named):
            missing, audio = self.missing(utterance), str(utterance.audio)
            try:
                check_audio(utterance, where)
                if not missing:
                    continue
                within(self.folder, audio, where)
            except UserError as error:
                problems[number] = str(error)
                continue
            for name in missing:
                wanted[self.makers[name]][audio] = None
        rows, bad = self._made(wanted)
        found: list[Utterance | str] = []
        for number, (where, utterance) in enumerate(named):
            missing = self.missing(utterance)
            if missing and number not in problems and (reason := bad.get(str(utterance.audio))):
                problems[number] = f"{where}: {reason}"
            if not missing or number in problems:
                found.append(problems.get(number, utterance))
                continue
            made = {name: rows[self.makers[name], str(utterance.audio)] for name in missing}
            features = {**utterance.features, **made}
            found.append(dataclasses.replace(utterance, features=features))
        return found

    def missing(self, utterance: Utterance) -> list[str]:
        """The modalities that can be made of an utterance's sound, and that it lacks."""
        if not utterance.audio:
            return []
        return [name for name in self.makers if not has_known(utterance.features, name)]

    def _made(
        self, wanted: Mapping[str, Mapping[str, None]]
    ) -> tuple[dict[tuple[str, str], np.ndarray], dict[str, str]]:
        """Features by maker and file, and why files have none."""
        rows, bad = {}, {}
        for made_by, names in wanted.items():
            jobs = min(processors(), len(names) // _FILES + 1)
            for name, made, problem in workers.made(
                names, self.folder, made_by, MOST_SECONDS, jobs
            ):
                if made is None:
                    bad[name] = problem
                else:
                    rows[made_by, name] = made
        return rows, bad


def heard(
    paths: Iterable[Path], made_by: str, cache: Path
) -> Mapping[Path, Float[np.ndarray, "T F"]]:
    """The features of sound files, each made once: kept in the cache until the file changes.

    Args:
      paths: of the files.
      made_by: see `extractors.extractor`.
      cache: the cache folder.

    Returns:
      Those of the files that can be used; the others are named in the log.

    Raises:
      UserError: nothing here makes such features, or a package is missing.
    """
    made_by = extractor(made_by).made_by
    folder = cache / "sound" / made_by.replace(" ", "-")
    found: dict[Path, np.ndarray] = {}
    todo: dict[str, Path] = {}
    for path in dict.fromkeys(paths):
        kept = folder / f"{_key(path)}.npy"
        try:
            found[path] = np.load(kept, allow_pickle=False)
        except (OSError, ValueError, EOFError):  # not there, or damaged: made anew
            todo[str(path)] = kept
    problems, full = [], False
    if todo:
        log.info("%s: features of %d sound files are made", made_by, len(todo))
    for name, rows, problem in workers.made(todo, Path(), made_by, MOST_SECONDS, _JOBS):
        if rows is None:
            problems.append(problem)
            continue
        found[Path(name)] = rows
        if not full:  # warned of once
            full = not _keep(todo[name], rows)
    for problem in sorted(problems)[:_SHOWN]:
        log.warning("%s", problem)
    if len(problems) > _SHOWN:
        log.warning("and %d sound files more cannot be used", len(problems) - _SHOWN)
    return found


def _keep(file: Path, rows: np.ndarray) -> bool:
    """Keeps features for the next time; whether that could be done."""
    content = io.BytesIO()
    np.save(content, rows, allow_pickle=False)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        whole.write_bytes(file, content.getvalue())
    except (OSError, UserError) as error:
        log.warning("features of sound are not kept for the next time: %s", error)
        return False
    return True


def _key(path: Path) -> str:
    try:
        status = path.stat()
        known = f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    except OSError:
        known = f"{path}\0missing"
    return hashlib.sha256(known.encode("utf-8", "surrogateescape")).hexdigest()[:32]
