"""Products of 8-bit numbers in a program, as QuantizeLinear and DequantizeLinear around MatMul.

Weights have a scale an output channel. Activations have one scale, known from calibration: what an
utterance is answered does not depend on what is asked beside it, as it does where the scale is
taken from whatever is in the batch. Channels that are much larger than others are made smaller and
their weights larger before (SmoothQuant, arXiv 2211.10438).
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from jaxtyping import Float
from onnx import TensorProto, helper, numpy_helper

from eacl_jax.onnx.graph import EXACT

# Seven bits: processors without VNNI add two products in 16 bits, which eight would overflow.
_LARGEST_WEIGHT = 63
_STEPS = 255  # of an activation, uint8
# How much of the difference between channels goes from activations into weights; SmoothQuant's
# alpha. Of 0, 0.5, 0.7 and 0.85 on MiniLM the middle ones lost least.
_SMOOTHING = 0.75
_TINY = 1e-5


@dataclasses.dataclass(frozen=True)
class Range:
    """Smallest and largest value of each channel of an activation, [K]."""

    low: Float[np.ndarray, " K"]
    high: Float[np.ndarray, " K"]


@dataclasses.dataclass(frozen=True)
class Product:
    """A MatMul with a constant kernel.

    Attributes:
      name: of the node.
      activation: name of what is multiplied.
      kernel: name of the constant.
      narrows: whether it has more inputs than outputs, as the second product of a feed-forward,
        whose inputs have the largest outliers.
    """

    name: str
    activation: str
    kernel: str
    narrows: bool


def products(model: onnx.ModelProto) -> list[Product]:
    """What can be quantized: products with constant kernels but the few that cost nothing."""
    shapes = {each.name: tuple(each.dims) for each in model.graph.initializer}
    return [
        Product(node.name, node.input[0], node.input[1], shape[0] > shape[1])
        for node in model.graph.node
        if node.op_type == "MatMul"
        and len(shape := shapes.get(node.input[1], ())) == 2
        and not node.name.startswith(EXACT)
    ]


def activation_ranges(
    model: onnx.ModelProto,
    run: Callable[[onnx.ModelProto, Sequence[str]], Iterable[Sequence[np.ndarray]]],
) -> dict[str, Range]:
    """The range of what each product multiplies.

    Args:
      model: the program.
      run: runs a program on prompts without padding, and yields the outputs that are named of each.
    """
    names = sorted({each.activation for each in products(model)})
    told = onnx.ModelProto()
    told.CopyFrom(model)
    told.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    found: dict[str, Range] = {}
    for outputs in run(told, names):
        for name, value in zip(names, outputs, strict=True):
            rows = value.reshape(-1, value.shape[-1])
            low, high = rows.min(axis=0), rows.max(axis=0)
            if name in found:
                low, high = np.minimum(low, found[name].low), np.maximum(high, found[name].high)
            found[name] = Range(low, high)
    return found


def quantized(
    model: onnx.ModelProto, ranges: Mapping[str, Range], *, keep: Sequence[Product] = ()
) -> onnx.ModelProto:
    """The program with products of 8-bit numbers.

    Args:
      model: the program, float32.
      ranges: from `activation_ranges`.
      keep: products that stay as they are.
    """
    constants = {each.name: each for each in model.graph.initializer}
    kept = {each.name for each in keep}
    chosen = {each.name: each for each in products(model) if each.name not in kept}
    kernels = {
        name: numpy_helper.to_array(constants[name])
        for name in {each.kernel for each in chosen.values()}
    }
    scales = _smoothing(chosen.values(), kernels, ranges)
    added: dict[str, Any] = {}

    def constant(name: str, value: Any) -> str:
        added[name] = numpy_helper.from_array(np.asarray(value), name)
        return name

    nodes: list[Any] = []
    known: set[str] = set()
    for node in model.graph.node:
        if node.name not in chosen:
            nodes.append(node)
            continue
        of = chosen[node.name]
        x, smoothing = of.activation, scales[of.activation]
        if x not in known:
            known.add(x)
            step, zero = _steps(ranges[x], smoothing)
            level = [constant(f"{x}_step", step), constant(f"{x}_zero", zero)]
            even = constant(f"{x}_even", (1 / smoothing).astype(np.float32))
            nodes += [
                helper.make_node("Mul", [x, even], [f"{x}_smooth"]),
                helper.make_node("QuantizeLinear", [f"{x}_smooth", *level], [f"{x}_quantized"]),
                helper.make_node("DequantizeLinear", [f"{x}_quantized", *level], [f"{x}_again"]),
            ]
        weights, sizes = _weights(kernels[of.kernel] * smoothing[:, None])
        inputs = [
            constant(f"{node.name}_kernel", weights),
            constant(f"{node.name}_scale", sizes),
            constant(f"{node.name}_zero", np.zeros(len(sizes), np.int8)),
        ]
        nodes += [
            helper.make_node("DequantizeLinear", inputs, [f"{node.name}_weights"], axis=1),
            helper.make_node(
                "MatMul", [f"{x}_again", f"{node.name}_weights"], [node.output[0]], name=node.name
            ),
        ]
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    left = [each for each in model.graph.initializer if each.name in used]
    del made.graph.initializer[:]
    made.graph.initializer.extend([*left, *added.values()])
    onnx.checker.check_model(made, full_check=True)
    return made


def _smoothing(
    chosen: Iterable[Product], kernels: Mapping[str, np.ndarray], ranges: Mapping[str, Range]
) -> dict[str, np.ndarray]:
    """What each channel of each activation is divided by, with geometric mean 1."""
    weights: dict[str, np.ndarray] = {}
    for each in chosen:
        largest = np.abs(kernels[each.kernel]).max(axis=1)
        weights[each.activation] = np.maximum(weights.get(each.activation, _TINY), largest)
    found = {}
    for name, weight in weights.items():
        largest = np.maximum(np.maximum(-ranges[name].low, ranges[name].high), _TINY)
        scale = largest**_SMOOTHING / weight ** (1 - _SMOOTHING)
        found[name] = (scale / np.exp(np.log(scale).mean())).astype(np.float32)
    return found


def _steps(of: Range, smoothing: np.ndarray) -> tuple[np.float32, np.uint8]:
    """Step and zero point of an activation."""
    low = min(float((of.low / smoothing).min()), 0.0)
    high = max(float((of.high / smoothing).max()), 0.0)
    step = max(high - low, _TINY) / _STEPS
    return np.float32(step), np.uint8(np.clip(round(-low / step), 0, _STEPS))


def _weights(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Kernel as int8 and the scale of each output channel."""
    sizes = np.maximum(np.abs(kernel).max(axis=0), 1e-12) / _LARGEST_WEIGHT
    return np.round(kernel / sizes).astype(np.int8), sizes.astype(np.float32)
