"""`eacl export` and `eacl push`: a model folder for other programs, and to the Hugging Face hub."""

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from eacl_jax.cli.options import Model, Revision, find_folder
from eacl_jax.errors import UserError
from eacl_jax.files import local, stores, whole
from eacl_jax.recognizer import locate


class Format(StrEnum):
    """What `eacl export` writes."""

    STABLEHLO = "stablehlo"
    ONNX = "onnx"
    HF = "hf"


_SHAPES, _PLATFORMS = "auto", "cpu,cuda,tpu"


def export(
    model: Model,
    output: Annotated[Path, typer.Option(help="New folder to write.", show_default=False)],
    format: Annotated[
        Format,
        typer.Option(
            help=(
                "stablehlo: programs that JAX and NumPy run. onnx: a program for ONNX Runtime and"
                " what else reads ONNX. hf: for PyTorch transformers."
            )
        ),
    ] = Format.STABLEHLO,
    shapes: Annotated[
        str,
        typer.Option(
            metavar="SHAPE,...",
            help=(
                "stablehlo: shapes of input that programs are made for, ROWSxLENGTH separated by"
                " commas, `*` for any number. "
                "auto: `*x*` where the encoder allows it, else some lengths."
            ),
        ),
    ] = _SHAPES,
    platforms: Annotated[
        str,
        typer.Option(
            metavar="NAME,...", help="stablehlo: what programs run on: cpu, cuda, rocm, tpu."
        ),
    ] = _PLATFORMS,
    precision: Annotated[
        Literal["float32", "int8"],
        typer.Option(help="onnx: of products; int8 has to be prepared (eacl prepare)."),
    ] = "float32",
    revision: Revision = "main",
) -> None:
    """Write a trained model for programs that know nothing of eacl_jax."""
    new = stores.address_of(output, "--output") or local.expand(output, "--output")
    whole.check_new(new, "--output")
    from eacl_jax.cli import process
    from eacl_jax.export.pytorch import export_hf
    from eacl_jax.export.shapes import read_shapes
    from eacl_jax.export.stablehlo import check_platforms, export_stablehlo
    from eacl_jax.recognizer.recognizer import EmotionRecognizer

    # Before anything is loaded or downloaded.
    read_shapes(shapes)
    names = [name.strip() for name in platforms.split(",")]
    check_platforms(names)
    process.quiet_libraries()
    if format is not Format.STABLEHLO:
        for name, asked, default in (
            ("shapes", shapes, _SHAPES),
            ("platforms", platforms, _PLATFORMS),
        ):
            if asked != default:
                raise UserError(f"--{name}: {asked} is of --format=stablehlo; leave it out.")
    if format is Format.ONNX:
        from eacl_jax.recognizer.onnx_runtime import check_installed

        check_installed()
    elif precision != "float32":
        raise UserError("--precision: int8 is of --format=onnx; leave it out.")
    recognizer = EmotionRecognizer.from_pretrained(model, revision=revision)
    if format is Format.HF:
        export_hf(recognizer, new)
        typer.echo(f"{new}: model folder; its README.md has lines for PyTorch")
        return
    if format is Format.ONNX:
        from eacl_jax.export.onnx import export_onnx

        int8 = precision == "int8"
        export_onnx(recognizer, new, prepared=locate.find_folder(model, revision) if int8 else None)
        typer.echo(f"{new}: program for ONNX Runtime, {precision}")
        _say_how_to_try(new)
        return
    made = export_stablehlo(recognizer, new, shapes=shapes, platforms=names)
    typer.echo(
        f"{new}: programs for {', '.join(map(str, made))} (rows x tokens) on {', '.join(names)}"
    )
    _say_how_to_try(new)


def _say_how_to_try(new: Path | str) -> None:
    """Says how to run an export; one in an object store has to be fetched first."""
    if isinstance(new, Path):
        typer.echo(f"try it: python {shlex.quote(str(new / 'run.py'))}")


def push(
    model: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER",
            help="A model's folder, or its run's.",
            callback=find_folder,
            show_default=False,
        ),
    ],
    repo: Annotated[
        str,
        typer.Option(
            help="Hub repository, OWNER/NAME; made where it is missing.", show_default=False
        ),
    ],
    private: Annotated[
        bool, typer.Option("--private", help="A repository that is made is private.")
    ] = False,
    token: Annotated[
        str,
        typer.Option(
            envvar="HF_TOKEN",
            help="With the right to write; else that of `hf auth login`.",
            show_default=False,
        ),
    ] = "",
    with_learnt: Annotated[
        bool,
        typer.Option(
            "--with-learnt",
            help=(
                "Also send learnt.safetensors, by which the model knows the utterances that it has"
                " learnt from, and others can try whether one was among them."
            ),
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be sent.")
    ] = False,
) -> None:
    """Send a model folder to the Hugging Face hub."""
    from eacl_jax.export.hub import push as send

    sent = send(model, repo, private=private, token=token, with_learnt=with_learnt, dry_run=dry_run)
    for name, size in sent.files.items():
        typer.echo(f"{size:>13,}  {name}")
    if (model / locate.LEARNT).is_file() and locate.LEARNT not in sent.files:
        typer.echo(f"{'stays here':>13}  {locate.LEARNT} (--with-learnt sends it)")
    total = f"{len(sent.files)} files, {sum(sent.files.values()):,} bytes"
    typer.echo(
        f"{total} would be sent to {repo}" if dry_run else f"{total} sent to {repo}: {sent.address}"
    )
