"""Draws method.svg: from an utterance to its label. Run from anywhere: `python
docs/pictures/method.py`.
"""

import math
from pathlib import Path

from svg import LINE, SOFT, arrow, box, text, write

ENCODER, MAPPING, MASK = "#dbe7fb", "#fdebd2", "#c2410c"
LABELS = {
    "joy": ("#d99a00", 78),
    "surprise": ("#7c4dcc", 22),
    "fear": ("#3f7d58", 318),
    "anger": ("#c0392b", 218),
    "neutral": ("#66737f", 150),
}
CENTRE, RADIUS = (915, 205), 118


def on_circle(angle: float, radius: float = RADIUS) -> tuple[float, float]:
    """A point of the circle of representations; angles in degrees, counter-clockwise."""
    return CENTRE[0] + radius * math.cos(math.radians(angle)), CENTRE[1] - radius * math.sin(
        math.radians(angle)
    )


def block(x: float, y: float, width: float, title: str, note: str, fill: str) -> list[str]:
    """A box with a name and what it is."""
    return [
        box(x, y, width, 58, fill=fill, line=LINE, round=6),
        text(x + width / 2, y + 25, title, size=15, anchor="middle", more='font-weight="600"'),
        text(x + width / 2, y + 44, note, size=11.5, fill=SOFT, anchor="middle"),
    ]


def utterances() -> list[str]:
    """The dialogue, and the prompt that is made of it."""
    said = [("Ann:", "We got the flat!"), ("Ben:", "Really? I didn't expect that!")]
    parts = [text(24, 34, "an utterance and its past", size=12, fill=SOFT)]
    for row, (speaker, line) in enumerate(said):
        y = 46 + 40 * row
        parts.append(
            box(24, y, 268, 32, fill="#f1f4f8" if row == 0 else "#e2f0e6", line=LINE, round=12)
        )
        parts.append(text(38, y + 21, speaker, size=13.5, more='font-weight="600"'))
        parts.append(text(76, y + 21, line, size=13.5))
    parts.append(arrow((158, 122), (158, 150)))
    parts.append(box(24, 154, 284, 88, fill="#fafbfc", line=LINE, round=4))
    prompt = [
        "[CLS] Ann says: We got the flat! [SEP]",
        "For utterance: Really? I didn't",
        "expect that! Ben feels",
    ]
    parts += [
        text(32, 178 + 24 * row, line, size=11.5, more='font-family="monospace"')
        for row, line in enumerate(prompt)
    ]
    parts += [
        box(192, 212, 48, 19, fill=MASK, round=3),
        text(216, 226, "[MASK]", size=11.5, fill="#fff", anchor="middle"),
    ]
    return parts


def path() -> list[str]:
    """Prompt and label words through encoder and mapping."""
    x = CENTRE[0]
    return [
        *block(340, 169, 170, "encoder", "pretrained transformer", ENCODER),
        *block(600, 169, 130, "mapping", "two layers", MAPPING),
        arrow((310, 198), (336, 198)),
        arrow((512, 198), (596, 198)),
        text(554, 188, "h", size=14, anchor="middle", more='font-style="italic"'),
        text(554, 217, "at the mask", size=11.5, fill=SOFT, anchor="middle"),
        arrow((732, 198), (x - RADIUS - 14, 198)),
        text(758, 188, "z", size=14, anchor="middle", more='font-style="italic"'),
        text(24, 296, "the label words", size=12, fill=SOFT),
        *[
            part
            for i, (label, (colour, _)) in enumerate(LABELS.items())
            for part in (
                box(
                    24 + (i % 3) * 92,
                    306 + 32 * (i // 3),
                    84,
                    26,
                    fill="#fff",
                    line=colour,
                    round=4,
                ),
                text(
                    66 + (i % 3) * 92,
                    324 + 32 * (i // 3),
                    label,
                    size=13,
                    fill=colour,
                    anchor="middle",
                ),
            )
        ],
        *block(340, 305, 170, "encoder", "as it was before training", ENCODER),
        *block(600, 305, 130, "mapping", "the same", MAPPING),
        arrow((302, 334), (336, 334)),
        arrow((512, 334), (596, 334)),
        text(554, 324, "mean over", size=11.5, fill=SOFT, anchor="middle"),
        text(554, 353, "tokens", size=11.5, fill=SOFT, anchor="middle"),
        arrow((732, 334), (800, 334), (836, 304)),
        text(742, 353, "anchors", size=12.5),
    ]


def circle() -> list[str]:
    """Representations and anchors, and the nearest."""
    x, y = CENTRE
    parts = [f'<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="#fbfcfe" stroke="{LINE}"/>']
    for label, (colour, angle) in LABELS.items():
        px, py = on_circle(angle)
        parts.append(f'<path d="M{px:g} {py - 9:g}l9 9l-9 9l-9 -9z" fill="{colour}"/>')
        tx, ty = on_circle(angle, RADIUS + 18)
        side = "start" if math.cos(math.radians(angle)) > 0 else "end"
        parts.append(
            text(tx, ty + 5, label, size=14, fill=colour, anchor=side, more='font-weight="600"')
        )
        for turn in (-13, -5, 6, 12):
            dx, dy = on_circle(angle + turn, RADIUS - 7 - 3 * (turn % 4))
            parts.append(f'<circle cx="{dx:g}" cy="{dy:g}" r="3" fill="{colour}" opacity="0.35"/>')
    zx, zy = on_circle(34, RADIUS - 2)
    sx, sy = on_circle(24, RADIUS - 8)
    parts.append(f'<path d="M{x} {y}L{zx:g} {zy:g}" stroke="{MASK}" stroke-width="2"/>')
    parts.append(
        f'<circle cx="{zx:g}" cy="{zy:g}" r="6" fill="{MASK}" stroke="#fff" stroke-width="1.5"/>'
    )
    parts.append(
        f'<path d="M{x} {y}L{sx:g} {sy:g}" stroke="{LINE}" stroke-width="1" stroke-dasharray="3 3"/>'
    )
    parts.append(
        text(x + 28, y - 32, "z", size=14, fill=MASK, more='font-style="italic" font-weight="600"')
    )
    return [
        *parts,
        text(x, 34, "answer: the anchor of greatest cosine", size=12.5, fill=SOFT, anchor="middle"),
    ]


def stages() -> list[str]:
    """What each stage trains."""
    return [
        f'<path d="M24 388H1116" stroke="{LINE}" stroke-width="0.8"/>',
        text(24, 414, "Stage one", size=13.5, more='font-weight="600"'),
        text(
            112,
            414,
            "trains encoder and mapping: a contrastive loss pulls each utterance to its label's anchor and from the others; "
            "an angle term spreads the anchors.",
            size=13,
        ),
        text(24, 438, "Stage two", size=13.5, more='font-weight="600"'),
        text(
            112,
            438,
            "freezes both and moves the anchors alone, by the cross-entropy of the scores.",
            size=13,
        ),
    ]


if __name__ == "__main__":
    file = Path(__file__).with_suffix(".svg")
    write(
        file,
        1140,
        456,
        "The method: an utterance becomes a vector, label words become anchors",
        [*utterances(), *path(), *circle(), *stages()],
    )
