"""`eacl adapt`: a model for the user's own labels, from annotated dialogues."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eacl_jax.cli.options import Labels, Model, parse_labels
from eacl_jax.errors import UserError

if TYPE_CHECKING:
    from eacl_jax.dialogue import Dialogue


def adapt(
    model: Model,
    input_file: Annotated[
        Path, typer.Option("--input", metavar="FILE", help="Annotated dialogues: JSON lines, CSV or another format.")
    ],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="The new model's folder; made, or empty.")],
    labels: Labels = "",
    seed: Annotated[int, typer.Option(min=0, help="Decides which dialogues are held out together, to score it.")] = 0,
    dialogue_column: Annotated[str, typer.Option(metavar="NAME", help="Column that names the dialogue; found by itself.")] = "",
    speaker_column: Annotated[str, typer.Option(metavar="NAME", help="Column of who speaks; found by itself.")] = "",
    text_column: Annotated[str, typer.Option(metavar="NAME", help="Column of what is said; found by itself.")] = "",
    emotion_column: Annotated[str, typer.Option(metavar="NAME", help="Column of the label; found by itself.")] = "",
) -> None:
    """Adapt a model to annotated dialogues, in seconds: its anchors move, all else stays.

    JSONL: a dialogue a line, {"id": "1", "utterances": [{"speaker": "Ann", "text": "Thank you!", "emotion": "gratitude"}]}.

    CSV: an utterance a row. Utterances without an emotion are context for the others. Exports of annotation tools and the files
    of published corpora are read too.
    """
    from eacl_jax import allocator, command

    words = parse_labels(labels)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"--output: {output} is there and not an empty folder; name a new one.")
    columns = {"dialogue": dialogue_column, "speaker": speaker_column, "text": text_column, "emotion": emotion_column}
    dialogues = _read(input_file, columns)
    allocator.use_huge_pages()
    command.quiet_libraries()
    # These take seconds to import: not before the mistakes above.
    from eacl_jax.recognizer import EmotionRecognizer

    command.keep_compiled()
    recognizer = EmotionRecognizer.from_pretrained(model)
    _check_emotions(input_file, dialogues, tuple(words) or recognizer.labels)
    adapted = (recognizer.with_labels(words) if words else recognizer).adapt(dialogues, seed=seed)
    try:
        adapted.save_pretrained(output)
    except OSError as error:
        raise UserError(f"--output: {output} cannot be written: {error.strerror}.") from error
    typer.echo(f"{output}: adapted to {len(dialogues)} dialogues\n{adapted.adaptation}")


def _read(path: Path, columns: Mapping[str, str]) -> "list[Dialogue]":
    from eacl_jax.corpora import checks
    from eacl_jax.corpora.files import read_file

    found = read_file(path, columns=columns)
    if not checks.annotated(found):
        raise UserError(f"{path}: no utterance has an emotion; annotate some.")
    checks.check_split("annotated", [path], found, empty_text=True)
    return [item.dialogue for item in found]


def _emotions(dialogues: "Iterable[Dialogue]") -> Counter[str]:
    """Annotated utterances, by label."""
    return Counter(u.emotion for dialogue in dialogues for u in dialogue.utterances if u.emotion is not None)


def _check_emotions(path: Path, dialogues: "Sequence[Dialogue]", labels: Sequence[str]) -> None:
    counts = _emotions(dialogues)
    if strangers := [f"{emotion!r} ({count})" for emotion, count in sorted(counts.items()) if emotion not in labels]:
        raise UserError(
            f"{path}: the emotions {', '.join(strangers)} are not among the labels {', '.join(labels)}. To adapt to labels of "
            f"your own give all, LABEL=WORD where the label is no word that means it: --labels '{','.join(sorted(counts))}'"
        )
