"""What `eacl predict` was asked for, and doing it."""

import codecs
import contextlib
import dataclasses
import io
import os
import shlex
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

import typer
from rich.console import Console

from eacl_jax.bulk import formats, in_memory, reading, tables, transcripts, writing
from eacl_jax.bulk.journal import Journal, Totals
from eacl_jax.bulk.lines import Lines, Position
from eacl_jax.bulk.predict import Recognizer, predict
from eacl_jax.cli.options import NAMING, sounds_of
from eacl_jax.cli.progress import Teller, done, print_summary, printable
from eacl_jax.dialogue import is_audio
from eacl_jax.errors import UserError
from eacl_jax.features.given import GivenFeatures, read_given
from eacl_jax.features.modality import Modality
from eacl_jax.features.unlike import unlike
from eacl_jax.files import local, whole
from eacl_jax.files.checksum import sha256_of
from eacl_jax.files.text import check_head
from eacl_jax.recognizer.programs import Precision
from eacl_jax.recognizer.runtime import JAX

if TYPE_CHECKING:
    from eacl_jax.features.sound.heard import Sounds as Heard
    from eacl_jax.recognizer.folder import Settings

STREAM = "-"
_INPUTS = ("jsonl", "csv", "tsv", "txt", "json")
# Captions are known by what is in them, whatever their name.
_OTHER_NAMES = {
    "tsv": "csv",
    "ndjson": "jsonl",
    "vtt": "txt",
    "srt": "txt",
    "parquet": "json",
}
_OUTPUTS = ("jsonl", "csv")
_OTHER_JSON = (
    'Other JSON (an utterance a line, {"messages": [...]}, one value over several lines), from a'
    " file that fits into memory, is read with --input-format json."
)
_TABLES = (
    "A table, whose first line names its columns, is read with --input-format csv, also where tabs"
    " stand between cells"
)
_PACKED = ".gz"
_NOT_CALIBRATED = (
    "labels of --labels answer by their words alone: their probabilities are not calibrated; which"
    " label is likelier counts, not how likely it is (`eacl adapt` calibrates them on annotated"
    " dialogues)"
)
_RESTART = "give --restart"

# Utterances predicted together, in batches. More of them leave fewer batches half full; fewer are
# less to do again when the process is killed.
_CHUNK = 16


