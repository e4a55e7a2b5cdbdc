"""`eacl features`: numbers of the voice or the face, to go beside the text."""

import typer

from eacl_jax.cli.features_extract import extract
from eacl_jax.cli.features_import import import_features
from eacl_jax.cli.once import Command

app = typer.Typer(help="Features beside the text: of an utterance's voice, face or anything.")


app.command("import", cls=Command)(import_features)
app.command(cls=Command)(extract)
