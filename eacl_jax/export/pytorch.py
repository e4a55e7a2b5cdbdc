"""A model folder for PyTorch: the encoder as transformers loads it, and a card with the lines that
do the rest.
"""

import inspect
import math
from pathlib import Path
from typing import NamedTuple

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.export.parts import OF_PROMPTS, Parts, Several, prompt_form, rounding
from eacl_jax.export.standalone_prompts import tell_of_cut, tell_of_unknown
from eacl_jax.files import whole
from eacl_jax.model.scores import cosine_temperature
from eacl_jax.recognizer.card import write_card
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.locate import LEARNT
from eacl_jax.recognizer.recognizer import EmotionRecognizer

# Where the class that transformers would choose by itself has a decoder, which is not there.
_CLASSES = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel"}

# By whether there is a tokenizer.json, which other classes of transformers read in part alone.
_TOKENIZERS = {
    True: (
        "PreTrainedTokenizerFast",
        'PreTrainedTokenizerFast(tokenizer_file=f"{FOLDER}/encoder/tokenizer.json")',
    ),
    False: ("AutoTokenizer", 'AutoTokenizer.from_pretrained(FOLDER, subfolder="encoder")'),
}

_SNIPPET = '''import sys
import unicodedata
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import {names}

FOLDER = "PATH"  # this folder; of a hub repository: huggingface_hub.snapshot_download("OWNER/NAME")
LABELS = {labels!r}
{thresholds}FORM = {form!r}

tokenizer = {tokenizer}
encoder = {model}.from_pretrained(FOLDER, subfolder="encoder", dtype=torch.float32).eval()
heads = load_file(f"{{FOLDER}}/heads.safetensors")


def encode(text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]


{prompt}

@torch.no_grad()
def predict(utterances: Sequence[tuple[str, str]]{later}) -> dict[str, float]:
    """{about}; utterances are (speaker, text){follow}."""
    ids, column, cut, unknown = prompt(encode, utterances, FORM{after})
    tell_of_cut(cut)
    tell_of_unknown(unknown)
    hidden = encoder(input_ids=torch.tensor([ids])).last_hidden_state[0]
    read = {read}
{head}
{more}    return dict(zip(LABELS, {probabilities}.tolist(), strict=True))


{answers}print({shown}([("Ann", "We got the flat!"), ("Ben", "What? You're joking!")]))'''

# Of a model that reads later utterances too.
_LATER = {
    "later": ", later: Sequence[tuple[str, str]] = ()",
    "follow": ", later ones the utterances after them",
    "after": ", later",
}

_ANSWERS = '''def answer(utterances: Sequence[tuple[str, str]]{later}) -> list[str]:
    """The labels that the last utterance has, the likeliest first; there may be none."""
    found = sorted(predict(utterances{after}).items(), key=lambda item: -item[1])
    return [label for label, probability in found if probability >= THRESHOLDS[label]]


'''

_HEADS = {
    "mapping": """\
    wide = read @ heads["mapping.hidden.kernel"] + heads["mapping.hidden.bias"]
    scale, bias = heads["mapping.norm.scale"], heads["mapping.norm.bias"]
    wide = torch.relu(torch.nn.functional.layer_norm(wide, wide.shape, scale, bias, eps=1e-5))
    representation = wide @ heads["mapping.output.kernel"] + heads["mapping.output.bias"]""",
    "predictor": """\
    representation = read @ heads["predictor.kernel"] + heads["predictor.bias"]""",
}

_COSINES = """\
    cosines = torch.cosine_similarity(representation[None], heads["anchors.stage_two"])
"""

_PRODUCTS = """\
    logits = heads["anchors.stage_two"] @ representation
"""

# Of k anchors a label: the cosine with which one alone would have their score.
_POOLED = """\
    each = cosines.reshape(-1, {each}) / {scale!r}  # a label's {each} anchors
    cosines = {scale!r} * (torch.logsumexp(each, dim=1) - {log!r})  # less log {each}
"""

_SHIFTED = """\
    scores = cosines / {scale!r} + torch.tensor({offsets!r})
"""


