"""A model folder for PyTorch: the encoder as transformers loads it, and a card with the lines that
do the rest.
"""

import inspect
from pathlib import Path

from eacl_jax.config import Stage
from eacl_jax.errors import UserError
from eacl_jax.export import standalone
from eacl_jax.export.parts import Parts, prompt_form
from eacl_jax.files import whole
from eacl_jax.recognizer.card import write_card
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
    wide = read @ heads["mapping.hidden.kernel"] + heads["mapping.hidden.bias"]
    scale, bias = heads["mapping.norm.scale"], heads["mapping.norm.bias"]
    wide = torch.relu(torch.nn.functional.layer_norm(wide, wide.shape, scale, bias, eps=1e-5))
    representation = wide @ heads["mapping.output.kernel"] + heads["mapping.output.bias"]
    cosines = torch.cosine_similarity(representation[None], heads["anchors.stage_two"])
    return dict(zip(LABELS, torch.softmax(cosines / {temperature!r}, dim=0).tolist(), strict=True))


print(predict([("Ann", "The landlord rang. We got the flat!"), ("Ben", "What? You're joking!")]))'''


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
        temperature=2 * settings.temperature * settings.calibration[Stage.TWO],
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
