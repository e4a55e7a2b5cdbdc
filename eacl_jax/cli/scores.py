"""The scores of a model as a person reads them."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from eacl_jax.data.prompts import OnLong
from eacl_jax.dialogue import count, counted
from eacl_jax.model.calibration import FITS
from eacl_jax.model.metrics import title
from eacl_jax.recognizer.prediction import ALONE
from eacl_jax.recognizer.scoring import Evaluation

_CONFUSIONS = 10
DASH = "–"
"""A score of nothing."""


def print_scores(
    name: str,
    scores: Evaluation,
    console: Console,
    *,
    on_long: OnLong = "cut",
    by_logits: bool = False,
) -> None:
    """Prints scores, those by coarser labels, a line a label, confusions and calibration.

    Args:
      name: of the file.
      scores: of the model's answers to it.
      console: where to.
      on_long: what was done with texts that are longer than the model reads.
      by_logits: a classifier of one label an utterance answers, by the cosines of its logits.
    """

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    more = counted(scores.context, "without an emotion is", "without an emotion are")
    say(
        f"{name}: {count(scores.utterances, 'annotated utterance')} in"
        f" {count(scores.dialogues, 'dialogue')}"
        + (f"; {more} not scored" if scores.context else "")
    )
    if scores.truncated:
        one = scores.truncated == 1
        parts, text = ("its text's", "its text") if one else ("their texts'", "their texts")
        by = f"the mean of {parts} parts" if on_long == "pool" else f"the end of {text}"
        say(
            counted(scores.truncated, "utterance is", "utterances are")
            + f" longer than the model reads: {'it was' if one else 'they were'} answered by {by}"
        )
    if scores.alone:
        say(f"{scores.alone:,} {ALONE}")
    if scores.unknown_text:
        say(
            counted(
                scores.unknown_text,
                "utterance is a text that the model's tokenizer does not know, or holds no text:"
                " its answer says",
                "utterances are texts that the model's tokenizer does not know, or hold no text:"
                " their answers say",
            )
            + " nothing"
        )
    say(
        "  ".join(
            f"{title(key, scores.excluded_label or '')} {value:.2f}"
            for key, value in scores.summary.items()
        )
        + "   (percent)"
    )
    for level, found in (scores.levels or {}).items():
        say(
            f"by {level}: " + "  ".join(f"{title(key)} {value:.2f}" for key, value in found.items())
        )
    if scores.sizes is not None:
        say(_sizes(scores.sizes))
    say("\nlabels, in percent but for the counts")
    console.print(_labels(scores))
    _print_confusions(scores, console)
    say(_calibration(scores))
    if by_logits:
        say("its confidence is by the direction of the classifier's logits, not by their softmax")
    if scores.surest is not None:
        say(_surest(scores.surest))
    for coverage, found in (scores.sets or {}).items():
        say(
            f"coverage {coverage}%: {found['coverage']:.1f}% of the labels are among the possible"
            f" ones, {found['size']:.2f} an utterance; {found['single']:.1f}% have one alone"
        )


def _surest(surest: Mapping[int, float]) -> str:
    parts = [f"{surest[share]:.1f}% of the surest {share}%" for share in (20, 50, 80)]
    return f"answers that are right: {', '.join(parts)}, {surest[100]:.1f}% of all"


def _sizes(sizes: Mapping[str, Sequence[int]]) -> str:
    """How many labels utterances have."""
    names = ("none", "one", "two", "three or more")
    parts = []
    for kind, counts in sizes.items():
        few = [*counts[:3], sum(counts[3:])]
        each = ", ".join(f"{name} {size:,}" for name, size in zip(names, few, strict=False))
        parts.append(f"{kind} {each}")
    return f"labels an utterance: {'; '.join(parts)}"


def _labels(scores: Evaluation) -> Table:
    table = Table()
    for column in ("label", "precision", "recall", "F1", "annotated", "answered"):
        table.add_column(column, justify="left" if column == "label" else "right")
    for label, found in scores.by_label.items():
        of = {
            "precision": found["answered"],
            "recall": found["support"],
            "f1": found["answered"] + found["support"],
        }
        rates = [f"{found[key]:.1f}" if total else DASH for key, total in of.items()]
        table.add_row(Text(label), *rates, f"{found['support']:,}", f"{found['answered']:,}")
    return table


def _print_confusions(scores: Evaluation, console: Console) -> None:
    """The confusion matrix where it fits, else the most frequent confusions; with several labels
    which are answered where a label is annotated.
    """
    counts = scores.confusion if scores.confusion is not None else scores.co_occurrence
    assert counts is not None
    table = Table()
    table.add_column("")
    for number in range(len(scores.labels)):
        table.add_column(str(number + 1), justify="right", no_wrap=True)
    for number, (label, row) in enumerate(zip(scores.labels, counts.tolist(), strict=True)):
        cells = [
            Text(f"{times:,}" if times else ".", style="bold" if at == number else "")
            for at, times in enumerate(row)
        ]
        table.add_row(Text(f"{number + 1} {label}"), *cells)
    if (
        console.measure(table, options=console.options.update(max_width=10**4)).maximum
        <= console.width
    ):
        console.print(
            "utterances with a label, as annotated down, that were answered another, across"
            if scores.several
            else "confusion: as annotated down, as answered across",
            highlight=False,
        )
        console.print(table)
        return
    what = "answers beside an annotated label" if scores.several else "confusions"
    console.print(f"the most frequent {what} (--json has them all)", highlight=False)
    table = Table()
    for column in ("annotated", "answered", "utterances"):
        table.add_column(column, justify="right" if column == "utterances" else "left")
    for times, gold, answer in scores.confused()[:_CONFUSIONS]:
        table.add_row(Text(gold), Text(answer), f"{times:,}")
    console.print(table)


def _calibration(scores: Evaluation) -> str:
    if scores.confidence is None:
        return (
            "calibration: a label's probability and how often it is annotated differ by"
            f" {scores.calibration_error:.2f} points, on average over the labels (expected"
            " calibration error)"
        )
    accuracy = scores.summary["accuracy"]
    gap = scores.confidence - accuracy
    fits = "they fit" if scores.calibration_error <= FITS else "they fit on average alone"
    verdict = (
        fits
        if abs(gap) < 1
        else f"it is {abs(gap):.1f} points too {'sure' if gap > 0 else 'unsure'}"
    )
    return (
        f"calibration: on average it gives its answers {scores.confidence:.2f}%, and"
        f" {accuracy:.2f}% are right: {verdict}\nexpected calibration error"
        f" {scores.calibration_error:.2f}"
    )