def export_hf(recognizer: EmotionRecognizer, folder: str | Path) -> None:
    """Writes a model folder whose card says how to predict with PyTorch; it stays one that
    `from_pretrained` loads. It does not tell which utterances the model has learnt from, as
    `recognizer.learnt` does in the folder of the model.

    Args:
      recognizer: to export.
      folder: new, or empty.

    Raises:
      UserError: the folder is not empty, transformers cannot store a part of the encoder, or
        the recognizer reads features beside the text.
    """
    parts = Parts.of(recognizer)
    if any(name.startswith("encoder/prefix/") for name in parts.weights):
        raise UserError(
            "this encoder has a prefix of keys and values, which PyTorch transformers has no place"
            " for: its predictions would differ. Export it as StableHLO."
        )
    whole.check_new(folder)
    with whole.new_folder(folder) as new:
        recognizer.save_pretrained(new)
        (new / LEARNT).unlink(missing_ok=True)
        write_card(
            new,
            recognizer.settings,
            parts.encoder_config,
            recognizer.facts,
            more=section(recognizer, parts),
        )


def section(recognizer: EmotionRecognizer, parts: Parts) -> str:
    """The card's section on PyTorch."""
    settings = recognizer.settings
    later = _LATER if settings.prompt.max_future else dict.fromkeys(_LATER, "")
    answering = _answering(settings)
    answering = answering._replace(answers=answering.answers.format(**later))
    model = _CLASSES.get(parts.encoder_config["model_type"], "AutoModel")
    kind, tokenizer = _TOKENIZERS[bool(getattr(parts.tokenizer, "is_fast", False))]
    code = _SNIPPET.format(
        model=model,
        names=", ".join(sorted((model, kind))),
        tokenizer=tokenizer,
        labels=list(settings.labels),
        form=prompt_form(recognizer),
        prompt="\n\n".join(
            inspect.getsource(each) for each in (*OF_PROMPTS, tell_of_cut, tell_of_unknown)
        ),
        read="hidden.mean(dim=0)" if settings.readout == "mean" else "hidden[column]",
        head=_HEADS[settings.head],
        **later,
        **answering._asdict(),
    )
    rounded = f" {note}" if (note := rounding(settings)) else ""
    alone = (
        ""
        if settings.chain is None
        else " These are the probabilities of each utterance alone: the chain over the labels of a"
        " dialogue (`chain` in `config.json`), by which eacl_jax weighs answers with those around"
        " them, is not in these lines."
    )
    return (
        "## In PyTorch\n\nWith `torch`, `transformers` and `safetensors`, without eacl_jax; the"
        " encoder is in `encoder/`, the heads are in"
        f" `heads.safetensors`.{rounded}{alone}\n\n```python\n{code}\n```"
    )


class _Answering(NamedTuple):
    """What the lines say that depends on how the labels are answered.

    Attributes:
      about: what `predict` gives.
      more: the lines from the representation to what `probabilities` names.
      probabilities: of the labels.
      thresholds, answers: a line and a function for several labels an utterance; else empty.
      shown: the function that is tried.
    """

    about: str
    more: str
    probabilities: str
    thresholds: str = ""
    answers: str = ""
    shown: str = "predict"


def _answering(settings: Settings) -> _Answering:
    scale, each = cosine_temperature(settings.temperature), settings.anchors_per_label
    pooled = _POOLED.format(each=each, scale=scale, log=math.log(each)) if each > 1 else ""
    if several := Several.of(settings):
        shifts = f"torch.tensor({list(several.shifts)!r})"
        value = "logits" if several.classifies else "cosines"
        thresholds = dict(zip(settings.labels, several.thresholds, strict=True))
        return _Answering(
            "Probability of each emotion, of which the last utterance may have several",
            _PRODUCTS if several.classifies else _COSINES + pooled,
            f"torch.sigmoid({several.factor!r} * {value} + {shifts})",
            thresholds=f"THRESHOLDS = {thresholds!r}\n",
            answers=_ANSWERS,
            shown="answer",
        )
    calibration, offsets = settings.calibration[Stage.TWO], settings.offsets.get(Stage.TWO)
    if offsets:
        more = pooled + _SHIFTED.format(scale=scale, offsets=list(offsets))
        logits = f"scores / {calibration!r}"
    else:
        more = pooled
        logits = f"cosines / {cosine_temperature(settings.temperature * calibration)!r}"
    return _Answering(
        "Probabilities of the last utterance's emotion",
        _COSINES + more,
        f"torch.softmax({logits}, dim=0)",
    )
