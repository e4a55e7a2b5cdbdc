"""The peer: a classifier of several labels, fine-tuned in plain PyTorch with transformers."""

import contextlib
import dataclasses
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import AutoModel
from transformers.utils import logging

from benchmarks.several.measures import decided, measure
from eacl_jax import corpora, encoders
from eacl_jax.config import Config
from eacl_jax.data import prompt_cache
from eacl_jax.dialogue import SPLITS, Corpus
from eacl_jax.encoders.sources import find_folder
from eacl_jax.errors import UserError
from eacl_jax.model.task import annotated, task_of

try:
    import torch
    from torch.nn import functional as F
except ImportError as error:
    raise UserError(
        "the peer needs PyTorch, which is not installed: .venv/bin/pip install -e '.[test]'."
    ) from error

_EVALUATED = 256  # examples encoded at once where no gradient is taken


@dataclasses.dataclass(frozen=True)
class Split:
    """Of one split: N examples' token ids, where each is read, float32 targets [N, C]."""

    tokens: Sequence[np.ndarray]
    readouts: Sequence[int]
    targets: np.ndarray


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
      logits: [N, C] of dev and test, of the chosen epoch.
      gold: bool [N, C] of the same.
      epoch: the chosen one, from 1.
      steps: seconds of each training step, by epoch.
    """

    logits: Mapping[str, np.ndarray]
    gold: Mapping[str, np.ndarray]
    epoch: int
    steps: Sequence[Sequence[float]]


class Classifier(torch.nn.Module):
    """Encoder, readout (`mask`, `first`, `last`: of a token; `mean`: over all), dropout and one
    linear layer.
    """

    def __init__(self, config: Config, readout: str, classes: int) -> None:
        super().__init__()
        logging.disable_progress_bar()
        rates = {} if config.encoder.attention_dropout else {"attention_probs_dropout_prob": 0.0}
        self.encoder = AutoModel.from_pretrained(
            find_folder(config.encoder.path, revision=config.encoder.revision),
            attn_implementation="sdpa",
            add_pooling_layer=False,
            **rates,
        )
        self.readout = readout
        self.dropout = torch.nn.Dropout(config.model.dropout)
        self.output = torch.nn.Linear(self.encoder.config.hidden_size, classes)
        for name, parameter in self.encoder.named_parameters():
            parameter.requires_grad = not _frozen(name, config.encoder.frozen_layers)

    def forward(
        self, tokens: torch.Tensor, mask: torch.Tensor, readouts: torch.Tensor
    ) -> torch.Tensor:
        """Logits [n, C] of padded tokens and mask [n, L] and readout columns [n]."""
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        if self.readout == "mean":
            weights = mask[:, :, None].to(hidden.dtype)
            read = (hidden * weights).sum(1) / weights.sum(1)
        else:
            read = hidden[torch.arange(len(readouts), device=hidden.device), readouts]
        return self.output(self.dropout(read.float()))


def _frozen(name: str, layers: int) -> bool:
    layer = re.search(r"layer\.(\d+)\.", name)
    return layers > 0 and (int(layer[1]) < layers if layer else "embeddings" in name)


def read(config: Config, *, text_alone: bool) -> tuple[Corpus, dict[str, Split]]:
    """The corpus and its splits, as prompts or as the texts alone.

    Raises:
      UserError: corpus or encoder cannot be used, or an utterance may have one label alone.
    """
    corpus = corpora.load(config.data)
    if corpus.task != "multi":
        raise UserError(f"{corpus.name} has one label an utterance; the benchmark is of several.")
    tokenizer = encoders.load_tokenizer(find_folder(config.encoder.path, weights=False))
    task = task_of(corpus)
    targets = {split: task.targets(corpus.splits[split]).astype(np.float32) for split in SPLITS}
    if text_alone:

        def tokens(split: str) -> list[np.ndarray]:
            texts = [u.text for u in annotated(corpus.splits[split])]
            found = tokenizer(texts, truncation=True, max_length=config.prompt.max_tokens)
            return [np.array(ids) for ids in found["input_ids"]]

        return corpus, {
            split: Split(found := tokens(split), [0] * len(found), targets[split])
            for split in SPLITS
        }
    examples = prompt_cache.corpus_examples(
        corpus,
        tokenizer,
        config.prompt,
        readout=config.readout,
        trailing_space=config.compat.trailing_space,
        cache=corpora.cache_folder(config.data),
    )
    return corpus, {
        split: Split([e.tokens for e in found], [e.readout for e in found], targets[split])
        for split, found in examples.items()
    }


def train(config: Config, *, text_alone: bool) -> Trained:
    """Fine-tunes with the settings of stage one.

    Raises:
      UserError: see `read`.
    """
    corpus, splits = read(config, text_alone=text_alone)
    torch.manual_seed(config.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")  # on a GPU TF32, as JAX does by default
    readout = "mean" if text_alone else config.readout
    model = Classifier(config, readout, len(corpus.taxonomy)).to(device)
    settings = config.stage_one
    optimizer = torch.optim.AdamW(_groups(model, config), fused=True)
    decay = torch.optim.lr_scheduler.ExponentialLR(optimizer, settings.lr_decay)
    trained = [p for p in model.parameters() if p.requires_grad]
    order = torch.Generator().manual_seed(config.seed)
    gold = {split: splits[split].targets > 0 for split in ("dev", "test")}
    best, chosen, logits = -1.0, 0, {}
    steps: list[list[float]] = []
    for epoch in range(1, settings.epochs + 1):
        model.train()
        steps.append([])
        indices = torch.randperm(len(splits["train"].tokens), generator=order).numpy()
        for start in range(0, len(indices), settings.batch_size):
            began = time.perf_counter()
            part = indices[start : start + settings.batch_size]
            targets = torch.from_numpy(splits["train"].targets[part]).to(device)
            with _precision(config, device):
                found = model(*_padded(splits["train"], part, model.encoder, device))
            loss = F.binary_cross_entropy_with_logits(found, targets)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, settings.clip_norm)
            optimizer.step()
            loss.item()  # waits for the device
            steps[-1].append(time.perf_counter() - began)
        decay.step()
        dev = _logits(model, splits["dev"], config, device)
        answers = decided(gold["dev"], dev, dev, common=False)
        score = measure(gold["dev"], answers, corpus.taxonomy.labels)
        if score[config.evaluation.primary] > best:
            best, chosen = score[config.evaluation.primary], epoch
            logits = {"dev": dev, "test": _logits(model, splits["test"], config, device)}
    return Trained(logits, gold, chosen, steps)


def _groups(model: Classifier, config: Config) -> list[dict[str, Any]]:
    """Parameters by rate and weight decay, of which biases and norms are spared."""
    settings = config.stage_one
    groups = []
    for module, rate in ((model.encoder, settings.encoder_lr), (model.output, settings.head_lr)):
        named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        for spared in (False, True):
            chosen = [
                p
                for name, p in named
                if (name.endswith("bias") or "norm" in name.lower()) == spared
            ]
            decay = 0.0 if spared else settings.weight_decay
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay})
    return groups


def _precision(config: Config, device: str) -> Any:
    bfloat16 = config.encoder.dtype == "bfloat16"
    return torch.autocast(device, torch.bfloat16) if bfloat16 else contextlib.nullcontext()


def _padded(
    split: Split, part: np.ndarray, encoder: Any, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens and mask, padded to the longest of the part, and the readout columns."""
    width = max(len(split.tokens[i]) for i in part)
    tokens = np.full((len(part), width), encoder.config.pad_token_id, np.int64)
    mask = np.zeros((len(part), width), np.int64)
    for row, index in enumerate(part):
        ids = split.tokens[index]
        tokens[row, : len(ids)], mask[row, : len(ids)] = ids, 1
    readouts = np.array([split.readouts[i] for i in part])
    return tuple(torch.from_numpy(x).to(device) for x in (tokens, mask, readouts))  # type: ignore


@torch.inference_mode()
def _logits(model: Classifier, split: Split, config: Config, device: str) -> np.ndarray:
    model.eval()
    order = np.argsort([len(ids) for ids in split.tokens], kind="stable")
    found = np.empty(split.targets.shape, np.float64)
    for start in range(0, len(order), _EVALUATED):
        part = order[start : start + _EVALUATED]
        with _precision(config, device):
            found[part] = model(*_padded(split, part, model.encoder, device)).cpu().numpy()
    return found
