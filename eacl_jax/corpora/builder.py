"""What the TFDS builders of all corpora share.

A corpus is prepared once: its source files are read into dialogues, checked, and written as
array_record, then read back from there. The folder of a prepared corpus is named after the content
of its sources and of the code that reads them, so what either changes is prepared anew, and it
appears by one rename, so it is whole or absent.
"""

import abc
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import tensorflow_datasets as tfds

from eacl_jax.config import DataConfig
from eacl_jax.corpora.checks import Counts, check_counts, check_split, logger
from eacl_jax.corpora.found import Found, Kept
from eacl_jax.dialogue import SPLITS, Dialogue, TaskName
from eacl_jax.errors import UserError
from eacl_jax.files.local import disk_problem

_BLOCK = 1024
_PACKAGE = Path(__file__).parents[1]


@functools.cache
def _code(module: str | None) -> str:
    """A hash of the code that reads corpora, with the module of a builder from elsewhere."""
    files = [*_PACKAGE.glob("corpora/*.py"), *_PACKAGE.glob("files/*.py"), _PACKAGE / "dialogue.py"]
    files.append(_PACKAGE / "features" / "modality.py")  # which reads their features
    files += [Path(module)] if module else []
    digest = hashlib.sha256()
    for file in sorted({each for each in files if each.is_file()}):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps TFDS' progress bars and its log below errors from the user: what matters is logged
    here, once.
    """

    def not_tfds(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or "tensorflow_datasets" not in record.pathname

    tfds.disable_progress_bar()
    absl_logger = logging.getLogger("absl")
    absl_logger.addFilter(not_tfds)
    try:
        yield
    finally:
        absl_logger.removeFilter(not_tfds)


class _LocalInfo(tfds.core.DatasetInfo):
    """Asks no bucket what it knows of a dataset; the original does, and leaves a temporary folder
    behind each time.
    """

    def initialize_from_bucket(self) -> None:
        pass


class CorpusBuilder(tfds.core.GeneratorBasedBuilder):
    """Base of the builders: sources in, checked `Dialogue`s out.

    A subclass says how to find its sources (`from_config`) and how to read them (`_read`).

    Attributes:
      LABELS: the corpus' labels in anchor order; empty where the data decide.
      TASK: whether its utterances have one label or several; None where the data decide.
      LEVELS: its own coarser groupings, as the rows of `data.levels`.
      EXPECTED: published counts by split.
      EMPTY_TEXT: whether utterances without text are allowed.
      NAMED: whether a name stands for one person throughout. Where speakers are not known, names
        say who begins a dialogue, and nothing of a voice.
    """

    VERSION = tfds.core.Version("1.0.0")  # TFDS wants one; `_fingerprint` tells copies apart
    LABELS: ClassVar[tuple[str, ...]] = ()
    TASK: ClassVar[TaskName | None] = "single"
    LEVELS: ClassVar[tuple[str, ...]] = ()
    EXPECTED: ClassVar[Mapping[str, Counts]] = {}
    EMPTY_TEXT: ClassVar[bool] = False
    NAMED: ClassVar[bool] = True

    # Else TFDS looks beside the code for files of checksums, and needs a package for it that it
    # does not require.
    code_path = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # Unregistered, so that another package's builder of the same name does no harm.
        super().__init_subclass__(skip_registration=True, **kwargs)

    def __init__(
        self,
        *,
        sources: Mapping[str, Sequence[Path]],
        cache_dir: Path,
        options: Mapping[str, str] | None = None,
        expected: Mapping[str, Counts] | None = None,
    ) -> None:
        """Hashes the sources; nothing is prepared yet.

        Args:
          sources: the files of each of the splits train, dev, test.
          cache_dir: folder under which prepared corpora are kept.
          options: whatever else decides what is read, such as column names.
          expected: counts to check instead of the published ones.

        Raises:
          UserError: a source cannot be read.
        """
        self.sources = {split: tuple(sources[split]) for split in SPLITS}
        self.options = dict(options or {})
        self.expected = self.EXPECTED if expected is None else expected
        self.fingerprint = self._fingerprint()
        self.root = cache_dir / "corpora"
        folder = self.root / f"{self.name}-{self.fingerprint}"
        with _quiet():
            try:
                super().__init__(file_format="array_record", data_dir=folder)
            except Exception as error:  # what is prepared there cannot be read
                self._discard(folder, error)
                super().__init__(file_format="array_record", data_dir=folder)
        # What TFDS pickles of a builder: the arguments that make it again.
        self._original_state = self._arguments(cache_dir)

    @classmethod
    @abc.abstractmethod
    def from_config(cls, data: DataConfig, cache_dir: Path) -> Self:
        """Finds (or downloads) the sources. Raises `UserError` where they are not."""

    @abc.abstractmethod
    def _read(self, split: str) -> Iterable[Found]:
        """The dialogues of a split, in order."""

    def dialogues(self) -> dict[str, list[Found]]:
        """The dialogues of each split, prepared first if they are not yet, or if what was prepared
        is damaged.

        Raises:
          UserError: the sources are faulty, or the prepared corpus cannot be written or read.
        """
        with _quiet():
            if self._module() is None:
                # Nothing tells code that was typed in from what was typed before.
                shutil.rmtree(self.data_dir, ignore_errors=True)
            if self.data_path.exists():
                try:
                    return self._restored()
                except (
                    Exception
                ) as error:  # whatever a damaged file provokes in the libraries that read it
                    self._discard(Path(self.data_dir), error)
            self._prepare()
            try:
                return self._restored()
            except Exception as error:
                raise UserError(
                    f"the prepared corpus in {self.data_dir} cannot be read: {error}."
                ) from error

    def _restored(self) -> dict[str, list[Found]]:
        self.info.read_from_directory(self.data_dir)
        return {split: self._restore(split) for split in SPLITS}

    @staticmethod
    def _discard(folder: Path, reason: Exception) -> None:
        """Removes a prepared corpus that is damaged; it is made again from the sources."""
        problem = " ".join(str(reason).split())[:200]
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise UserError(
                f"the prepared corpus in {folder} cannot be read ({problem}), nor removed"
                f" ({error.strerror}); delete that folder, or name another with"
                " config.data.cache_dir."
            ) from error
        logger.info(
            "the prepared corpus in %s was damaged (%s): it is prepared anew", folder, problem
        )

    def _prepare(self) -> None:
        final = Path(self.data_dir)
        logger.info("preparing %s in %s", self.name, final)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # TFDS' own temporary names come from a generator that a program may have seeded: two
            # processes could share one.
            with tempfile.TemporaryDirectory(prefix="incomplete.", dir=self.root) as private:
                twin = type(self)(**self._arguments(Path(private)))
                twin.download_and_prepare()
                if self._fingerprint() != self.fingerprint:
                    raise UserError(
                        f"the source files of {self.name} changed while they were read; try again."
                    )
                self._publish(Path(twin.data_dir), final)
        except UserError:
            raise
        except (
            Exception
        ) as error:  # the library that writes has errors of its own for a disk that is full
            if not (problem := disk_problem(error, self.root)):
                raise
            raise UserError(
                f"cannot prepare {self.name} in {final}: {problem}, or name another folder:"
                " config.data.cache_dir."
            ) from error

    def _arguments(self, cache_dir: Path) -> dict[str, Any]:
        return {
            "sources": self.sources,
            "cache_dir": cache_dir,
            "options": self.options,
            "expected": self.expected,
        }

    @staticmethod
    def _publish(built: Path, final: Path) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(built, final)
        except OSError:
            # Another process was faster; its result is the same.
            if not final.is_dir():
                raise

    def _restore(self, split: str) -> list[Found]:
        found = []
        source = self.as_data_source(split=split)
        # Blocks of records are read several times faster than one after the other.
        blocks = (
            source.__getitems__(list(range(start, min(start + _BLOCK, len(source)))))
            for start in range(0, len(source), _BLOCK)
        )
        for record in itertools.chain.from_iterable(blocks):
            text = record["dialogue"].decode()
            dialogue = Dialogue.from_json(json.loads(text))
            lines, turns = (tuple(map(int, record[name])) for name in ("lines", "turns"))
            kept = tuple(Kept(int(each)) for each in record["kept"])
            file = self.sources[split][int(record["file"])]
            found.append(Found(dialogue, file, lines, turns, kept))
        return found

    def _fingerprint(self) -> str:
        expected = {split: dataclasses.astuple(counts) for split, counts in self.expected.items()}
        decides = [self.options, expected, _code(self._module())]
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode())
        for split, files in self.sources.items():
            for path in files:
                try:
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                except OSError as error:
                    raise UserError(f"cannot read {path}: {error.strerror}.") from error
                digest.update(f"{split}\0{path.name}\0{content}\n".encode())
        return digest.hexdigest()[:24]

    @classmethod
    def _module(cls) -> str | None:
        """The file of the subclass; None where it is typed in, as in a notebook."""
        return getattr(sys.modules.get(cls.__module__), "__file__", None)

    def _info(self) -> tfds.core.DatasetInfo:
        # TFDS has no ragged nesting without TensorFlow: a dialogue is JSON text.
        features = {
            "dialogue": tfds.features.Text(),
            "file": tfds.features.Scalar(np.int32),
            "lines": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "turns": tfds.features.Tensor(shape=(None,), dtype=np.int64),
            "kept": tfds.features.Tensor(shape=(None,), dtype=np.int8),
        }
        return _LocalInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        del dl_manager  # the sources are here already
        splits = {split: list(self._read(split)) for split in SPLITS}
        check_counts(self.name, splits, self.expected)
        for split, found in splits.items():
            check_split(split, self.sources[split], found, empty_text=self.EMPTY_TEXT)
        return {
            split: self._generate_examples(split=split, found=found)
            for split, found in splits.items()
        }

    def _generate_examples(
        self, *, split: str, found: Sequence[Found]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for key, item in enumerate(found):
            yield (
                key,
                {
                    "dialogue": json.dumps(item.dialogue.to_json(), default=str),
                    "file": self.sources[split].index(item.file),
                    "lines": np.asarray(item.lines, np.int32),
                    "turns": np.asarray(item.turns, np.int64),
                    "kept": np.asarray(item.kept, np.int8),
                },
            )

    def _log_download_bytes(self) -> None:
        """TFDS would print here; `_prepare` has logged."""

    def _log_download_done(self) -> None:
        """TFDS would print here."""
