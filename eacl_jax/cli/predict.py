"""`eacl predict`: the emotions of all dialogues in a file of any length."""

from typing import Annotated, Literal

import typer

from eacl_jax.cli.options import (
    DialogueColumn,
    Features,
    Labels,
    Model,
    Precision,
    Revision,
    Runtime,
    Sounds,
    SpeakerColumn,
    TextColumn,
    find_sounds,
    parse_labels,
)
from eacl_jax.config import Stage


def predict(
    model: Model,
    input_file: Annotated[
        str,
        typer.Option(
            "--input",
            metavar="FILE",
            help=(
                "Dialogues: a .jsonl, .csv, .tsv, .txt, .vtt, .srt, .json or .parquet file, also"
                " with .gz, or - for standard input."
            ),
        ),
    ],
    output_file: Annotated[
        str,
        typer.Option(
            "--output", metavar="FILE", help="A .jsonl or .csv file, or - for standard output."
        ),
    ],
    labels: Labels = "",
    stage: Annotated[
        Stage, typer.Option(help="Whose anchors answer: stage two's are the adapted ones.")
    ] = Stage.TWO,
    input_format: Annotated[
        Literal["jsonl", "csv", "tsv", "txt", "json"] | None,
        typer.Option(
            help=(
                "Of the input, where its name does not tell; csv and tsv are tables with any sign"
                " between cells, json stands for all that `eacl evaluate` reads."
            )
        ),
    ] = None,
    output_format: Annotated[
        Literal["jsonl", "csv"] | None,
        typer.Option(
            help=(
                "Of the output, where its name does not tell. Standard output: jsonl, if not given."
            )
        ),
    ] = None,
    on_long: Annotated[
        Literal["cut", "refuse", "pool"],
        typer.Option(
            help=(
                "What becomes of a text that is longer than the model reads: its end is answered"
                " (cut), the mean of its parts "
                "is (pool), or it is an error (refuse)."
            )
        ),
    ] = "cut",
    fields: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help=(
                "Write only these of each answer: speaker, text, emotion and confidence (of a model"
                " of several labels an utterance: emotions), possible (with --coverage),"
                " probabilities, cosines, truncated,"
                " unknown_text, and other, which stands for all that is carried through from the"
                " input."
            ),
            show_default=False,
        ),
    ] = "",
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help=(
                "Also write `possible`: the labels among which an utterance's own is with this"
                " share, 0.9 for nine of ten like the model's dev; one label where the model is"
                " sure."
            ),
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help=(
                "CSV: write texts as they are. Without it, one that a spreadsheet would run as a"
                " formula (=, +, - or @ first) "
                "has an apostrophe before it."
            ),
        ),
    ] = False,
    dialogue_column: DialogueColumn = "",
    speaker_column: SpeakerColumn = "",
    text_column: TextColumn = "",
    features: Features = None,
    sounds: Sounds = None,
    shard: Annotated[
        str,
        typer.Option(
            metavar="I/N",
            help=(
                "Predict every N-th dialogue only, from the I-th on, with I from 1 to N: N"
                " processes, each with an output of "
                "its own, predict each dialogue once."
            ),
        ),
    ] = "1/1",
    batch_size: Annotated[
        int, typer.Option(min=1, max=65536, help="Utterances encoded at once, about.")
    ] = 64,
    runtime: Runtime = "jax",
    precision: Precision = "float32",
    revision: Revision = "main",
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            help=(
                "Pass over dialogues that cannot be used. OUTPUT.errors.jsonl says which, and why."
            ),
        ),
    ] = False,
    restart: Annotated[
        bool,
        typer.Option(
            "--restart",
            help="Start anew: forget an unfinished run, and replace an output that is there.",
        ),
    ] = False,
) -> None:
    """Predict the emotion of every utterance in a file of dialogues, in constant memory.

    JSONL: a dialogue a line, {"id": "1", "utterances": [{"speaker": "Ann", "text": "I got it!"}]}
    or {"id": "1", "transcript": "Ann: I got it!"}.

    CSV: an utterance a row; the rows of a dialogue are neighbours. Separator, encoding and columns
    are found.

    JSON: one value over several lines, or another file of this field, as `eacl evaluate` reads them
    (.json, .parquet), read into memory.

    TXT: an utterance a line, Ann: I got it!, and a blank line after each dialogue; or a chat
    program's export, or captions (.vtt, .srt).

    A model of features beside the text: "features": {"prosody": [0.1, null, 0.7]} of an utterance
    in JSONL, columns prosody.COLUMN in CSV, or --features prosody=PATH. Of sound: "audio":
    "1/0.wav" of an utterance, a file in the folder of --sounds. Whether files have changed since a
    run was stopped is not looked at.

    Any of them may be compressed with gzip (.jsonl.gz). Other fields of JSON lines are carried
    through to JSON lines, other columns of CSV to CSV (before the answer's) and JSON lines; a
    column or an utterance's field that has the name of one of the answer's, or holds labels, is
    not.

    Answers come in the input's order. OUTPUT appears when all is done; until then OUTPUT.part
    grows. Stopped or killed, the same command goes on from there, within a long dialogue too, and
    no utterance is lost or there twice. Standard output cannot be gone on with.
    """
    from eacl_jax.bulk.reading import Shard
    from eacl_jax.cli import huge_pages, process
    from eacl_jax.cli.job import Job

    job = Job(
        model=model,
        input=input_file,
        output=output_file,
        labels=parse_labels(labels),
        stage=stage,
        on_long=on_long,
        input_format=input_format or "",
        output_format=output_format or "",
        columns={"dialogue": dialogue_column, "speaker": speaker_column, "text": text_column},
        fields=fields,
        coverage=coverage,
        raw=raw,
        shard=Shard.parse(shard),
        batch_size=batch_size,
        skip_bad=skip_bad,
        restart=restart,
        runtime=runtime,
        precision=precision,
        revision=revision,
        features=features or (),
        sounds=find_sounds(sounds),
    )
    job.check()
    huge_pages.use_huge_pages()
    process.quiet_libraries()
    job.run()
