"""The README.md of exports to StableHLO and ONNX."""

from collections.abc import Mapping
from typing import Any

from eacl_jax.config import Stage
from eacl_jax.data.batching import MAX_SEGMENTS
from eacl_jax.export.parts import rounding
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.markdown import plain

_STABLEHLO = """# Emotion recognition in conversation, as StableHLO

The whole prediction of an `eacl_jax` recognizer as programs that JAX runs: encoder, readout, {head}, {compared}, probabilities. It needs JAX and NumPy, nothing else; it was made with JAX {jax}.

```sh
python run.py   # answers the conversation in example.npz
```

The programs were lowered for {platforms}. Not for decisions about people: the card of the recognizer that was exported says
what it is for, and how good it is.
"""

_ONNX = """# Emotion recognition in conversation, as ONNX

The whole prediction of an `eacl_jax` recognizer as one program of opset {opset}: encoder, readout, {head}, {compared}, probabilities. `run.py` needs ONNX Runtime, NumPy and tokenizers, nothing else.

```sh
pip install onnxruntime numpy tokenizers
python run.py             # answers the conversation in example.npz
python run.py chat.txt    # answers lines of Speaker: text, with a blank line after each conversation
```

In a program of your own:

```python
from run import Model

model = Model()
utterances = [("Ann", "We got the flat!"), ("Ben", "What? You're joking!")]
probabilities = model.predict(utterances)
for (speaker, text), labels in zip(utterances, model.answers(probabilities), strict=True):
    print(speaker, text, ", ".join(labels) or "none")
```
{cost}
Not for decisions about people: the card of the recognizer that was exported says what it is for, and how good it is.
"""

_ONNX_SHOWN = (
    """probabilities = model.predict(utterances)
for (speaker, text), labels in zip(utterances, model.answers(probabilities), strict=True):
    print(speaker, text, ", ".join(labels) or "none")
""",
    """probabilities = model.predict(utterances)  # of each utterance alone
answers, probabilities = model.in_dialogue(probabilities, [speaker for speaker, _ in utterances])
for (speaker, text), labels in zip(utterances, answers, strict=True):
    print(speaker, text, ", ".join(labels))
""",
)
"""Its last lines, and those where answers are weighed by those around them."""

_ONNX_FILES = """## Files

| | |
|---|---|
| `model.onnx` | the program, with weights and anchors |
| `model.json`, `labels.json` | settings of prompts; labels and their words |
| `tokenizer/` | the encoder's tokenizer |
| `run.py`, `example.npz` | how to run it, and a conversation with the exported recognizer's probabilities |

`model.json` has the checksum of each file that answers come from, in `files`: `run.py` refuses a file that is missing, damaged or of another export. Without a file to answer it ends with status 1 where
probabilities differ from the exported recognizer's by more than `largest_difference` there.
"""

_INPUTS = """## Labels

{several}{labels}

## Inputs

`Model()(tokens, positions, segment_ids, readout)` in `run.py`, for N utterances in R rows of L tokens:

| | | |
|---|---|---|
| `tokens` | int32 [R, L] | ids of the tokenizer's vocabulary, 0 where there is padding |
| `positions` | int32 [R, L] | 0, 1, 2, ... of each token in its prompt, starting again in each; 0 where there is padding |
| `segment_ids` | int32 [R, L] | 1 for the first prompt of a row, 2 for the second, ...; 0 where there is padding |
| `readout` | int32 [N, 2] | row and column of the token that stands for each utterance: {readout} |

A row holds a prompt, or up to {segments} of them one after the other, which do not see each other. A prompt has at most
{max_tokens} tokens. It gives

| | | |
|---|---|---|
| representations | float32 [N, {width}] | |
| cosines | float32 [N, {classes}] | {cosines}, in the order of `labels.json` |
| probabilities | float32 [N, {classes}] | {offsets}{answer} |
"""

_SHAPES = """Shapes: {shapes}. `run.py` adds the padding that a shape needs, and runs more rows than it takes in turns. Each shape of input is compiled at its first use: use few.

The programs themselves are functions of (weights, tokens, positions, segment_ids, readout), weights by name as in
`weights.npz`; `run.py` shows how to say so to JAX.
"""

