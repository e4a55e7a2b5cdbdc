"""Products of 8-bit numbers in a program, as QuantizeLinear and DequantizeLinear around MatMul.

Weights have a scale an output channel. Activations have one scale, known from calibration: what an
utterance is answered does not depend on what is asked beside it, as it does where the scale is
taken from whatever is in the batch. Channels that are much larger than others are made smaller and
their weights larger before (SmoothQuant, arXiv 2211.10438).
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from jaxtyping import Float
from onnx import TensorProto, helper, numpy_helper

from eacl_jax.onnx.graph import EXACT, Graph
from eacl_jax.onnx.session import session_of

_STEPS = 255  # of an activation, uint8
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
    with_outputs = onnx.ModelProto()
    with_outputs.CopyFrom(model)
    with_outputs.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    found: dict[str, Range] = {}
    for outputs in run(with_outputs, names):
        for name, value in zip(names, outputs, strict=True):
            rows = value.reshape(-1, value.shape[-1])
            low, high = rows.min(axis=0), rows.max(axis=0)
            if name in found:
                low, high = np.minimum(low, found[name].low), np.maximum(high, found[name].high)
            found[name] = Range(low, high)
    return found


def quantized(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    *,
    keep: Sequence[Product] = (),
    smoothing: float = 0.8,
    weight_bits: int = 7,
) -> onnx.ModelProto:
    """The program with products of 8-bit numbers.

    Args:
      model: the program, float32.
      ranges: from `activation_ranges`.
      keep: products that stay as they are.
      smoothing: how much of the difference between channels goes from activations into weights,
        from 0 to 1; SmoothQuant's alpha.
      weight_bits: of weights, with their sign: 8, or 7 for processors that add two products in 16
        bits, which eight would overflow (`eight_bits_add_up`).
    """
    largest = 2 ** (weight_bits - 1) - 1
    constants = {each.name: each for each in model.graph.initializer}
    kept = {each.name for each in keep}
    chosen = {each.name: each for each in products(model) if each.name not in kept}
    kernels = {
        name: numpy_helper.to_array(constants[name])
        for name in {each.kernel for each in chosen.values()}
    }
    scales = _smoothing(chosen.values(), kernels, ranges, smoothing)
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
        x, divisors = of.activation, scales[of.activation]
        if x not in known:
            known.add(x)
            step, zero = _steps(ranges[x], divisors)
            level = [constant(f"{x}_step", step), constant(f"{x}_zero", zero)]
            even = constant(f"{x}_even", (1 / divisors).astype(np.float32))
            nodes += [
                helper.make_node("Mul", [x, even], [f"{x}_smooth"]),
                helper.make_node("QuantizeLinear", [f"{x}_smooth", *level], [f"{x}_quantized"]),
                helper.make_node("DequantizeLinear", [f"{x}_quantized", *level], [f"{x}_again"]),
            ]
        weights, sizes = _weights(kernels[of.kernel] * divisors[:, None], largest)
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
    chosen: Iterable[Product],
    kernels: Mapping[str, np.ndarray],
    ranges: Mapping[str, Range],
    much: float,
) -> dict[str, np.ndarray]:
    """What each channel of each activation is divided by, with geometric mean 1."""
    weights: dict[str, np.ndarray] = {}
    for each in chosen:
        largest = np.abs(kernels[each.kernel]).max(axis=1)
        weights[each.activation] = np.maximum(weights.get(each.activation, _TINY), largest)
    found = {}
    for name, weight in weights.items():
        largest = np.maximum(np.maximum(-ranges[name].low, ranges[name].high), _TINY)
        scale = largest**much / weight ** (1 - much)
        found[name] = (scale / np.exp(np.log(scale).mean())).astype(np.float32)
    return found


def _steps(of: Range, divisors: np.ndarray) -> tuple[np.float32, np.uint8]:
    """Step and zero point of an activation."""
    low = min(float((of.low / divisors).min()), 0.0)
    high = max(float((of.high / divisors).max()), 0.0)
    step = max(high - low, _TINY) / _STEPS
    return np.float32(step), np.uint8(np.clip(round(-low / step), 0, _STEPS))


def _weights(kernel: np.ndarray, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel as int8 and the scale of each output channel."""
    sizes = np.maximum(np.abs(kernel).max(axis=0), 1e-12) / largest
    return np.round(kernel / sizes).astype(np.int8), sizes.astype(np.float32)


@functools.cache
def eight_bits_add_up() -> bool:
    """Whether this processor's products of 8-bit numbers are exact, by ONNX Runtime. Those of
    processors of Intel's and AMD's kind without VNNI are not: they stop at what 16 bits hold.
    """
    given = {"left": np.full((1, 64), 255, np.uint8)}
    found = session_of(largest_product().SerializeToString()).run(None, given)[0]
    return bool((found == 255 * 127 * 64).all())


def largest_product() -> onnx.ModelProto:
    """A program that multiplies uint8 [1, 64] with 16 columns of 127."""
    graph = Graph()
    left = graph.input("left", "uint8", 1, 64)
    product = graph.op("MatMulInteger", left, np.full((64, 16), 127, np.int8)).cast("float32")
    return graph.model({"product": (product, (1, 16))})
