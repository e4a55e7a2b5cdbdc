"""What `eacl predict` was asked for, and doing it."""

import contextlib
import dataclasses
import functools
import hashlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import typer
from rich.console import Console

from eacl_jax.bulk import formats, reading, tables, writing
from eacl_jax.bulk.lines import Lines
from eacl_jax.bulk.predict import Recognizer, predict
from eacl_jax.cli.progress import Teller, print_summary
from eacl_jax.errors import UserError

STREAM = "-"
_INPUTS = ("jsonl", "csv", "txt")
_OUTPUTS = ("jsonl", "csv")

# Utterances predicted together, in batches. More of them leave fewer batches half full; fewer are less to do again when the
# process is killed.
_CHUNK = 16


@dataclasses.dataclass(frozen=True)
class Job:
    """The options of `eacl predict`; formats are empty where the names of the files tell them."""

    model: str
    input: str
    output: str
    labels: Mapping[str, str]
    stage: str
    input_format: str
    output_format: str
    columns: tables.Columns
    shard: reading.Shard
    batch_size: int
    skip_bad: bool
    restart: bool

    def check(self) -> None:
        """Raises `UserError` for what can be seen before anything is loaded."""
        self._read_as()
        self._write_as()
        if self.input == STREAM:
            return
        path = Path(self.input).expanduser()
        if not path.exists() or path.is_dir():
            raise UserError(
                f"--input: {path} {'is a folder' if path.is_dir() else 'does not exist'}; name a file of dialogues."
            )
        if self.output != STREAM and Path(self.output).expanduser().exists() and path.samefile(Path(self.output).expanduser()):
            raise UserError(f"--output: {self.output} is the input; name another file.")

    def run(self) -> None:
        """Predicts all that is not yet done, and prints a summary on standard error.

        Raises:
          UserError: see `bulk.predict.predict` and `FileOutput`; or the model cannot be loaded.
        """
        # These take seconds to import: not before the mistakes that `check` finds.
        from eacl_jax import command, model_folder

        command.keep_compiled()
        folder = model_folder.find_folder(self.model, "main")
        labels = tuple(self.labels) or model_folder.read_settings(folder / "config.json").labels
        written_as: formats.Format = formats.Csv(labels) if self._write_as() == "csv" else formats.JsonLines()
        console = Console(stderr=True)
        with contextlib.ExitStack() as stack:
            file, size = stack.enter_context(self._opened())
            output, problems = stack.enter_context(self._output(folder, model_folder.FILES, written_as.header))
            before = output.journal.totals
            lines = Lines(file, "standard input" if self.input == STREAM else self.input, output.journal.position)
            with _cut_counted() as cut, Teller(console, size, before).shown() as tell:
                try:
                    totals = predict(
                        self._recognizer(folder),
                        lines,
                        self._reader()(lines, reading.Wanted(lines, self.shard)),
                        output,
                        written_as,
                        stage=self.stage,
                        chunk=_CHUNK * self.batch_size,
                        skip_bad=self.skip_bad,
                        tell=tell,
                    )
                except KeyboardInterrupt:
                    done = output.journal.totals.dialogues
                    again = "" if self.output == STREAM else " To go on from there, run the same command again."
                    print(f"stopped; {done:,} dialogues are done.{again}", file=sys.stderr)
                    raise typer.Exit(130) from None
        print_summary(console, self.output, totals, before, problems=problems, cut=cut)

    def _read_as(self) -> str:
        return _format("--input", self.input, self.input_format, _INPUTS)

    def _write_as(self) -> str:
        return _format("--output", self.output, self.output_format or ("jsonl" if self.output == STREAM else ""), _OUTPUTS)

    def _reader(self) -> Callable[[Lines, reading.Wanted], Iterator[reading.Item]]:
        readers: dict[str, Callable[[Lines, reading.Wanted], Iterator[reading.Item]]] = {
            "jsonl": reading.read_jsonl,
            "csv": functools.partial(tables.read_csv, columns=self.columns),
            "txt": reading.read_txt,
        }
        return readers[self._read_as()]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """The input, and its size in bytes; 0 where that is not known."""
        if self.input == STREAM:
            yield sys.stdin.buffer, 0
            return
        path = Path(self.input).expanduser()
        try:
            file = path.open("rb", buffering=2**20)
        except OSError as error:
            raise UserError(f"--input: cannot read {path}: {error.strerror}.") from error
        with file:
            yield file, path.stat().st_size if path.is_file() else 0

    @contextlib.contextmanager
    def _output(self, folder: Path, files: Sequence[str], header: bytes) -> Iterator[tuple[writing.Output, str]]:
        """Where answers go, and where it says what could not be used."""
        if self.output == STREAM:
            yield writing.StreamOutput(sys.stdout.buffer, sys.stderr, header=header), "above"
            return
        # Not among them: the batch size, which changes rounding only, and whether bad dialogues are passed over. A run that
        # found one, or not enough memory, may so go on with other choices.
        settings = {
            "model": _fingerprint(folder, files),
            "labels": list(self.labels.items()),
            "stage": self.stage,
            "shard": str(self.shard),
            "input format": self._read_as(),
            "output format": self._write_as(),
            "columns": list(dataclasses.astuple(self.columns)),
        }
        with writing.FileOutput(Path(self.output), settings, header=header, restart=self.restart) as output:
            yield output, str(output.problems_file)

    def _recognizer(self, folder: Path) -> Recognizer:
        from eacl_jax.recognizer import EmotionRecognizer

        recognizer = EmotionRecognizer.from_pretrained(folder, batch_size=self.batch_size)
        if self.labels:
            recognizer = recognizer.with_labels(self.labels)
        if self.stage not in recognizer.anchors:
            raise UserError(f"--stage: the model has no anchors of {self.stage}; it has {', '.join(recognizer.anchors)}.")
        return recognizer


def _format(option: str, name: str, given: str, known: Sequence[str]) -> str:
    suffix = Path(name).suffix.lower().removeprefix(".")
    found = given or (suffix if name != STREAM else "")
    if found not in known:
        endings = ", ".join(f".{ending}" for ending in known)
        if name == STREAM:
            raise UserError(f"{option}-format must be given beside {option}=-, one of {', '.join(known)}.")
        raise UserError(
            f"{option}: the name of {name} ends in none of {endings}; give {option}-format, one of {', '.join(known)}."
        )
    return found


def _fingerprint(folder: Path, patterns: Sequence[str]) -> str:
    """Hash of all that decides a model's answers: its files but for the card."""
    digest = hashlib.sha256()
    for path in sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file()):
        if path.name != "README.md":
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


@contextlib.contextmanager
def _cut_counted() -> Iterator[list[int]]:
    """Gathers how many utterances were cut, which would else be a warning a chunk."""
    counts: list[int] = []

    def note(record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and "were cut" in record.msg:
            counts.append(int(str(record.args[0])))
            return False
        return True

    log = logging.getLogger("eacl_jax.prompts")
    log.addFilter(note)
    try:
        yield counts
    finally:
        log.removeFilter(note)
