"""An ONNX graph written as arithmetic on values, node after node."""

import itertools
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_TABLE = 1024  # numbers; what has fewer costs no room
OPSET = 20  # the first with Gelu; LayerNormalization came with 17


class Value:
    """What a node of the graph yields. Numbers and NumPy arrays beside it become constants."""

    # Else NumPy would take `array * value` apart.
    __array_ufunc__ = None

    def __init__(self, graph: "Graph", name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Any) -> "Value":
        return self.graph.op("Add", self, other)

    def __radd__(self, other: Any) -> "Value":
        return self.graph.op("Add", other, self)

    def __sub__(self, other: Any) -> "Value":
        return self.graph.op("Sub", self, other)

    def __rsub__(self, other: Any) -> "Value":
        return self.graph.op("Sub", other, self)

    def __mul__(self, other: Any) -> "Value":
        return self.graph.op("Mul", self, other)

    def __rmul__(self, other: Any) -> "Value":
        return self.graph.op("Mul", other, self)

    def __truediv__(self, other: Any) -> "Value":
        return self.graph.op("Div", self, other)

    def __matmul__(self, other: Any) -> "Value":
        return self.graph.op("MatMul", self, other)

    def reshape(self, *sizes: Any) -> "Value":
        """Of other sizes: numbers (0 as it was at that index, -1 what is left) and `Value`s [1]."""
        return self.graph.op("Reshape", self, self.graph.sizes(*sizes))

    def transpose(self, *order: int) -> "Value":
        """With its axes in another order."""
        return self.graph.op("Transpose", self, perm=order)

    def size(self, axis: int) -> "Value":
        """int64 [1]: how long an axis is."""
        return self.graph.op("Shape", self, start=axis, end=axis + 1)

    def expand(self, axis: int) -> "Value":
        """With a new axis of size 1."""
        return self.graph.op("Unsqueeze", self, np.array([axis], np.int64))

    def cast(self, dtype: str) -> "Value":
        """As numbers of another type."""
        return self.graph.op("Cast", self, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def cut(self, axis: int, start: Any, stop: Any) -> "Value":
        """The part from `start` to `stop` of an axis; these are numbers or `Value`s [1]."""
        ends = (self.graph.sizes(start), self.graph.sizes(stop))
        return self.graph.op("Slice", self, *ends, np.array([axis], np.int64))

    def take(self, indices: Any, axis: int = 0) -> "Value":
        """The entries at `indices` of an axis."""
        return self.graph.op("Gather", self, indices, axis=axis)

    def where(self, chosen: Any, otherwise: Any) -> "Value":
        """`chosen` where this is true, else `otherwise`."""
        return self.graph.op("Where", self, chosen, otherwise)


EXACT = "exact_"
"""Begins the names of nodes that stay float32 when a program is quantized."""


class Graph:
    """Collects nodes and constants. Numbers given to nodes become float32, arrays keep their
    type.

    Attributes:
      exact: whether the nodes that are added now stay float32 when the program is quantized: those
        that cost next to nothing.
    """

    def __init__(self) -> None:
        self.exact = False
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._known: dict[Any, Value] = {}
        self._inputs: list[Any] = []
        self._numbers = itertools.count()

    def input(self, name: str, dtype: str, *axes: str | int) -> Value:
        """What the program is given; its axes' names, or sizes."""
        self._inputs.append(
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), axes
            )
        )
        return Value(self, name)

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> Value:
        """A node with one output. An input that is None is left out."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, outputs: int, *inputs: Any, **attributes: Any) -> tuple[Value, ...]:
        """A node with several outputs."""
        given = ["" if each is None else self.constant(each).name for each in inputs]
        while given and not given[-1]:  # ONNX Runtime 1.32 crashes on a name that is empty there
            given.pop()
        mark = EXACT if self.exact else ""
        names = [f"{mark}{kind.lower()}_{next(self._numbers)}" for _ in range(outputs)]
        self._nodes.append(helper.make_node(kind, given, names, name=names[0], **attributes))
        return tuple(Value(self, name) for name in names)

    def constant(self, value: Any) -> Value:
        """A constant, each once; a `Value` is itself."""
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        if not isinstance(value, (np.ndarray, np.generic)):
            array = array.astype(np.float32)
        # The same array twice, such as a table that layers share, is stored once.
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            name = f"constant_{next(self._numbers)}"
            self._constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
            self._known[key] = Value(self, name)
        return self._known[key]

    def sizes(self, *sizes: Any) -> Value:
        """int64 [n] of numbers and `Value`s [1]."""
        if all(isinstance(size, int) for size in sizes):
            return self.constant(np.array(sizes, np.int64))
        if len(sizes) == 1:
            return self.constant(sizes[0])
        parts = [s if isinstance(s, Value) else np.array([s], np.int64) for s in sizes]
        return self.op("Concat", *parts, axis=0)

    def columns(self, length: Value) -> Value:
        """int64 [length]: 0, 1, ... of a `Value` [1]."""
        whole = self.op("Squeeze", length)
        return self.op("Range", np.int64(0), whole, np.int64(1))

    def _halve(self) -> None:
        """See `model`."""
        for index, constant in enumerate(self._constants):
            array = numpy_helper.to_array(constant)
            if array.dtype != np.float32 or array.size < _TABLE:
                continue
            with np.errstate(over="ignore"):
                half = array.astype(np.float16)
            if not np.array_equal(half.astype(np.float32), array):
                continue
            name = f"half_{constant.name}"
            self._constants[index] = numpy_helper.from_array(half, name)
            cast = helper.make_node("Cast", [name], [constant.name], to=TensorProto.FLOAT)
            self._nodes.insert(0, cast)

    def model(
        self, outputs: dict[str, tuple[Value, tuple[str | int, ...]]], *, halves: bool = False
    ) -> onnx.ModelProto:
        """The whole program, checked.

        Args:
          outputs: by name, float32 values and the names or sizes of their axes.
          halves: tables of float32 whose numbers are all float16's are stored as such, in half the
            room. What is computed is the same.
        """
        if halves:
            self._halve()
        for name, (value, _) in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value.name], [name], name=name))
        graph = helper.make_graph(
            self._nodes,
            "eacl_jax",
            self._inputs,
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, axes)
                for name, (_, axes) in outputs.items()
            ],
            initializer=self._constants,
        )
        made = helper.make_model(
            graph,
            producer_name="eacl_jax",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=9,
        )
        onnx.checker.check_model(made, full_check=True)
        return made