_PROMPT = """## Prompts

The prompt of an utterance, in ids; `{{}}` stands for the ids of a text without special tokens:

    {start}{{SPEAKER says: TEXT}} {separator} ... {{For utterance: TEXT SPEAKER feels}} {tail}

that is, {opening}up to {max_past} utterances before it, oldest first, {later}each closed by {separator}; then the utterance
itself. The oldest are left out where the whole would exceed {max_tokens} tokens. Of a TEXT to answer that is too long by itself
the first tokens are left out, so that its end is read, and nothing around it: `prompt` in `run.py` does it exactly, and gives as its third value whether it did (`tell_of_cut` says of how many on stderr).
Its fourth value is whether the TEXT is empty or mostly of what the tokenizer does not know, such as another script: the answer then says nothing (`tell_of_unknown`).
Typographic apostrophes of a TEXT are plain ones there; {names}.

{tokenizing}
"""

_NAMES = {
    "given": "of a SPEAKER what the tokenizer does not know is left out\n(`readable_name`)",
    "replaced": "a SPEAKER is a first name, whatever the\nname was (`replaced_names`)",
}

_STABLEHLO_FILES = """## Files

| | |
|---|---|
| `predict-*.stablehlo` | a program for a shape of input, ROWSxLENGTH |
| `weights.npz` | weights and anchors, without pickled objects |
| `model.json`, `labels.json` | settings of programs and prompts; labels and their words |
| `tokenizer/` | the encoder's tokenizer |
| `run.py`, `example.npz` | how to run it, and a conversation with the exported recognizer's probabilities |

`model.json` has the checksum of each file that answers come from, in `files`: `run.py` refuses a file that is missing, damaged or of another export. Without a file to answer it ends with status 1 where
probabilities differ from the exported recognizer's by more than `largest_difference` there.
"""

_TOKENIZERS = """With the package `tokenizers`:

```python
from run import HERE, Model, lay_out, prompt, tell_of_cut, tell_of_unknown
from tokenizers import Tokenizer

model = Model()
tokenizer = Tokenizer.from_file(str(HERE / "tokenizer" / "tokenizer.json"))
tokenizer.no_truncation()
tokenizer.no_padding()
tokenizer.encode_special_tokens = True  # a special token's name in a text is text


def encode(text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


utterances = [("Ann", "We got the flat!"), ("Ben", "What? You're joking!")]
prompts = [prompt(encode, utterances[: number + 1], model.settings["prompt"]) for number in range(len(utterances))]
tell_of_cut(sum(cut for _, _, cut, _ in prompts))
tell_of_unknown(sum(unknown for *_, unknown in prompts))
_, _, probabilities = model(*lay_out(prompts))
for (speaker, text), row in zip(utterances, probabilities, strict=True):
    print(speaker, text, model.labels[row.argmax()], row.max())
```"""

_SHOWN = (
    """for (speaker, text), row in zip(utterances, probabilities, strict=True):
    print(speaker, text, model.labels[row.argmax()], row.max())
""",
    """for (speaker, text), labels in zip(utterances, model.answers(probabilities), strict=True):
    print(speaker, text, ", ".join(labels) or "none")
""",
)
"""The last lines of that, with one label an utterance and with several."""

_IN_DIALOGUE = """answers, probabilities = model.in_dialogue(probabilities, [speaker for speaker, _ in utterances])
for (speaker, text), labels in zip(utterances, answers, strict=True):
    print(speaker, text, ", ".join(labels))
"""
"""The same where answers are weighed by those around them."""

_PROMPTS = (
    """prompts = [prompt(encode, utterances[: number + 1], model.settings["prompt"]) for number in range(len(utterances))]
""",
    """form = model.settings["prompt"]
prompts = [prompt(encode, utterances[:number], form, utterances[number:]) for number in range(1, len(utterances) + 1)]
""",
)
"""Its lines that make prompts, of the past alone and of what comes later too."""

_CHAIN = """## Whole conversations

The model weighs the answer to each utterance by those around it, with a chain over the labels of a conversation, which is in `labels.json`. The program gives the probabilities of each utterance alone; `answers, probabilities = model.in_dialogue(probabilities, speakers)` makes of
them the labels and probabilities that the recognizer answers to the whole conversation.
"""

_NO_TOKENIZERS = (
    "This tokenizer has no `tokenizer.json` for the package `tokenizers`; load `tokenizer/` with"
    " `transformers`' `AutoTokenizer` and encode with `add_special_tokens=False,"
    " split_special_tokens=True`."
)

