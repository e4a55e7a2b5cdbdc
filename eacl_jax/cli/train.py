"""`eacl train`: both stages of a run."""

import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from eacl_jax.cli.distributed import VARIABLE

log = logging.getLogger(__name__)


def _list_settings(context: typer.Context, wanted: bool) -> None:
    if not wanted:
        return
    from eacl_jax.cli import configuration
    from eacl_jax.config import Config

    file = context.params.get("config")
    config = configuration.parse_config(file, ()) if file else Config()
    typer.echo("\n".join(configuration.overrides_of(config)))
    raise typer.Exit


def train(
    context: typer.Context,
    config: Annotated[
        str,
        typer.Option(
            metavar="FILE[:ARGUMENT]",
            help=(
                "A file of configs/, as configs/meld.py; configs/base.py lists arguments. Or a"
                " run's config.json, to train that again."
            ),
            is_eager=True,  # `_list_settings` reads it
        ),
    ],
    workdir: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The run's folder; made if absent.")
    ],
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--no-resume",
            help=(
                "Go on with a run of the same configuration that is in --workdir, or refuse a"
                " folder that holds one."
            ),
        ),
    ] = True,
    noresume: Annotated[bool, typer.Option("--noresume", hidden=True)] = False,  # as absl has it
    profile: Annotated[
        int, typer.Option(min=0, help="Trace so many steps of stage one into --workdir's profile/.")
    ] = 0,
    distributed: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            envvar=VARIABLE,
            help=(
                "Several processes train together: as the cluster says (auto: Cloud TPU, GKE,"
                " Slurm, Open MPI, Kubernetes), not (off), or HOST:PORT,N,I: process I (from 0) of"
                " N, of which 0 listens at HOST:PORT."
            ),
        ),
    ] = "auto",
    helpfull: Annotated[
        bool,
        typer.Option(
            "--helpfull",
            callback=_list_settings,
            is_eager=True,
            help=(
                "List all settings, with their values in the --config before it or else their"
                " defaults."
            ),
        ),
    ] = False,
) -> None:
    """Train both stages into a run's folder; stopped or killed, the same command goes on.

    Any setting may be changed by its name, as --config.stage_one.epochs=4; --helpfull lists them,
    eacl_jax/config/settings.py says what they do.
    """
    del helpfull  # done by its callback
    resume = resume and not noresume
    from eacl_jax.cli import compiled, configuration, huge_pages, process
    from eacl_jax.cli import distributed as together

    checked = configuration.parse_config(config, context.args)
    huge_pages.use_huge_pages()
    process.quiet_libraries()
    with together.joined(distributed):
        from eacl_jax.training import processes, run
        from eacl_jax.training.loop import Interrupted, StopRequest

        for line in checked.doubts():
            log.warning(line)
        compiled.keep_compiled(checked.data, together=processes.count() > 1)
        stop = StopRequest()
        try:
            with together.asking(stop):
                run.train(checked, workdir, resume=resume, profile=profile, stop=stop)
        except Interrupted as stopped:
            if processes.is_main():
                typer.echo(
                    f"{stopped} before it was done; the state is saved. To go on from there,"
                    f" run the same command again:\n  {this_command()}"
                )
            raise typer.Exit(128 + stopped.number) from None


def this_command() -> str:
    """The command line as the user gave it."""
    script = sys.argv[0]
    program = f"python {shlex.quote(script)}" if script.endswith(".py") else "eacl"
    return f"{program} {shlex.join(sys.argv[1:])}"
