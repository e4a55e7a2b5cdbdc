"""`eacl features`: numbers beside the text, by modality."""

import typer

from eacl_jax.cli.features_import import import_features

app = typer.Typer(
    rich_markup_mode="markdown",
    no_args_is_help=True,
    help="Features beside the text: of an utterance's voice, face or anything.",
)


@app.callback()
def _features() -> None:
    """Keeps `import` a command's name, also while it is the only one."""


app.command("import")(import_features)
