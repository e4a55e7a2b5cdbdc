"""`eacl train`: both stages of a run."""

from pathlib import Path
from typing import Annotated

import typer


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
    from eacl_jax.cli import compiled, configuration, huge_pages, process

    checked = configuration.parse_config(config, context.args)
    huge_pages.use_huge_pages()
    with process.guard("eacl"):
        from eacl_jax.training import run

        compiled.keep_compiled(checked.data)
        run.train(checked, workdir, resume=resume, profile=profile)
