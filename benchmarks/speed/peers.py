"""The peers: the same tasks in plain PyTorch with transformers, as users would write them without
this package.
"""

import contextlib
import dataclasses
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from eacl_jax.config import Config, LossConfig
from eacl_jax.data.prompts import Example
from eacl_jax.errors import UserError

try:
    import torch
    from torch.nn import functional as F
except ImportError as error:
    raise UserError(
        "the peers need PyTorch, which is not installed: .venv/bin/pip install -e '.[test]'."
    ) from error


@dataclasses.dataclass(frozen=True)
class Peer:
    """How a peer works.

    Attributes:
      attention: transformers' `attn_implementation`.
      longest: rows are padded to the longest beside them; else to max_tokens.
      groups: a training batch's examples, sorted by length, are split into so many, each padded to
        its longest. With more than one, a split is encoded in order of length, too.
      fused: AdamW as one kernel; else PyTorch's default.
      compiled: torch.compile, and rows padded to a multiple of 8 for the tensor cores; on GPUs
        only.
    """

    attention: str
    longest: bool = True
    groups: int = 1
    fused: bool = True
    compiled: bool = False


PEERS: Mapping[str, Peer] = {
    "reference": Peer("eager", longest=False, fused=False),
    "dynamic": Peer("sdpa"),
    "strong": Peer("sdpa", groups=4, compiled=True),
}


class Rows(NamedTuple):
    """Padded examples: tokens and mask [n, L], readout columns [n]."""

    tokens: torch.Tensor
    mask: torch.Tensor
    readout: torch.Tensor


