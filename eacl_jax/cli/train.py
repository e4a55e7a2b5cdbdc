"""`eacl train` and `eacl evaluate`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from eacl_jax import files
from eacl_jax.errors import UserError


def train(
    context: typer.Context,
    config: Annotated[
        str,
        typer.Option(
            metavar="FILE[:ARGUMENT]", help="Configuration, as configs/meld.py:fast. configs/base.py lists arguments."
        ),
    ],
    workdir: Annotated[Path, typer.Option(metavar="FOLDER", help="The run's folder; made if absent.")],
    resume: Annotated[bool, typer.Option(help="Go on with a run of the same configuration that is in --workdir.")] = True,
    profile: Annotated[int, typer.Option(min=0, help="Trace so many steps of stage one into --workdir's profile/.")] = 0,
) -> None:
    """Train both stages into a run's folder; stopped or killed, the same command goes on.

    Any setting may be changed by its name, as --config.stage_one.epochs=4; eacl_jax/config.py lists them.
    """
    from eacl_jax import allocator, command

    checked = command.parse_config(config, context.args)
    allocator.use_huge_pages()
    with command.guard("eacl"):
        from eacl_jax import run

        command.keep_compiled(checked.data)
        run.train(checked, workdir, resume=resume, profile=profile)


def evaluate(
    folder: Annotated[Path, typer.Option("--run", metavar="FOLDER", help="A finished run's folder.")],
    split: Annotated[Literal["train", "dev", "test"], typer.Option(help="Which split.")] = "test",
    data_dir: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where the corpus' files are, if no longer where the run found them.")
    ] = "",
) -> None:
    """Score a finished run again, from its model folder."""
    folder = files.expanded(folder, "--run")
    if not folder.is_dir():
        raise UserError(f"--run: {folder} is no folder; name that of a finished run.")
    from eacl_jax import allocator, command

    allocator.use_huge_pages()
    command.quiet_libraries()
    from rich.console import Console

    from eacl_jax import evaluation, run_folder

    command.keep_compiled(run_folder.read_config(folder).data)
    scores = evaluation.evaluate(folder, split, data_dir=data_dir)
    evaluation.print_scores(folder, split, scores, Console())
