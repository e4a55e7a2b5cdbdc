"""`eacl`: train, adapt, use and hand on recognizers of emotion in conversation."""

import difflib
import re
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from eacl_jax.cli.adapt import adapt
from eacl_jax.cli.calibrate import calibrate
from eacl_jax.cli.encoders import encoders
from eacl_jax.cli.evaluate import evaluate
from eacl_jax.cli.export import export, push
from eacl_jax.cli.features import app as features
from eacl_jax.cli.once import Command
from eacl_jax.cli.predict import predict
from eacl_jax.cli.prepare import prepare
from eacl_jax.cli.serve import serve
from eacl_jax.cli.study import study
from eacl_jax.cli.train import train
from eacl_jax.errors import UserError

app = typer.Typer(rich_markup_mode="markdown", add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("eacl_jax"))
        raise typer.Exit


@app.callback()
def _eacl(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Recognizers of emotion in conversation: train them, adapt them to your labels, use them, hand
    them on.

    eacl COMMAND --help tells the options of a command.
    """


# Overrides of settings, --config.NAME=VALUE, are for ml_collections to read.
app.command(
    cls=Command, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(train)
for _command in (
    study,
    evaluate,
    predict,
    adapt,
    calibrate,
    prepare,
    serve,
    export,
    push,
    encoders,
):
    app.command(cls=Command)(_command)
app.add_typer(features, name="features")


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; returns its status.

    Raises:
      UserError: a mistake of the user's.
    """
    command = get_command(app)
    try:
        # Not `command.main`, which makes other statuses of Ctrl+C and of an output that nobody
        # reads.
        with command.make_context("eacl", [*arguments] or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except TyperException as error:
        message = error.format_message().replace(": Value error, ", ": ")  # pydantic's words
        message += _mistyped(message, arguments)
        raise UserError(f"{message} (--help tells what there is)") from error
    return 0


def _mistyped(message: str, arguments: Sequence[str]) -> str:
    """A question for the option that was given in place of a missing one, if one was: `train` hands
    on those that it does not know, and misses its own first.
    """
    if not (missing := re.match(r"Missing option '(--[\w-]+)'", message)):
        return ""
    names = [each.partition("=")[0] for each in arguments]
    given = [each for each in names if each.startswith("--") and "." not in each]
    close = difflib.get_close_matches(missing[1], given, n=1, cutoff=0.7)
    return f" Did you mean it by {close[0]}?" if close else ""
