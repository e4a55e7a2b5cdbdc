"""Encoders that are known by name: published checkpoints, their shapes, and what of them was
compared with PyTorch.

Shapes are facts of the checkpoints' config.json; anything that an architecture can be asked for is
read from the folder itself, so that this list limits nothing.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from eacl_jax.encoders.prefix import PrefixShape
from eacl_jax.encoders.registry import ARCHITECTURES, abstract_encoder
from eacl_jax.encoders.weights.parameters import tensor_shapes

Config = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """An architecture for a reader.

    Attributes:
      name: what it is called.
      paper: its arXiv number.
    """

    name: str
    paper: str


@dataclasses.dataclass(frozen=True)
class Known:
    """A published checkpoint. `prefix`: the prefix that its tensors hold."""

    hub_id: str
    config: Config
    prefix: PrefixShape | None = None

    @property
    def parameters(self) -> int:
        """How many numbers the encoder has, without pooler, head or decoder."""
        return sum(
            map(
                math.prod, tensor_shapes(abstract_encoder(self.config, prefix=self.prefix)).values()
            )
        )


def _bert(**changes: Any) -> Config:
    return _BERT | changes


def _roberta(**changes: Any) -> Config:
    return {
        **_BERT,
        "model_type": "roberta",
        "vocab_size": 50265,
        **_FROM_2,
        "type_vocab_size": 1,
        **changes,
    }


def _deberta(**changes: Any) -> Config:
    return _BERT | {
        "model_type": "deberta",
        "vocab_size": 50265,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": "c2p|p2c",
        "layer_norm_eps": 1e-7,
        **changes,
    }


def _deberta_v2(**changes: Any) -> Config:
    wanted = {
        "model_type": "deberta-v2",
        "vocab_size": 128100,
        "position_buckets": 256,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": "p2c|c2p",
    }
    return _deberta(**wanted, **changes)


def _modernbert(**changes: Any) -> Config:
    return {
        "model_type": "modernbert",
        "vocab_size": 50368,
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "intermediate_size": 1152,
        "max_position_embeddings": 8192,
        **changes,
    }


def _xlnet(**changes: Any) -> Config:
    return {
        "model_type": "xlnet",
        "vocab_size": 32000,
        "d_model": 768,
        "n_layer": 12,
        "n_head": 12,
        "d_inner": 3072,
        "pad_token_id": 5,
        **changes,
    }


def _t5(**changes: Any) -> Config:
    return {
        "model_type": "t5",
        "vocab_size": 32128,
        "d_model": 768,
        "num_layers": 12,
        "num_heads": 12,
        "d_kv": 64,
        "d_ff": 3072,
        "feed_forward_proj": "relu",
        **changes,
    }


_BERT = {
    "model_type": "bert",
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
# Positions whose first two rows stand for padding.
_FROM_2 = {"max_position_embeddings": 514, "pad_token_id": 1, "layer_norm_eps": 1e-5}
_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
}
_MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
_GATED = {"feed_forward_proj": "gated-gelu", "d_ff": 2048}
_ELECTRA = {"model_type": "electra", "embedding_size": 768}
_ELECTRA_SMALL = {
    **_ELECTRA,
    "embedding_size": 128,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
}
_V2_XLARGE = {
    "hidden_size": 1536,
    "num_hidden_layers": 24,
    "num_attention_heads": 24,
    "intermediate_size": 6144,
    "conv_kernel_size": 3,
    "conv_act": "gelu",
}
_MODERN_LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "intermediate_size": 2624,
}

# By config.json's `model_type`.
DESCRIBED: Mapping[str, Architecture] = {
    "roberta": Architecture("RoBERTa, SimCSE, PromCSE", "1907.11692"),
    "xlm-roberta": Architecture("XLM-RoBERTa", "1911.02116"),
    "camembert": Architecture("CamemBERT", "1911.03894"),
    "bert": Architecture("BERT, MiniLM", "1810.04805"),
    "electra": Architecture("ELECTRA", "2003.10555"),
    "mpnet": Architecture("MPNet", "2004.09297"),
    "deberta": Architecture("DeBERTa", "2006.03654"),
    "deberta-v2": Architecture("DeBERTa-v2, v3", "2111.09543"),
    "modernbert": Architecture("ModernBERT", "2412.13663"),
    "xlnet": Architecture("XLNet", "1906.08237"),
    "t5": Architecture("T5, Flan-T5 (encoder)", "1910.10683"),
    "mt5": Architecture("mT5 (encoder)", "2010.11934"),
}

# Compared with PyTorch with their own weights too.
REAL = ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-mpnet-base-v2")
NOTE = (
    "Any checkpoint of these architectures is read, listed or not: a hub id, a folder or"
    " package:NAME/FOLDER. Sizes are the encoder's, without pooler, head or decoder. Every"
    " architecture is equal to PyTorch transformers on random weights, in float32 hidden states to"
    " 1e-5 and gradients to 1e-4, in bfloat16 within 2% (tests/parity); * with the checkpoint's own"
    " weights too."
)

KNOWN: tuple[Known, ...] = (
    Known("FacebookAI/roberta-base", _roberta()),
    Known("FacebookAI/roberta-large", _roberta(**_LARGE)),
    Known("princeton-nlp/sup-simcse-roberta-base", _roberta()),
    Known("princeton-nlp/sup-simcse-roberta-large", _roberta(**_LARGE)),
    Known("YuxinJiang/sup-promcse-roberta-large", _roberta(**_LARGE), PrefixShape(10)),
    Known("FacebookAI/xlm-roberta-base", _roberta(model_type="xlm-roberta", vocab_size=250002)),
    Known(
        "FacebookAI/xlm-roberta-large",
        _roberta(model_type="xlm-roberta", vocab_size=250002, **_LARGE),
    ),
    Known("almanach/camembert-base", _roberta(model_type="camembert", vocab_size=32005)),
    Known("google-bert/bert-base-uncased", _bert()),
    Known("google-bert/bert-large-uncased", _bert(**_LARGE)),
    Known("sentence-transformers/all-MiniLM-L6-v2", _bert(**_MINILM)),
    Known("google/electra-small-discriminator", _bert(**_ELECTRA_SMALL)),
    Known("google/electra-base-discriminator", _bert(**_ELECTRA)),
    Known(
        "google/electra-large-discriminator",
        _bert(**_LARGE, **(_ELECTRA | {"embedding_size": 1024})),
    ),
    Known(
        "sentence-transformers/all-mpnet-base-v2", _roberta(model_type="mpnet", vocab_size=30527)
    ),
    Known("microsoft/deberta-base", _deberta()),
    Known("microsoft/deberta-large", _deberta(**_LARGE)),
    Known("microsoft/deberta-v2-xlarge", _deberta_v2(**_V2_XLARGE)),
    Known("microsoft/deberta-v3-small", _deberta_v2(num_hidden_layers=6)),
    Known("microsoft/deberta-v3-base", _deberta_v2()),
    Known("microsoft/deberta-v3-large", _deberta_v2(**_LARGE)),
    Known("answerdotai/ModernBERT-base", _modernbert()),
    Known("answerdotai/ModernBERT-large", _modernbert(**_MODERN_LARGE)),
    Known("xlnet/xlnet-base-cased", _xlnet()),
    Known("xlnet/xlnet-large-cased", _xlnet(d_model=1024, n_layer=24, n_head=16, d_inner=4096)),
    Known("google-t5/t5-base", _t5()),
    Known("google-t5/t5-large", _t5(d_model=1024, num_layers=24, num_heads=16, d_ff=4096)),
    Known("google/flan-t5-base", _t5(**_GATED)),
    Known("google/mt5-base", _t5(model_type="mt5", vocab_size=250112, **_GATED)),
)


def known(hub_id: str) -> Known:
    """The checkpoint of this id; KeyError where it is not listed."""
    return {entry.hub_id: entry for entry in KNOWN}[hub_id]


def listed() -> list[tuple[str, Architecture, list[Known]]]:
    """Every architecture's `model_type`, description, and known checkpoints."""
    return [
        (kind, DESCRIBED[kind], [entry for entry in KNOWN if entry.config["model_type"] == kind])
        for kind in sorted(ARCHITECTURES, key=list(DESCRIBED).index)
    ]