@dataclasses.dataclass(frozen=True)
class Job:
    """The options of `eacl predict`; formats are empty where the names of the files tell them, and
    so are columns.
    """

    model: str
    input: str
    output: str
    labels: Mapping[str, str]
    stage: str
    on_long: str
    input_format: str
    output_format: str
    columns: Mapping[str, str]
    fields: str
    raw: bool
    shard: reading.Shard
    batch_size: int
    skip_bad: bool
    restart: bool
    runtime: str = JAX
    precision: Precision = "float32"
    revision: str = "main"
    features: Sequence[str] = ()
    sounds: Path | None = None
    coverage: float | None = None

    def check(self) -> None:
        """Raises `UserError` for what can be seen before anything is loaded."""
        source = self._source()
        self._check_columns()
        formats.read_fields(self.fields, self._write_as())
        if self.coverage is not None and self.labels:
            raise UserError(
                "--coverage: how probable the right label is was not measured with --labels; leave"
                " one of both out, or make a model of these labels with `eacl calibrate`, from"
                " annotated dialogues, and ask that."
            )
        if self.output == STREAM:
            descriptor = _descriptor(
                sys.stdout, "--output: standard output is closed; name a file."
            )
            targets: dict[str, int | Path] = {"standard output": descriptor}
        else:
            path = whole.target_of(local.expand(self.output, "--output"))
            targets = {str(each): each for each in (path, *writing.beside(path))}
        for name, target in targets.items():
            with contextlib.suppress(OSError):
                if source and os.path.samestat(source, os.stat(target)):
                    raise UserError(
                        f"--output: {name}, which is written, is the input; name another file."
                    )

    def run(self) -> None:
        """Predicts all that is not yet done, and prints a summary on standard error.

        Raises:
          UserError: see `bulk.predict.predict` and `FileOutput`; or the model cannot be loaded.
        """
        # These take seconds to import: not before the mistakes that `check` finds.
        from eacl_jax.recognizer import fingerprint, locate
        from eacl_jax.recognizer.abstaining import least_probability
        from eacl_jax.recognizer.folder import read_settings

        if self.runtime == JAX:
            from eacl_jax.cli import compiled

            compiled.keep_compiled()
        folder = locate.find_folder(self.model, self.revision)
        settings = read_settings(folder / "config.json")
        given = tuple(read_given(self.features, settings.modalities, "--features").values())
        sounds = sounds_of(settings.modalities, self.sounds)
        console = Console(stderr=True)
        with contextlib.ExitStack() as stack:
            file, size = stack.enter_context(self._opened())
            read = _measure(file, size)
            name = "standard input" if self.input == STREAM else self.input
            if self._read_as() == "json":
                name += " (as JSON lines)"
            lines = Lines(file, name, restart=_RESTART)
            wanted = reading.Wanted(
                lines,
                self.shard,
                # Where what comes later counts too, a dialogue is not read in pieces.
                size=(
                    sys.maxsize
                    if settings.prompt.max_future or self._chains(settings)
                    else _CHUNK * self.batch_size
                ),
                most_past=settings.prompt.max_past,
                other_features=given,
            )
            least = (
                None
                if self.coverage is None
                else least_probability(settings, self.coverage, self.stage)
            )
            left_out: set[str] = set()
            about_text = transcripts.Findings()
            items, others = self._items(
                lines, wanted, console, settings.modalities, left_out, about_text
            )
            if self.sounds is not None and sounds:
                self._check_sounds(others, sounds.makers, [each.name for each in given])
            if self._read_as() == "json" and isinstance(file, io.BytesIO):
                others = in_memory.columns_in(file.getvalue())
            labels = tuple(self.labels) or settings.labels
            written_as = self._format(labels, others, several=settings.several)
            model = fingerprint.of_files(folder, self.runtime, self.precision, of_file=sha256_of)
            output = stack.enter_context(self._output(model, settings, written_as, given))
            lines.resumed, before = output.journal.position, output.journal.totals
            for each in given:
                each.resumed = not output.journal.counts_nothing
                each.part = self.shard.count > 1
            with Teller(console, size, read, before).shown() as report:
                try:
                    predict(
                        self._recognizer(folder),
                        lines,
                        _all_joined(items, given),
                        output,
                        written_as,
                        stage=self.stage,
                        on_long=self.on_long,
                        chunk=_CHUNK * self.batch_size,
                        skip_bad=self.skip_bad,
                        report=report,
                        modalities=settings.modalities,
                        sounds=sounds,
                        listen=self.sounds is not None,
                        least=least,
                    )
                except KeyboardInterrupt:
                    raise self._stopped(output.journal, console) from None
            _say_left_out(console, lines.name, "fields", sorted(left_out))
            print_summary(
                console,
                self.output,
                output,
                before,
                on_long=self.on_long,
                reads_text=settings.reads_text,
                more=(
                    *unlike(output.journal.totals.features, settings.modalities),
                    *about_text.sentences(),
                    *self._about_sounds(output.journal.totals, sounds),
                    *([_NOT_CALIBRATED] if self.labels else []),
                ),
            )

    def _check_sounds(
        self, columns: Sequence[str], makers: Iterable[str], given: Sequence[str]
    ) -> None:
        """Raises `UserError` where the input cannot name any sound file.

        Args:
          columns: names of a table's that are carried through.
          makers: modalities that can be made of sound.
          given: those that come from files.
        """
        from eacl_jax.features.sound.heard import NONE_NAMED

        if self._read_as() not in ("csv", "txt") or any(map(is_audio, columns)):
            return
        inside = {column.partition(".")[0] for column in columns}
        if not all(name in given or name in inside for name in makers):
            raise UserError(f"--sounds: {NONE_NAMED}")

    def _about_sounds(self, totals: Totals, sounds: "Heard | None") -> Iterator[str]:
        """That no utterance names a sound, where their folder is given and any was needed."""
        if self.sounds is None or sounds is None or totals.named:
            return
        if any(totals.missing.get(name) for name in sounds.makers):
            yield ("no utterance names a sound file as 'audio', so that none of --sounds was read")

    def _stopped(self, journal: Journal, console: Console) -> typer.Exit:
        """Says what is done; the exit status of an interruption."""
        message = f"stopped; {done(journal.totals, journal.position)} are done."
        if self.output != STREAM and not journal.counts_nothing:
            message += " To go on from there, run the same command again."
        console.print(message, markup=False, highlight=False, soft_wrap=True)
        return typer.Exit(130)

    def _read_as(self) -> str:
        name = self.input[: -len(_PACKED)] if self.input.lower().endswith(_PACKED) else self.input
        return _format("--input", name, self.input_format, _INPUTS)

    def _check_columns(self) -> None:
        named = next((part for part, name in self.columns.items() if name), "")
        form = self._read_as()
        if named and form in ("jsonl", "txt"):
            reason = {
                "jsonl": "fields of JSON lines have fixed names; to read them by others, from a"
                " file that fits into memory, give --input-format json",
                "txt": f"text has no columns; leave it out. {_TABLES}",
            }
            raise UserError(f"{NAMING.format(part=named)}: {reason[form]}.")

    def _write_as(self) -> str:
        return _format(
            "--output",
            self.output,
            self.output_format or ("jsonl" if self.output == STREAM else ""),
            _OUTPUTS,
        )

    def _source(self) -> os.stat_result | None:
        """Where the input lies, if it is a file. Raises `UserError` where it cannot be read."""
        if self.input == STREAM:
            descriptor = _descriptor(sys.stdin, "--input: standard input is closed; name a file.")
            with contextlib.suppress(OSError):
                found = os.stat(descriptor)
                return found if stat.S_ISREG(found.st_mode) else None
            return None
        path = local.here(self.input, "--input", wanted=())
        try:
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                # Before its name is looked at: no format that is given reads a workbook.
                with path.open("rb") as file:
                    check_head(file.read(4), f"--input: {path}")
        except OSError as error:
            raise _unreadable(path, error) from error
        if stat.S_ISDIR(found.st_mode):
            each = 'eacl predict ... --input "$f" --output "ANSWERS/$(basename "$f").jsonl"'
            raise UserError(
                f"--input: {path} is a folder; name a file of dialogues. All files of it, each with"
                f" its answers in another folder that is there:\n  for f in"
                f" {shlex.quote(str(path))}/*; do {each}; done"
            )
        return found if stat.S_ISREG(found.st_mode) else None

    @contextlib.contextmanager
    def _opened(self) -> Iterator[tuple[BinaryIO, int]]:
        """The input, and its size in bytes; 0 where that is not known."""
        source = self._source()
        size = source.st_size if source else 0
        if self.input == STREAM:
            yield sys.stdin.buffer, size
            return
        path = local.here(self.input, "--input", wanted=())
        if self._read_as() == "json":
            lines = in_memory.json_lines(path, self.columns, NAMING)
            yield io.BytesIO(lines), len(lines)
            return
        try:
            file = path.open("rb", buffering=2**20)
        except OSError as error:
            raise _unreadable(path, error) from error
        with file:
            yield file, size

    def _chains(self, settings: "Settings") -> bool:
        """Whether a chain answers, which needs whole dialogues."""
        return not self.labels and settings.chain_of(self.stage) is not None

    def _items(
        self,
        lines: Lines,
        wanted: reading.Wanted,
        console: Console,
        modalities: Mapping[str, Modality],
        left_out: set[str],
        about_text: transcripts.Findings,
    ) -> tuple[Iterator[reading.Item], tuple[str, ...]]:
        """The dialogues, and the names of a table's columns that are carried through. Of JSON,
        `left_out` gets the names of fields that are not, and of text `about_text`
        what there is to report, as they are read.
        """
        if self._read_as() in ("jsonl", "json"):
            # As JSON, what is read here is made of dialogues that were read already.
            otherwise = _OTHER_JSON if self._read_as() == "jsonl" else ""
            return reading.read_jsonl(lines, wanted, modalities, left_out, otherwise=otherwise), ()
        if self._read_as() != "csv":
            return transcripts.read_txt(lines, wanted, about_text, tables=_TABLES), ()
        table = tables.Table(lines, self.columns, NAMING, modalities)
        if twice := [each.name for each in wanted.other_features if each.name in table.features]:
            raise UserError(
                f"{lines.name} has columns {twice[0]}.SOMETHING: leave out --features {twice[0]},"
                " or them."
            )
        _say_left_out(console, lines.name, "columns", table.left_out)
        return table.read(wanted), table.others

    def _format(
        self, labels: Sequence[str], others: Sequence[str], *, several: bool
    ) -> formats.Format:
        sets = self.coverage is not None
        fields = formats.read_fields(self.fields, self._write_as(), several, sets=sets)
        if self._write_as() == "csv":
            shown = self.output == STREAM and sys.stdout.isatty()
            how = {"raw": self.raw, "shown": shown, "several": several, "sets": sets}
            return formats.Csv(labels, others=others, fields=fields, **how)
        return formats.JsonLines(fields)

    def _output(
        self,
        model: str,
        trained: "Settings",
        written_as: formats.Format,
        given: Sequence[GivenFeatures],
    ) -> writing.Output:
        header = written_as.header
        if self.output == STREAM:
            return writing.StreamOutput(sys.stdout.buffer, sys.stderr, header=header)
        # Not among them: the batch size, which changes rounding only, and whether bad dialogues are
        # passed over and long texts refused. A run that found one, or not enough memory, may so go
        # on with other choices.
        settings = {
            "model": model,
            # Runtimes differ in the last digits.
            "runtime": None if self.runtime == JAX else [self.runtime, self.precision],
            "labels": list(self.labels.items()),
            "stage": self.stage,
            # To a model that reads none, no text is too long.
            "long texts": (
                ("pooled" if self.on_long == "pool" else "cut") if trained.reads_text else None
            ),
            "shard": str(self.shard),
            "input format": self._read_as(),
            "output format": self._write_as(),
            "columns": dict(self.columns),
            # Of a file that is not read line by line, those of dialogues to come may be others.
            "columns carried through": list(written_as.others) or None,
            "fields": formats.read_fields(self.fields, self._write_as()),
            "coverage": self.coverage,
            "raw": self.raw,
            "features": {each.name: each.fingerprint() for each in given} or None,
            # Not what is in the files, which would be read twice.
            "sounds": None if self.sounds is None else str(self.sounds.resolve()),
        }
        return writing.FileOutput(
            local.expand(self.output, "--output"),
            settings,
            header=header,
            restart=self.restart,
            restart_named=_RESTART,
        )

    def _recognizer(self, folder: Path) -> Recognizer:
        from eacl_jax.recognizer.recognizer import EmotionRecognizer

        recognizer = EmotionRecognizer.from_pretrained(
            folder,
            runtime=self.runtime,
            precision=self.precision,
            batch_size=self.batch_size,
        )
        if self.labels:
            recognizer = recognizer.with_labels(self.labels)
        if self.stage not in recognizer.anchors:
            raise UserError(
                f"--stage: the model has no anchors of {self.stage}; it has"
                f" {', '.join(recognizer.anchors)}."
            )
        return recognizer


