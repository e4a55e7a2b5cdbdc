"""Small stand-ins that tests share: a word tokenizer, a tiny encoder folder, and a corpus that can
be learnt.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from eacl_jax import encoders
from eacl_jax.config import Config, EncoderConfig, LossConfig, ModelConfig, PromptConfig
from eacl_jax.dialogue import Taxonomy
from eacl_jax.encoders import LoadedEncoder
from eacl_jax.model.label_words import label_batch
from eacl_jax.model.representer import Model
from eacl_jax.recognizer.folder import Settings
from eacl_jax.recognizer.jax_runtime import JaxRuntime, parts_of
from eacl_jax.recognizer.recognizer import EmotionRecognizer

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
WORDS = {
    "joy": ["wonderful", "lovely", "great"],
    "anger": ["awful", "horrible", "rude"],
    "neutral": ["table", "window", "monday"],
}
_WORDS = (
    "for utterance : says feels ann bob cleo hello there good day end say now < > / mask s the is"
    " a it"
)
PLAIN_WORDS = [*_WORDS.split(), *WORDS]
ENCODER = {
    "model_type": "roberta",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 140,
    "type_vocab_size": 1,
    "pad_token_id": 1,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.1,
}


def make_tokenizer(more: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """A lower-casing word tokenizer with RoBERTa's special tokens, which may know `more` words."""
    known = (word for words in WORDS.values() for word in words)
    vocabulary = [*SPECIAL, *PLAIN_WORDS, *known, *more]
    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        cls_token="<s>",
        eos_token="</s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
    )


def make_encoder_folder(folder: Path, seed: int = 0, *, more: Sequence[str] = ()) -> Path:
    """A two-layer RoBERTa with random weights, as a Hugging Face folder; see `make_tokenizer`."""
    tokenizer = make_tokenizer(more)
    config = {**ENCODER, "vocab_size": len(tokenizer)}
    encoders.save(encoders.build(config, seed=seed), config, folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_corpus_files(
    folder: Path, dialogues: int = 12, seed: int = 0, *, several: bool = False
) -> dict[str, str]:
    """JSONL files of dialogues whose words give the emotion away; returns the paths by split. With
    `several` utterances have joy, anger, both or neither, as two annotators say who differ at
    times.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = {}
    for split in ("train", "dev", "test"):
        lines = []
        for number in range(dialogues):
            utterances = []
            for turn in range(int(rng.integers(2, 6))):
                fields: dict[str, Any] = {"speaker": ["Ann", "Bob"][turn % 2]}
                if several:
                    emotions = [name for name in ("anger", "joy") if rng.random() < 0.5]
                    words = [WORDS[name][int(rng.integers(3))] for name in emotions]
                    second = emotions[: int(rng.integers(len(emotions) + 1))]
                    fields |= {
                        "text": " ".join(["The day is", *words]),
                        "emotions": emotions,
                        "annotations": [emotions, second],
                    }
                else:
                    emotion = list(WORDS)[int(rng.integers(3))]
                    word = WORDS[emotion][int(rng.integers(3))]
                    fields |= {"text": f"The day is {word}", "emotion": emotion}
                utterances.append(fields)
            lines.append(json.dumps({"id": f"{split}-{number}", "utterances": utterances}))
        paths[split] = str(folder / f"{split}.jsonl")
        Path(paths[split]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return paths


def make_config(settings: dict[str, Any], **changes: Any) -> Config:
    """A Config from dotted names; in `changes`, `__` stands for the dot."""
    mapping = Config().to_dict()
    for name, value in {
        **settings,
        **{key.replace("__", "."): value for key, value in changes.items()},
    }.items():
        *groups, last = name.split(".")
        branch = mapping
        for group in groups:
            branch = branch[group]
        branch[last] = value
    return Config.from_mapping(mapping)


def make_recognizer(
    folder: Path, *, shift: float = 0.0, classifies: bool = False, **answering: Any
) -> EmotionRecognizer:
    """An untrained recognizer of joy, anger and neutral, calibrated to nothing; `shift` is added to
    the encoder's weights, as training would move them, after the anchors were made. With
    `classifies` the classifier's logits are the representations. `answering` goes to
    `Settings.of_run`; anchors may be among it.
    """
    encoder = EncoderConfig(path=str(make_encoder_folder(folder)))
    config = dataclasses.replace(
        Config(), encoder=encoder, prompt=PromptConfig(max_tokens=96, max_past=3)
    )
    if classifies:
        config = dataclasses.replace(config, loss=LossConfig(ce_weight=1.0))
    taxonomy = Taxonomy(tuple(WORDS), tuple(WORDS))
    loaded = encoders.load(encoder)
    made = Model(loaded.module, 3, ModelConfig(), classifies=classifies, rngs=nnx.Rngs(0))
    graphdef, state = nnx.split(made, nnx.Param)
    params = nnx.to_pure_dict(state)
    model = nnx.merge(graphdef, params)
    anchors = np.asarray(
        model.mapping(model.encode_labels(label_batch(loaded.tokenizer, taxonomy)))
    )
    noise = np.random.default_rng(0)
    moved = jax.tree.map(
        lambda x: x + shift * noise.normal(size=x.shape).astype(np.float32), params["encoder"]
    )
    return recognizer_of(
        config,
        taxonomy,
        loaded,
        graphdef,
        {**params, "encoder": moved},
        calibration={"stage_one": 1.5, "stage_two": 2.0},
        **{"anchors": {"stage_one": anchors, "stage_two": anchors}, **answering},
    )


def recognizer_of(
    config: Config,
    taxonomy: Taxonomy,
    loaded: LoadedEncoder,
    graphdef: Any,
    params: Any,
    *,
    anchors: dict[str, np.ndarray],
    **found: Any,
) -> EmotionRecognizer:
    """The recognizer that a run would end with; `found` goes to `Settings.of_run`."""
    settings = Settings.of_run(config, taxonomy, **found)
    return EmotionRecognizer(
        settings,
        JaxRuntime(settings, parts_of(config, graphdef, params)),
        tokenizer=loaded.tokenizer,
        encoder_config=dict(loaded.config),
        anchors=anchors,
    )