_OF_ONE = "rows sum to 1; the label with the highest is the answer"
_OF_EACH = "of each utterance alone; rows sum to 1; `in_dialogue` makes the answers of them"
_OF_SEVERAL = (
    "each label's own: rows do not sum to 1; a label is answered from its threshold in"
    " `labels.json` on (`Model.answers`), and there may be none"
)

_READOUTS = {
    "mask": "the mask token",
    "first": "the prompt's first token",
    "last": "the prompt's last token",
    "mean": "any of its tokens, the mean over all of them is taken",
}


def stablehlo_readme(about: Mapping[str, Any], settings: Settings, *, fast: bool) -> str:
    """The text.

    Args:
      about: what `model.json` holds.
      settings: the recognizer's.
      fast: the tokenizer has a `tokenizer.json`.
    """
    sizes = (
        "any number" if size is None else str(size)
        for p in about["programs"]
        for size in (p["rows"], p["length"])
    )
    shapes = [
        f"{rows} of rows of {length} of tokens" for rows, length in zip(sizes, sizes, strict=True)
    ]
    tokenizing = _TOKENIZERS if fast else _NO_TOKENIZERS
    if settings.several:
        tokenizing = tokenizing.replace(*_SHOWN)
    if settings.chain is not None:
        tokenizing = tokenizing.replace(_SHOWN[0], _IN_DIALOGUE)
    if about["prompt"]["max_future"]:
        tokenizing = tokenizing.replace(*_PROMPTS)
    chain = () if settings.chain is None else (_CHAIN,)
    parts = (_STABLEHLO, _INPUTS, _SHAPES, _PROMPT, *chain, _STABLEHLO_FILES)
    return "\n".join(parts).format(
        **_common(about, settings),
        jax=about["jax"],
        platforms=", ".join(about["platforms"]),
        shapes="; ".join(shapes),
        tokenizing=tokenizing,
    )


def onnx_readme(about: Mapping[str, Any], settings: Settings, *, cost: str) -> str:
    """The text.

    Args:
      about: what `model.json` holds.
      settings: the recognizer's.
      cost: of int8, in words; empty for float32.
    """
    chain = () if settings.chain is None else (_CHAIN,)
    first = _ONNX if settings.chain is None else _ONNX.replace(*_ONNX_SHOWN)
    parts = (first, _INPUTS, _PROMPT, *chain, _ONNX_FILES)
    return "\n".join(parts).format(
        **_common(about, settings),
        opset=about["opset"],
        cost=(f"\nProducts are of 8-bit numbers. {cost}.\n" if cost else "")
        + (f"\n{rounded}\n" if (rounded := rounding(settings)) else ""),
        tokenizing="`Model.encode` in `run.py` makes the ids.",
    )


def _common(about: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """What both tell of labels, inputs and prompts."""
    form, several = about["prompt"], settings.several
    start = " ".join(map(str, form["start"]))
    return {
        "labels": ", ".join(map(plain, settings.labels)),
        "head": "mapping" if settings.head == "mapping" else "linear classifier",
        "compared": "products and cosines with the labels' axes"
        if several and settings.head == "predictor"
        else "cosines with the labels'\nanchors",
        "several": "An utterance may have several of them, or none.\n\n" if several else "",
        "answer": _OF_SEVERAL if several else _OF_ONE if settings.chain is None else _OF_EACH,
        "cosines": _cosines(settings.anchors_per_label),
        "offsets": "" if several else _offsets(settings.offsets.get(Stage.TWO)),
        "readout": _READOUTS[settings.readout],
        "segments": MAX_SEGMENTS,
        "max_tokens": form["max_tokens"],
        "max_past": form["max_past"],
        "later": f"up to {form['max_future']} after it, " if form["max_future"] else "",
        "width": about["widths"][0],
        "classes": len(settings.labels),
        "start": f"{start} " if start else "",
        "opening": f"the first token ({start}), " if start else "",
        "separator": form["separator"],
        "names": _NAMES[form["names"]],
        "tail": " ".join(map(str, form["tail"])),
    }


def _cosines(each: int) -> str:
    if each == 1:
        return "with the anchor of each label"
    return (
        f"with each label: that with which one anchor would have the score of its {each}, the"
        f" logsumexp of theirs less log {each}"
    )


def _offsets(offsets: tuple[float, ...] | None) -> str:
    if not offsets:
        return ""
    return f"with {', '.join(f'{each:g}' for each in offsets)} added to the labels' scores; "
