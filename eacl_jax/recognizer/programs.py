"""A model's programs for other runtimes, in its folder beside the weights: read without JAX."""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from eacl_jax.dialogue import count
from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.files.checksum import sampled, sampled_below, sha256_of
from eacl_jax.files.records import build, read_json
from eacl_jax.files.tensors import is_whole
from eacl_jax.model.abstention import SHOWN_COVERAGES
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.runtime import JAX

Precision = Literal["float32", "bfloat16", "int8"]
LABEL_WORDS = "label_words"
"""The program that makes anchors of label words."""
FOLDER = "programs"
_ABOUT = "programs.json"
_HEADS = "heads.safetensors"
_CONFIG = "config.json"
_FORMAT = "eacl_jax programs 2"
_SECTION = "## Programs"
_TITLES = {
    "float32": "float32",
    "bfloat16": "bfloat16, by OpenVINO",
    "int8": "int8, by ONNX Runtime",
    LABEL_WORDS: "anchors of label words",
}
# OpenVINO computes the same program in either.
_RUNS = {"bfloat16": "float32"}


def check_reads_text_alone(settings: Settings) -> None:
    """Raises `UserError` where a model reads features, also as words in its text, which programs
    know nothing of.
    """
    if settings.modalities:
        raise UserError(
            f"this model reads features beside the text ({', '.join(settings.modalities)}), which"
            f" programs have no input for: use it by eacl_jax with runtime {JAX!r}, or train one"
            " without config.data.features."
        )


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a program changes beside the model by JAX, on annotated utterances that did not
    calibrate it; in percent.

    Attributes:
      utterances: how many.
      metric: the score's name.
      before, after: that score of the model and of the program.
      changed: share of utterances whose answer is another.
      calibration_before, calibration_after: expected calibration error.
      held_before, held_after: share of the sets of labels, for the least of `SHOWN_COVERAGES`, that
        hold the utterance's own; None where the model has no sets.
      learnt: of the utterances, how many the model has learnt from.
    """

    utterances: int
    metric: str
    before: float
    after: float
    changed: float
    calibration_before: float
    calibration_after: float
    held_before: float | None = None
    held_after: float | None = None
    learnt: int = 0

    @property
    def loss(self) -> float:
        """What the score loses; below 0 where it gains."""
        return self.before - self.after

    def in_words(self) -> str:
        """One line."""
        held = (
            ""
            if self.held_before is None
            else f", sets for a coverage of {SHOWN_COVERAGES[0]}% hold the label in"
            f" {self.held_before:.1f}% -> {self.held_after:.1f}%"
        )
        learnt = f", of which the model has learnt from {self.learnt}" if self.learnt else ""
        return (
            f"{self.metric.replace('_f1', ' F1').replace('_', ' ')} {self.before:.2f} ->"
            f" {self.after:.2f}, {self.changed:.1f}% of answers differ, calibration error"
            f" {self.calibration_before:.1f} -> {self.calibration_after:.1f}{held}, on"
            f" {count(self.utterances, 'utterance')}{learnt}"
        )


@dataclasses.dataclass(frozen=True)
class Program:
    """One of a model's programs.

    Attributes:
      bytes: of its file.
      checksum: of its file, by `checksum.sampled`; `write_program` fills it in.
      longest: tokens that it reads at most; None: any number.
      kept: what of an int8 program is float32: "" or "narrowing products".
      weight_bits: of an int8 program.
      cost: None for float32.
      outdated: the cost was measured before the model's calibration, thresholds or other settings
        became others.
    """

    bytes: int
    checksum: str = ""
    longest: int | None = None
    kept: str = ""
    weight_bits: int = 0
    cost: Cost | None = None
    outdated: bool = False

    def in_words(self) -> str:
        """A line of what its precision costs; empty for float32."""
        if self.cost is None:
            return ""
        kept = f"; {self.kept} stay float32" if self.kept else ""
        precision = "int8" if self.weight_bits else "bfloat16"
        before = "; measured before the model's settings changed" if self.outdated else ""
        return f"{precision} beside the model by JAX: {self.cost.in_words()}{kept}{before}"


@dataclasses.dataclass(frozen=True)
class _About:
    heads: str
    programs: dict[str, Program]
    # Of encoders' weights and config.json, by name.
    encoders: dict[str, str]
    # The one setting that programs hold, and the hash of all.
    readout: str
    config: str

    def is_of(self, folder: Path) -> bool:
        """Whether the programs are of the weights, encoders and readout that a model folder has."""
        return (
            self.heads == sha256_of(folder / _HEADS)
            and self.encoders == _encoders(folder)
            and self.readout == _readout(folder)
        )

    def is_measured(self, folder: Path) -> bool:
        """Whether costs are those of the settings that a model folder has."""
        return self.config == sha256_of(folder / _CONFIG)


def _readout(folder: Path) -> str:
    return str(read_json(folder / _CONFIG, "save the model again").get("readout"))


def _encoders(folder: Path) -> dict[str, str]:
    patterns = ("*encoder/*.safetensors", "*encoder/config.json")
    return sampled_below(folder, (file for pattern in patterns for file in folder.glob(pattern)))


def file_of(folder: Path, name: str) -> Path:
    """Where a model folder has the program of a precision, or `LABEL_WORDS`."""
    return folder / FOLDER / f"{_RUNS.get(name, name)}.onnx"


def read_programs(folder: Path) -> dict[str, Program]:
    """The programs of a model folder by precision, and `LABEL_WORDS`; none where none were
    prepared.

    Raises:
      UserError: their description is damaged, one is missing or another, or they are of another
        model.
    """
    about = folder / FOLDER / _ABOUT
    if not about.exists():
        return {}
    values: Any = read_json(about, "prepare the model again")
    problems: list[str] = []
    if values.pop("format", None) != _FORMAT:
        problems.append(f"format: expected {_FORMAT!r}.")
    found = None if problems else build(_About, values, "programs", problems)
    if problems:
        raise UserError(
            f"{about} cannot be used; prepare the model again:\n  " + "\n  ".join(problems)
        )
    assert isinstance(found, _About)
    if not found.is_of(folder):
        _check_whole(folder, (_HEADS, *found.encoders))
        raise UserError(
            f"{folder / FOLDER} holds programs of another model than {folder} is now: prepare it"
            " again, or delete them."
        )
    for name, program in found.programs.items():
        file = file_of(folder, name)
        if problem := _why_not(file, program):
            raise UserError(f"{file} {problem}: prepare the model again.")
    if found.is_measured(folder):
        return found.programs
    return {
        name: dataclasses.replace(program, outdated=program.cost is not None)
        for name, program in found.programs.items()
    }


def _check_whole(folder: Path, names: Iterable[str]) -> None:
    """Raises `UserError` where what a model folder had when its programs were made is missing there
    or cut off: then these are of no other model. Weights may be in other files by now, and a folder
    of another encoder gone with the model that had one.
    """
    for name in names:
        file = folder / name
        kind = "*.safetensors" if file.suffix == ".safetensors" else file.name
        there = sorted(file.parent.glob(kind))
        if file.parent.is_dir() and not there:
            raise UserError(
                f"{file} is missing: the model folder is not whole; copy the model again."
            )
        for each in there:
            if each.suffix == ".safetensors" and not is_whole(each):
                raise UserError(f"{each} is damaged or not whole; copy the model again.")


def files_of(folder: Path) -> set[Path]:
    """The files of a model folder's programs, and their description; none where none were prepared.
    Errors as of `read_programs`.
    """
    programs = read_programs(folder)
    return {
        *(file_of(folder, name) for name in programs),
        *([folder / FOLDER / _ABOUT] if programs else ()),
    }


def _why_not(file: Path, program: Program) -> str:
    """Why a file is not a program; empty where it is. Two models of one architecture have programs
    of one size.
    """
    try:
        if not file.exists():
            return "is missing"
        if file.stat().st_size != program.bytes:
            return "is not whole"
        return "" if sampled(file) == program.checksum else "is not the program that was prepared"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def describe(folder: Path) -> None:
    """Says in a model's new card what programs are there; nothing where they are of another model,
    or none.
    """
    try:
        programs = read_programs(folder)
    except UserError:
        return
    if programs:
        _write_section(folder / "README.md", programs)


def write_program(folder: Path, content: bytes, programs: Mapping[str, Program]) -> None:
    """Adds a program to a model folder, or replaces it; others of the same model stay, and those of
    another go.

    Args:
      folder: a model's.
      content: of the program's file.
      programs: what is to be known of it, by names that have the same `file_of`.

    Raises:
      UserError: it cannot be written.
    """
    try:
        others = read_programs(folder)
    except UserError:  # of another model, or damaged: made anew
        others = {}
    (file,) = {file_of(folder, name) for name in programs}
    _check_folder(folder)
    whole.write_bytes(file, content)
    checksum = sampled(file)
    written = {
        name: dataclasses.replace(program, checksum=checksum) for name, program in programs.items()
    }
    # Not what was measured of a file that is replaced by another.
    others = {
        name: program
        for name, program in others.items()
        if file_of(folder, name) != file or program.checksum == checksum
    }
    about = _About(
        sha256_of(folder / _HEADS),
        {**others, **written},
        _encoders(folder),
        _readout(folder),
        sha256_of(folder / _CONFIG),
    )
    whole.write_json(folder / FOLDER / _ABOUT, {"format": _FORMAT, **dataclasses.asdict(about)})
    known = {file_of(folder, name) for name in about.programs}
    for left in {*(folder / FOLDER).glob("*.onnx")} - known:
        with contextlib.suppress(OSError):  # it is not read, nor sent
            left.unlink()
    _write_section(folder / "README.md", about.programs)


def _check_folder(folder: Path) -> None:
    """Makes the programs' folder where it is missing."""
    try:
        (folder / FOLDER).mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(whole.unwritable(folder / FOLDER, error)) from error


def _write_section(card: Path, programs: Mapping[str, Program]) -> None:
    """Says in the model's card, if it has one, what programs there are."""
    if not card.is_file():
        return
    text = card.read_text(encoding="utf-8")
    before, _, after = text.partition(f"\n{_SECTION}\n")
    # Up to the next section.
    rest = f"\n## {after.partition(chr(10) + '## ')[2]}" if "\n## " in after else ""
    lines = [
        f"- {_TITLES[name]}: `{FOLDER}/{file_of(card.parent, name).name}`,"
        f" {program.bytes / 1e6:.1f} MB." + (f" {program.in_words()}" if program.cost else "")
        for name, program in sorted(programs.items())
    ]
    summary = (
        "For ONNX Runtime and OpenVINO, which answer without JAX:"
        ' `EmotionRecognizer.from_pretrained(..., runtime="onnx")`, or `"openvino"`.'
    )
    section = "\n".join([_SECTION, "", summary, "", *lines])
    whole.write_text(card, f"{before.rstrip()}\n\n{section}\n{rest}")