class Network(torch.nn.Module):
    """Encoder and heads, with the weights of a checkpoint and of our heads."""

    def __init__(
        self, peer: Peer, checkpoint: Path, heads: Mapping[str, Any], config: Config, device: str
    ) -> None:
        """`heads`: branches `predictor` and `mapping` of our parameters."""
        super().__init__()
        logging.disable_progress_bar()
        described = AutoConfig.from_pretrained(checkpoint)
        if not config.encoder.attention_dropout:
            described.attention_probs_dropout_prob = 0.0
        how = {"attn_implementation": peer.attention, "add_pooling_layer": False}
        self.encoder = AutoModel.from_pretrained(checkpoint, config=described, **how)
        self.predictor = torch.nn.Sequential(
            torch.nn.Dropout(config.model.dropout), _linear(heads["predictor"])
        )
        self.mapping = torch.nn.Sequential(
            _linear(heads["mapping"]["hidden"]),
            torch.nn.LayerNorm(described.hidden_size),
            torch.nn.ReLU(),
            _linear(heads["mapping"]["output"]),
        )
        self.peer, self.device, self.config = peer, device, config
        self.to(device)
        self.compiled = peer.compiled and device == "cuda"
        self.pad_token = described.pad_token_id
        self.run = torch.compile(self.encoder, dynamic=True) if self.compiled else self.encoder

    def pad(self, examples: Sequence[Example]) -> Rows:
        """On the host."""
        width = (
            max(len(e.tokens) for e in examples)
            if self.peer.longest
            else self.config.prompt.max_tokens
        )
        width = -(-width // 8) * 8 if self.compiled else width
        tokens, mask = (
            np.full((len(examples), width), self.pad_token),
            np.zeros((len(examples), width), np.int64),
        )
        for row, example in enumerate(examples):
            tokens[row, : len(example.tokens)] = example.tokens
            mask[row, : len(example.tokens)] = 1
        return Rows(*map(torch.from_numpy, (tokens, mask, np.array([e.readout for e in examples]))))

    def read(self, rows: Rows) -> torch.Tensor:
        """The hidden states [n, d] at the readouts, float32."""
        tokens, mask, readout = (x.to(self.device) for x in rows)
        bfloat16 = self.config.encoder.dtype != "float32"
        with torch.autocast(self.device, torch.bfloat16) if bfloat16 else contextlib.nullcontext():
            hidden = self.run(input_ids=tokens, attention_mask=mask).last_hidden_state
        return hidden[torch.arange(len(readout), device=self.device), readout].float()


def _linear(weights: Any) -> torch.nn.Linear:
    kernel, bias = np.array(weights["kernel"]), np.array(weights["bias"])
    linear = torch.nn.Linear(*kernel.shape)
    linear.weight.data, linear.bias.data = torch.from_numpy(kernel.T.copy()), torch.from_numpy(bias)
    return linear


def _scores(x: torch.Tensor, y: torch.Tensor, temperature: float) -> torch.Tensor:
    return ((1 + F.normalize(x, dim=1) @ F.normalize(y, dim=1).T) / 2 + 1e-8) / temperature


def eacl_loss(
    logits: torch.Tensor,
    reps: torch.Tensor,
    labels: torch.Tensor,
    anchors: torch.Tensor,
    config: LossConfig,
) -> torch.Tensor:
    """`losses.stage_one` of the default settings."""
    vectors = torch.cat([reps, anchors])
    names = torch.cat([labels, torch.arange(len(anchors), device=labels.device)])
    oneself = torch.eye(len(names), dtype=torch.bool, device=labels.device)
    positive = (names[:, None] == names[None, :]) & ~oneself
    scores = _scores(vectors, vectors, config.temperature).masked_fill(oneself, -1e4)
    share = (
        scores.masked_fill(~positive, -1e4).logsumexp(1)
        - scores.logsumexp(1)
        - positive.sum(1).clamp(min=1).log()
    )
    rows = -(share.exp() + 1e-8).log()
    counted = positive.any(1) & (rows > 0)
    contrastive = torch.where(counted, rows, 0).sum() / counted.sum()
    centred = F.normalize(anchors - anchors.mean(0), dim=1)
    nearest = (
        (centred @ centred.T - 4 * torch.eye(len(anchors), device=labels.device))
        .max(1)
        .values.clamp(-0.99999, 0.99999)
    )
    angle = -nearest.arccos().mean()
    share_of_ce = config.ce_weight
    return share_of_ce * F.cross_entropy(logits, labels) + (1 - share_of_ce) * (
        contrastive + config.angle_weight * angle
    )


class _Peer:
    """What the peers have in common."""

    compiled = False
    compilations: int | None = None

    def __init__(self, device: str, parameters: Iterable[torch.Tensor]) -> None:
        self.device, self.parameters = device, list(parameters)
        self.optimizer: torch.optim.Optimizer | None = None

    def prepare(self, work: Any) -> Any:
        return work

    def shape(self, host: Any) -> Hashable:
        return None

    def start(self, host: Any) -> Any:
        raise NotImplementedError

    def finish(self, result: Any) -> Any:
        """A loss on the host, for which PyTorch waits; what is there already stays."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        return float(result) if isinstance(result, torch.Tensor) else result

    def peak_bytes(self, host: Any) -> int | None:
        """On a GPU what PyTorch allocates; on a CPU it does not say."""
        if self.device == "cpu":
            return None
        kept = sum(x.nbytes for x in self._kept())
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        self.finish(self.start(host))
        return torch.cuda.max_memory_allocated() - before + kept

    def _kept(self) -> Iterator[torch.Tensor]:
        """Parameters, gradients and moments: what is this runner's of the memory that all of them
        hold.
        """
        yield from self.parameters
        yield from (p.grad for p in self.parameters if p.grad is not None)
        for state in self.optimizer.state.values() if self.optimizer else ():
            yield from (
                x
                for x in state.values()
                if isinstance(x, torch.Tensor) and x.device.type == self.device
            )

    def _descend(self, loss: torch.Tensor, clip_norm: float) -> None:
        assert self.optimizer is not None
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, clip_norm)
        self.optimizer.step()


class Training(_Peer):
    """Stage one's whole optimizer step."""

    def __init__(
        self, network: Network, examples: Sequence[Example], label_encodings: np.ndarray
    ) -> None:
        super().__init__(network.device, network.parameters())
        self.compiled = network.compiled
        self._network, self._examples, settings = network, examples, network.config.stage_one
        heads = [*network.predictor.parameters(), *network.mapping.parameters()]
        groups = [
            {"params": list(network.encoder.parameters()), "lr": settings.encoder_lr},
            {"params": heads, "lr": settings.head_lr},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, weight_decay=settings.weight_decay, fused=network.peer.fused or None
        )
        self._encodings = torch.tensor(label_encodings, device=network.device)
        network.train()

    def prepare(self, work: np.ndarray) -> tuple[list[Rows], torch.Tensor]:
        chosen = [self._examples[i] for i in work]
        groups = self._network.peer.groups
        if groups > 1:
            chosen.sort(key=lambda e: len(e.tokens))
        parts = [part for part in np.array_split(np.arange(len(chosen)), groups) if len(part)]
        rows = [self._network.pad([chosen[i] for i in part]) for part in parts]
        return rows, torch.tensor([e.label for e in chosen])

    def shape(self, host: tuple[list[Rows], torch.Tensor]) -> Hashable:
        return tuple(rows.tokens.shape for rows in host[0]) if self._network.compiled else None

    def start(self, host: tuple[list[Rows], torch.Tensor]) -> torch.Tensor:
        network, labels = self._network, host[1].to(self.device)
        h = torch.cat([network.read(rows) for rows in host[0]])
        anchors = network.mapping(self._encodings)
        loss = eacl_loss(
            network.predictor(h), network.mapping(h), labels, anchors, network.config.loss
        )
        self._descend(loss, network.config.stage_one.clip_norm)
        return loss.detach()


class Encode(_Peer):
    """Mapped representations of examples, without gradients."""

    def __init__(self, network: Network) -> None:
        super().__init__(network.device, network.parameters())
        self.compiled, self._network = network.compiled, network.eval()

    @torch.inference_mode()
    def start(self, host: Sequence[Example]) -> np.ndarray:
        network, size = self._network, self._network.config.batch.eval_batch_size
        order = np.arange(len(host))
        if network.peer.groups > 1:
            order = np.argsort([len(e.tokens) for e in host], kind="stable")
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        reps = (
            torch.cat(
                [
                    network.mapping(network.read(network.pad([host[i] for i in part])))
                    for part in parts
                ]
            )
            .cpu()
            .numpy()
        )
        result = np.empty_like(reps)
        result[order] = reps
        return result


class Adapting(_Peer):
    """An epoch of stage two; representations are on the device from the start."""

    def __init__(
        self, config: Config, device: str, reps: np.ndarray, labels: np.ndarray, anchors: np.ndarray
    ) -> None:
        """`reps` [N, m], `labels` [N], `anchors` [C, m] at the start."""
        self._anchors, self._config = (
            torch.nn.Parameter(torch.tensor(anchors, device=device)),
            config,
        )
        self._reps, self._labels = (
            torch.tensor(reps, device=device),
            torch.tensor(labels, device=device).long(),
        )
        super().__init__(device, [self._anchors])
        self.optimizer = torch.optim.Adam(self.parameters, lr=config.stage_two.lr, fused=True)

    def prepare(self, work: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(work)

    def start(self, host: torch.Tensor) -> torch.Tensor:
        for part in host.to(self.device).split(self._config.stage_two.batch_size):
            scores = _scores(self._reps[part], self._anchors, self._config.loss.temperature)
            loss = F.cross_entropy(scores, self._labels[part])
            self._descend(loss, self._config.stage_two.clip_norm)
        return loss.detach()
