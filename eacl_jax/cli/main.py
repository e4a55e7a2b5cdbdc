"""`eacl`: train, adapt, use and hand on recognizers of emotion in conversation."""

import sys
from importlib import metadata
from typing import Annotated

import typer
from typer.exceptions import Abort, TyperException
from typer.main import get_command

from eacl_jax.cli.adapt import adapt
from eacl_jax.cli.encoders import encoders
from eacl_jax.cli.export import export, push
from eacl_jax.cli.predict import predict
from eacl_jax.cli.serve import serve
from eacl_jax.cli.train import evaluate, train
from eacl_jax.errors import UserError

app = typer.Typer(rich_markup_mode="markdown", add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(metadata.version("eacl_jax"))
        raise typer.Exit


@app.callback()
def _eacl(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Recognizers of emotion in conversation: train them, adapt them to your labels, use them, hand them on.

    eacl COMMAND --help tells the options of a command.
    """


# Overrides of settings, --config.NAME=VALUE, are for ml_collections to read.
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(train)
for _command in (evaluate, predict, adapt, serve, export, push, encoders):
    app.command()(_command)


def main(*first: str) -> None:
    """Runs the command line, and exits.

    Args:
      first: arguments to put before it.
    """
    from eacl_jax import command

    arguments = [*first, *sys.argv[1:]] or ["--help"]
    try:
        status = get_command(app)(args=arguments, prog_name="eacl", standalone_mode=False)
    except UserError as error:
        command.fail(str(error))
    except TyperException as error:
        command.fail(f"{error.format_message()} (--help tells what there is)")
    except Abort:
        command.fail("aborted.")
    else:
        sys.exit(status)
