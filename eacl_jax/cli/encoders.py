"""`eacl encoders`: which encoders can be used."""


def encoders() -> None:
    """List the encoders that can be trained: architectures, known checkpoints, sizes."""
    from rich.console import Console
    from rich.table import Table

    from eacl_jax.cli import process

    process.quiet_libraries()
    from eacl_jax.encoders import catalogue

    table = Table(
        title="Encoders, for `eacl train --config=configs/meld.py:encoder=HUB_ID_OR_FOLDER`",
        title_justify="left",
    )
    table.add_column("architecture")
    table.add_column("known checkpoints", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    for kind, architecture, checkpoints in catalogue.listed():
        table.add_row(
            f"{architecture.name}\nmodel_type {kind}\narXiv {architecture.paper}",
            "\n".join(
                entry.hub_id + (" *" if entry.hub_id in catalogue.REAL else "")
                for entry in checkpoints
            ),
            "\n".join(f"{entry.parameters / 1e6:.1f} M" for entry in checkpoints),
            end_section=True,
        )
    console = Console()
    console.print(table)
    console.print(catalogue.NOTE, highlight=False)
