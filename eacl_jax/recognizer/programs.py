"""A model's programs for other runtimes, in its folder beside the weights: read without JAX."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from eacl_jax.dialogue import count
from eacl_jax.errors import UserError
from eacl_jax.files import whole
from eacl_jax.files.checksum import sampled, sha256_of
from eacl_jax.files.records import build, read_json
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.runtime import JAX

Precision = Literal["float32", "bfloat16", "int8"]
LABEL_WORDS = "label_words"
"""The program that makes anchors of label words."""
FOLDER = "programs"
_ABOUT = "programs.json"
_HEADS = "heads.safetensors"
_CONFIG = "config.json"
_FORMAT = "eacl_jax programs 1"
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
    """

    utterances: int
    metric: str
    before: float
    after: float
    changed: float
    calibration_before: float
    calibration_after: float

    @property
    def loss(self) -> float:
        """What the score loses; below 0 where it gains."""
        return self.before - self.after

    def in_words(self) -> str:
        """One line."""
        return (
            f"{self.metric.replace('_f1', ' F1').replace('_', ' ')} {self.before:.2f} ->"
            f" {self.after:.2f}, {self.changed:.1f}% of answers differ, calibration error"
            f" {self.calibration_before:.1f} -> {self.calibration_after:.1f}, on"
            f" {count(self.utterances, 'utterance')}"
        )


@dataclasses.dataclass(frozen=True)
class Program:
    """One of a model's programs.

    Attributes:
      bytes: of its file.
      kept: what of an int8 program is float32: "" or "narrowing products".
      weight_bits: of an int8 program.
      cost: None for float32.
      outdated: the cost was measured before the model's calibration, thresholds or other settings
        became others.
    """

    bytes: int
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
    # Of encoders' files of weights, by name.
    encoders: dict[str, str]
    # The one setting that programs hold, and the hash of all.
    readout: str
    config: str

    def is_of(self, folder: Path) -> bool:
        """Whether the programs are of the weights and the readout that a model folder has."""
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
    files = sorted(folder.glob("*encoder/*.safetensors"))
    return {file.relative_to(folder).as_posix(): sampled(file) for file in files}


def file_of(folder: Path, name: str) -> Path:
    """Where a model folder has the program of a precision, or `LABEL_WORDS`."""
    return folder / FOLDER / f"{_RUNS.get(name, name)}.onnx"


def read_programs(folder: Path) -> dict[str, Program]:
    """The programs of a model folder by precision, and `LABEL_WORDS`; none where none were
    prepared.

    Raises:
      UserError: their description is damaged, one is missing, or they are of another model.
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
        raise UserError(
            f"{folder / FOLDER} holds programs of another model than {folder} is now: prepare it"
            " again, or delete them."
        )
    for name, program in found.programs.items():
        file = file_of(folder, name)
        size = file.stat().st_size if file.exists() else None
        if size != program.bytes:
            raise UserError(
                f"{file} {'is missing' if size is None else 'is not whole'}: prepare the model"
                " again."
            )
    if found.is_measured(folder):
        return found.programs
    return {
        name: dataclasses.replace(program, outdated=program.cost is not None)
        for name, program in found.programs.items()
    }


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
    """Adds a program to a model folder, or replaces it; others of the same model stay.

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
    # Not what was measured of a file that is replaced by another.
    others = {
        name: program
        for name, program in others.items()
        if file_of(folder, name) != file or program.bytes == len(content)
    }
    _check_folder(folder)
    whole.write_bytes(file, content)
    about = _About(
        sha256_of(folder / _HEADS),
        {**others, **programs},
        _encoders(folder),
        _readout(folder),
        sha256_of(folder / _CONFIG),
    )
    whole.write_json(folder / FOLDER / _ABOUT, {"format": _FORMAT, **dataclasses.asdict(about)})
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
