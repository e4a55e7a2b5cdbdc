"""`eacl features extract`: features of a folder's sound files."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from eacl_jax.cli.options import given_of
from eacl_jax.dialogue import count
from eacl_jax.errors import UserError

_LISTED = 20


def extract(
    context: typer.Context,
    audio: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help=(
                "With the sound files, a file an utterance: WAV, FLAC, MP3, Ogg. Folders train,"
                " dev and test in it are splits."
            ),
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="The folder of features. What it already holds of the same files is kept.",
        ),
    ],
    what: Annotated[
        Literal["prosody", "egemaps"],
        typer.Option(
            help=(
                "prosody: nine numbers of loudness, pitch and pace. egemaps: openSMILE's 88, where"
                " it is installed (for non-commercial use only)."
            )
        ),
    ] = "prosody",
    encoder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help=(
                "In place of --what: a pretrained encoder of sound (wav2vec 2.0, HuBERT or WavLM),"
                " as Hugging Face folders hold it, whose hidden states are the features."
            ),
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        str,
        typer.Option(
            metavar="N", help="With --encoder: of this layer, from the end if negative; or mean."
        ),
    ] = "-1",
    parts: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            help="With --encoder: means over so many equal parts of a sound; 0: all its frames.",
        ),
    ] = 1,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Processes; else one a core.", show_default=False),
    ] = None,
    longest: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=3600,
            metavar="SECONDS",
            help=(
                "Files that last longer are skipped; 600 where it is not given, with --encoder 60,"
                " whose memory grows with the square of what the longest file lasts."
            ),
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make features of sound files.

    A file's name says whose they are: DIALOGUE/UTTERANCE.wav, DIALOGUE_UTTERANCE.wav or
    dia7_utt3.wav. Broken files are listed and skipped. Stopped or killed, the same command goes on,
    and when all is done it makes only those of files that are new or have changed.
    """
    unread = ("layer", "parts") if encoder is None else ("what", "jobs")
    if given := given_of(context, unread):
        why = "only with --encoder; name one, or leave it out"
        if encoder is not None:
            why = "not with --encoder; leave one of both out"
        raise UserError(f"{given}: {why}.")
    from rich.console import Console
    from rich.progress import Progress

    from eacl_jax.cli import process
    from eacl_jax.features.sound import extract as extracting
    from eacl_jax.features.sound.decoding import MOST_SECONDS
    from eacl_jax.files import local

    process.quiet_libraries()
    maker: extracting.Maker | str = what
    if encoder is not None:
        from eacl_jax.cli.features_encode import maker_of
        from eacl_jax.encoders.audio.passes import LONGEST

        longest = longest or LONGEST
        maker = maker_of(local.here(encoder, "--encoder"), layer, parts, longest)
    audio, out = local.expand(audio, "--audio"), local.expand(out, "--out")
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("sound files")
        done = extracting.extract(
            audio,
            out,
            maker=maker,
            jobs=jobs,
            most_seconds=longest or MOST_SECONDS,
            progress=lambda count, total: bar.update(task, completed=count, total=total),
        )
    for number, problem in enumerate(done.skipped.values()):
        if number == _LISTED:
            process.tell(f"... and {len(done.skipped) - _LISTED} more: see {out}/features.json")
            break
        process.tell(f"skipped: {problem}")
    typer.echo(
        f"{out}: {done.made_by!r} of {count(done.utterances, 'utterance')}"
        f" ({done.made} made, {count(len(done.skipped), 'file')} skipped)"
    )
