"""A model folder for PyTorch: the encoder as transformers loads it, and a card with the lines that
do the rest.
"""

import inspect
import math
from pathlib import Path

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.export import standalone
from eacl_jax.export.parts import Parts, prompt_form
from eacl_jax.files import whole
from eacl_jax.model.scores import cosine_temperature
from eacl_jax.recognizer.card import write_card
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.recognizer import EmotionRecognizer

# Where the class that transformers would choose by itself has a decoder, which is not there.
_CLASSES = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel"}

_SNIPPET = '''from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, {model}

FOLDER = "PATH"  # this folder; of a hub repository: huggingface_hub.snapshot_download("OWNER/NAME")
LABELS = {labels!r}
FORM = {form!r}

tokenizer = AutoTokenizer.from_pretrained(FOLDER, subfolder="encoder")
encoder = {model}.from_pretrained(FOLDER, subfolder="encoder", dtype=torch.float32).eval()
heads = load_file(f"{{FOLDER}}/heads.safetensors")


def encode(text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]


{prompt}

@torch.no_grad()
def predict(utterances: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Probabilities of the last utterance's emotion; utterances are (speaker, text)."""
    ids, column = prompt(encode, utterances, FORM)
    hidden = encoder(input_ids=torch.tensor([ids])).last_hidden_state[0]
    read = {read}
{head}
    cosines = torch.cosine_similarity(representation[None], heads["anchors.stage_two"])
{more}    return dict(zip(LABELS, torch.softmax({logits}, dim=0).tolist(), strict=True))


print(predict([("Ann", "The landlord rang. We got the flat!"), ("Ben", "What? You're joking!")]))'''

_HEADS = {
    "mapping": """\
    wide = read @ heads["mapping.hidden.kernel"] + heads["mapping.hidden.bias"]
    scale, bias = heads["mapping.norm.scale"], heads["mapping.norm.bias"]
    wide = torch.relu(torch.nn.functional.layer_norm(wide, wide.shape, scale, bias, eps=1e-5))
    representation = wide @ heads["mapping.output.kernel"] + heads["mapping.output.bias"]""",
    "predictor": """\
    representation = read @ heads["predictor.kernel"] + heads["predictor.bias"]""",
}

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
    `from_pretrained` loads.

    Args:
      recognizer: to export.
      folder: new, or empty.

    Raises:
      UserError: the folder is not empty, or transformers has no place for a part of the encoder.
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
    code = _SNIPPET.format(
        model=_CLASSES.get(parts.encoder_config["model_type"], "AutoModel"),
        labels=list(settings.labels),
        form=prompt_form(recognizer),
        prompt=inspect.getsource(standalone.prompt),
        read="hidden.mean(dim=0)" if settings.readout == "mean" else "hidden[column]",
        head=_HEADS[settings.head],
        **_to_logits(settings),
    )
    rounding = (
        ""
        if settings.encoder_dtype == "float32"
        else f" It computes in float32, eacl_jax in {settings.encoder_dtype}."
    )
    return (
        "## In PyTorch\n\nWith `torch`, `transformers` and `safetensors`, without eacl_jax; the"
        " encoder is in `encoder/`, the heads are in"
        f" `heads.safetensors`.{rounding}\n\n```python\n{code}\n```"
    )


def _to_logits(settings: Settings) -> dict[str, str]:
    """What probabilities are the softmax of, `logits`, and the lines before that make it of the
    cosines, `more`.
    """
    scale, calibration = cosine_temperature(settings.temperature), settings.calibration[Stage.TWO]
    each, offsets = settings.anchors_per_label, settings.offsets.get(Stage.TWO)
    pooled = _POOLED.format(each=each, scale=scale, log=math.log(each)) if each > 1 else ""
    if offsets:
        shifted = _SHIFTED.format(scale=scale, offsets=list(offsets))
        return {"more": pooled + shifted, "logits": f"scores / {calibration!r}"}
    temperature = cosine_temperature(settings.temperature * calibration)
    return {"more": pooled, "logits": f"cosines / {temperature!r}"}
