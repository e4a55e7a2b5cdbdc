"""`eacl features`: numbers of the voice or the face, to go beside the text."""

import typer

from eacl_jax.cli.features_extract import extract

app = typer.Typer(help="Features beside the text: of an utterance's voice, face or anything.")


# With one command alone, typer would leave its name out.
@app.callback()
def _features() -> None:
    pass


app.command()(extract)
