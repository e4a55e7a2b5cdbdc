"""`eacl features import`: features that papers exchange in pickles."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eacl_jax.features.pickles.layouts import Family
from eacl_jax.files import local, stores, whole

if TYPE_CHECKING:
    from eacl_jax.features.pickles.matching import Spoken


def import_features(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The pickle, as it is exchanged.")],
    family: Annotated[
        Family, typer.Option("--as", help="The corpus whose features it holds.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="The new folder, with one a modality in it; made, or empty."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help=(
                "The text corpus' files, as `config.data.dir` names them: ids, labels and counts"
                " are compared with it, and names and splits are its own."
            ),
            show_default=False,
        ),
    ] = "",
    most_mb: Annotated[
        int,
        typer.Option("--max-mb", min=1, max=65536, help="A larger file is not read."),
    ] = 256,
) -> None:
    """Make an exchanged pickle of features into folders that this package reads, one a modality.

    Read are IEMOCAP_features, MELD_features_raw1, the *_features_roberta of four corpora and the
    *_multimodal_features of two. Nothing in a pickle is run: it may hold numbers, texts, lists,
    dicts and NumPy arrays, and is refused where it asks for anything else.

    With --data, utterances are found in the text corpus by their sentences, train, dev and test are
    the corpus', and files that do not fit it are refused. Without it, names and splits are the
    file's.

    Copies across splits and features that are all zero are counted and warned of.
    """
    path = local.here(file, "FILE", wanted=())
    new = stores.address_of(out, "--out") or local.expand(out, "--out")
    whole.check_new(new, "--out")
    from eacl_jax.cli import process

    process.quiet_libraries()
    from eacl_jax.features.pickles.converting import convert

    done = convert(path, family, new, _corpus(family, data) if data else None, most_mb << 20)
    typer.echo("\n".join((*done.summary, f"Written to {new}.")))
    for warning in done.warnings:
        process.tell(f"WARNING: {warning}")


def _corpus(family: Family, folder: str) -> "list[Spoken]":
    """The dialogues of all splits. Raises `UserError` where the corpus cannot be read."""
    from eacl_jax import corpora
    from eacl_jax.config import DataConfig
    from eacl_jax.features.pickles.matching import Spoken

    data = DataConfig(corpus=family, dir=folder)
    builder = corpora.builder_class(family).from_config(data, corpora.cache_folder(data))
    return [
        Spoken(
            split,
            item.dialogue.id,
            item.turns or tuple(range(len(item.dialogue.utterances))),
            [utterance.text for utterance in item.dialogue.utterances],
            [utterance.emotion for utterance in item.dialogue.utterances],
        )
        for split, found in builder.dialogues().items()
        for item in found
    ]
