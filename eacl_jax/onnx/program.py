"""A trained model as one program: packed rows of tokens in, representations out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx

from eacl_jax.encoders.architectures.bert import BertEncoder
from eacl_jax.encoders.architectures.deberta import DebertaEncoder
from eacl_jax.encoders.architectures.deberta_v2 import DebertaV2Encoder
from eacl_jax.encoders.architectures.electra import ElectraEncoder
from eacl_jax.encoders.architectures.modernbert import ModernBertEncoder
from eacl_jax.encoders.architectures.mpnet import MPNetEncoder
from eacl_jax.encoders.architectures.roberta import RobertaEncoder
from eacl_jax.encoders.architectures.t5 import T5Encoder
from eacl_jax.encoders.architectures.xlnet import XLNetEncoder
from eacl_jax.errors import UserError
from eacl_jax.model.representer import Representer
from eacl_jax.onnx import bert, deberta, modernbert, t5, xlnet
from eacl_jax.onnx.graph import Graph, Value
from eacl_jax.onnx.layers import linear, norm
from eacl_jax.onnx.session import ANCHORS, SHARES
from eacl_jax.onnx.session import OUTPUT as OUTPUT
from eacl_jax.onnx.stack import Encode, Given

# By the class itself: one built like another may compute something else.
_ENCODE: Mapping[type, Encode] = {
    BertEncoder: bert.encode,
    DebertaEncoder: deberta.encode,
    DebertaV2Encoder: deberta.encode,
    ElectraEncoder: bert.encode,
    ModernBertEncoder: modernbert.encode,
    MPNetEncoder: bert.encode,
    RobertaEncoder: bert.encode,
    T5Encoder: t5.encode,
    XLNetEncoder: xlnet.encode,
}

_ROWS = ("tokens", "positions", "segment_ids")
INPUTS = (*_ROWS, "readout")


def program(representer: Representer) -> onnx.ModelProto:
    """The program whose one output is `representations` [N, m]; see `represent`."""
    graph = Graph()
    found = represent(graph, representer)
    return graph.model({OUTPUT: (found, ("utterances", "width"))})


def label_program(representer: Representer, encoder: Any) -> onnx.ModelProto:
    """The program that makes anchors of label words, as training made them.

    Its inputs are `tokens`, `positions` and `segment_ids` [W, L], each word or phrase in a row of
    its own, and `shares` [C, W], which say how much each counts in each label's anchor; its one
    output is `anchors` [C, m].

    Args:
      representer: whose mapping makes anchors of what is encoded.
      encoder: encodes label words.

    Raises:
      UserError: there is no program for this architecture.
    """
    graph = Graph()
    tokens, positions, segment_ids = (
        graph.input(name, "int32", "words", "length") for name in _ROWS
    )
    shares = graph.input(SHARES, "float32", "labels", "words")
    hidden = _encode_by(encoder)(encoder, Given(tokens, positions, segment_ids, None))
    valid = graph.op("Greater", segment_ids, np.int32(0)).cast("float32").expand(2)
    over = np.array([1], np.int64)
    summed = graph.op("ReduceSum", hidden * valid, over, keepdims=0)
    encodings = summed / graph.op("ReduceSum", valid, over, keepdims=0)
    anchors = _mapped(shares @ encodings, representer.mapping)
    return graph.model({ANCHORS: (anchors, ("labels", "width"))}, halves=True)


def represent(graph: Graph, representer: Representer, *, whole: bool = False) -> Value:
    """Adds inputs and all nodes to the representations [N, m] of N utterances.

    The inputs are int32, of any number of rows R, tokens of a row L and utterances N, as in
    `Batch`: `tokens`, `positions`, `segment_ids` [R, L] and `readout` [N, 2].

    Args:
      graph: to add to.
      representer: the model.
      whole: the last layer is run for all tokens, also where only some are read.

    Raises:
      UserError: there is no program for this architecture, or the model reads features.
    """
    encoder: Any = representer.encoder
    encode = _encode_by(encoder)
    if representer.fusion is not None or not representer.text:
        raise UserError(
            "this model reads features beside the text, which ONNX programs have no input for; use"
            " it by JAX."
        )
    tokens, positions, segment_ids = (
        graph.input(name, "int32", "rows", "length") for name in _ROWS
    )
    readout = graph.input(INPUTS[3], "int32", "utterances", 2).cast("int64")
    # Where padding's readout points, too, there is a segment to read.
    segment = segment_ids.graph.op("GatherND", segment_ids, readout)
    if representer.pooled:
        hidden = encode(encoder, Given(tokens, positions, segment_ids, None))
        read = _mean(hidden, segment_ids, readout, segment)
    else:
        columns, slots = _columns(segment_ids, readout, segment)
        hidden = encode(encoder, Given(tokens, positions, segment_ids, None if whole else columns))
        read = graph.op("GatherND", hidden, readout if whole else slots)
    graph.exact = True
    return _mapped(read, representer.mapping)


def _encode_by(encoder: Any) -> Encode:
    """What adds an encoder's nodes."""
    encode = _ENCODE.get(type(encoder))
    if encode is None:
        raise UserError(
            f"there is no ONNX program for {type(encoder).__name__}; use the model by JAX, or"
            " export it as StableHLO."
        )
    return encode


def _columns(segment_ids: Value, readout: Value, segment: Value) -> tuple[Value, Value]:
    """The columns int64 [R, S] that are read in each row, and each utterance's index among them,
    int64 [N, 2]; see `model.representer.readout_columns`.
    """
    op = readout.graph.op
    slots = op("Max", segment.cast("int64") - np.int64(1), np.int64(0))
    most = op("ReduceMax", slots, keepdims=0) + np.int64(1)
    sizes = readout.graph.sizes(segment_ids.size(0), most.expand(0))
    zero = op("Expand", np.int64(0), sizes)
    indices = op("Concat", readout.cut(1, 0, 1), slots.expand(1), axis=1)
    columns = readout.take(np.int64(1), axis=1)
    return op("ScatterND", zero, indices, columns, reduction="max"), indices


def _mean(hidden: Value, segment_ids: Value, readout: Value, segment: Value) -> Value:
    """[N, D], see `model.representer.mean_over_examples`."""
    op = hidden.graph.op
    rows = readout.take(np.int64(0), axis=1)
    member = op("Equal", segment_ids.take(rows), segment.expand(1))
    every = hidden.graph.columns(segment_ids.size(0))
    of_row = op("Equal", rows.expand(1), every.expand(0))
    chosen = op("And", of_row.expand(2), member.expand(1)).cast("float32").reshape(0, -1)
    width = hidden.size(2)
    summed = chosen @ hidden.reshape(-1, width)
    return summed / op("ReduceSum", member.cast("float32"), np.array([1]))


def _mapped(read: Value, mapping: Any) -> Value:
    """By the mapping, or the classifier."""
    if not hasattr(mapping, "hidden"):
        return linear(read, mapping)
    wide = read.graph.op("Relu", norm(linear(read, mapping.hidden), mapping.norm))
    return linear(wide, mapping.output)