def _say_left_out(console: Console, name: str, kind: str, left_out: Sequence[str]) -> None:
    """Says which columns or fields of the input do not come back with the answers."""
    if not left_out:
        return
    note = (
        f"{name}: {kind} {', '.join(map(repr, left_out))} are not carried through, as answers have"
        " these names, or they are read as labels; rename them to keep them"
    )
    console.print(printable(note), markup=False, highlight=False, soft_wrap=True)


def _all_joined(
    items: Iterator[reading.Item], given: Sequence[GivenFeatures]
) -> Iterator[reading.Item]:
    """The same items. Raises `UserError` at their end where features of a file are of none."""
    yield from items
    for each in given:
        each.check_found()


def _measure(file: BinaryIO, size: int) -> Callable[[Position], int]:
    """Tells how many bytes of a file are before a position of its text; about, where it is
    compressed or not UTF-8.
    """
    head = file.peek(2)[:2] if size and isinstance(file, io.BufferedReader) else b""
    if head in (b"\x1f\x8b", codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return lambda _: file.tell()
    return lambda position: position.offset


def _descriptor(stream: TextIO | None, closed: str) -> int:
    """Of a standard stream; -1, which is no file's, for one that a program has replaced."""
    if stream is None:
        raise UserError(closed)
    try:
        return stream.fileno()
    except (AttributeError, OSError):
        return -1


def _unreadable(path: Path, error: OSError) -> UserError:
    if isinstance(error, FileNotFoundError):
        return UserError(f"--input: {path} does not exist; name a file of dialogues.")
    return UserError(f"--input: cannot read {path}: {error.strerror or error}.")


def _format(option: str, name: str, given: str, known: Sequence[str]) -> str:
    suffix = Path(name).suffix.lower().removeprefix(".")
    found = given or (suffix if name != STREAM else "")
    if option == "--input":
        found = _OTHER_NAMES.get(found, found)
    if found not in known:
        if name == STREAM:
            raise UserError(
                f"{option}-format must be given beside {option}=-, one of {', '.join(known)}."
            )
        raise UserError(
            f"{option}: the name of {name} ends in none of {_endings(option, known)}; give"
            f" {option}-format, one of {', '.join(known)}."
        )
    if found == "json" and name == STREAM:
        raise UserError(
            f"{option}-format: json is read whole, from a file: name one in place of {STREAM}, or"
            " give a dialogue a line, as jsonl."
        )
    return found


def _endings(option: str, known: Sequence[str]) -> str:
    """Endings of names that tell a format: of the input also their other names, and packed ones."""
    if option != "--input":
        return ", ".join(f".{ending}" for ending in known)
    names = [
        name
        for form in known
        if form not in _OTHER_NAMES
        for name in (form, *(other for other, kind in _OTHER_NAMES.items() if kind == form))
    ]
    return f"{', '.join(f'.{name}' for name in names)} (each also with {_PACKED})"
