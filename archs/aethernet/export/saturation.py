"""Is an int8 file right on every x86 CPU? Read from the numbers in it, so that no such CPU is needed.

x86 without VNNI (AMD before Zen 4, Intel before Cascade Lake and Ice Lake) multiplies unsigned activations with signed
weights by `pmaddubsw`, which adds two neighbouring products in int16 and stops at its ends: 2 x 255 x 127 = 64770 becomes
32767. ONNX Runtime and OpenVINO do so in dense and grouped convolutions and in matrix products; signed activations are
shifted to unsigned ones first. Which two products are neighbours is the runtime's choice, so any two of one output count
here. Depthwise convolutions, and unsigned weights, are summed in int32 (tests/test_int8_cpus.py shows all of it).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aethernet.errors import CheckpointError, one_line
from aethernet.optional import optional_package
from aethernet.wording import how_many

if TYPE_CHECKING:
    import onnx

LARGEST_ACTIVATION = 255
"""Of an unsigned byte."""
INT16 = np.iinfo(np.int16)
FLOAT_OPERATORS = ("Conv", "Gemm", "MatMul")
"""They become integer kernels behind a DequantizeLinear; the second input is the weight."""
INTEGER_OPERATORS = {
    "ConvInteger": 1, "MatMulInteger": 1, "QLinearConv": 3, "QLinearMatMul": 3,
    # ONNX Runtime's own, which its tools and its optimised files hold
    "DynamicQuantizeMatMul": 1, "MatMulIntegerToFloat": 1, "QAttention": 1, "QGemm": 3,
}  # fmt: skip
"""Which input is the weight."""
LARGEST_LEVEL = 127
"""The level of the largest weight, where a file leaves its rounding to the runtime."""


@dataclass(frozen=True)
class Saturation:
    """The two products in an int8 file whose sum comes nearest to the ends of int16, or lies beyond.

    Attributes:
        node: the convolution (or matrix product) that holds them; empty for a file without such integer kernels.
        extreme: their sum.
        nodes: how many there are that add products in pairs, and `saturating` those that can leave int16.
    """

    node: str
    extreme: int
    nodes: int
    saturating: int

    @property
    def possible(self) -> bool:
        """Whether a CPU without VNNI can compute wrong numbers from this file."""
        return self.saturating > 0

    def sentence(self) -> str:
        """The verdict in words."""
        if not self.nodes:
            return "right on every x86 CPU: nothing adds products of int8 in pairs"
        end = INT16.max if self.extreme > 0 else INT16.min
        if not self.possible:
            return f"right on every x86 CPU: two products reach {self.extreme} at most, int16 ends at {end}"
        return (
            f"right only with VNNI: two products can leave int16 in {self.saturating} of {how_many(self.nodes, 'convolution')}, in "
            f"{self.node} they reach {self.extreme} (int16 ends at {end})"
        )


def on_every_x86(path: str | Path) -> str:
    """The verdict on an int8 file in words; empty for one that computes in float throughout."""
    found = saturation(path)
    return found.sentence() if found.nodes else ""


def saturation(path: str | Path) -> Saturation:
    """Reads an int8 ONNX file of ours or of anyone, in QDQ or operator form; a float file has nothing that saturates.

    Raises:
        CheckpointError: no ONNX file, or quantised weights that are no constants.
        MissingDependencyError: the package onnx is not installed.
    """
    onnx = optional_package("onnx", "reading an ONNX file")
    if not Path(path).is_file():
        raise CheckpointError(f"{path} is not a file: give an .onnx file that exists")
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's errors have no common base
        raise CheckpointError(f"{path} is not an ONNX file: {one_line(error)}") from error
    if not model.graph.node:
        raise CheckpointError(f"{path} holds no graph: the file is empty or cut off")
    found = [(node, extreme_pair(levels)) for node, levels in _Graph(model.graph, str(path)).paired_weights()]
    if not found:
        return Saturation("", 0, 0, 0)
    node, extreme = max(found, key=lambda each: _excess(each[1]))
    return Saturation(node, extreme, len(found), sum(_excess(each) > 0 for _, each in found))


def extreme_pair(levels: np.ndarray) -> int:
    """The sum of two products that lies nearest to an end of int16, or beyond, from the (O, K) weights of all outputs."""
    # Activations of 0 take part as well: with one weight, or weights of one sign, a sum is 0 at the other end.
    padded = np.sort(np.pad(levels.astype(np.int64), ((0, 0), (0, 2))), axis=1)
    low, high = padded[:, :2].sum(axis=1).min(), padded[:, -2:].sum(axis=1).max()
    return max(int(low) * LARGEST_ACTIVATION, int(high) * LARGEST_ACTIVATION, key=_excess)


def _excess(total: int) -> int:
    """How far a sum lies beyond int16; negative within."""
    return max(total - int(INT16.max), int(INT16.min) - total)


class _Graph:
    """A graph with its constants and the makers of its tensors, by name."""

    def __init__(self, graph: "onnx.GraphProto", title: str) -> None:
        from onnx import numpy_helper

        graphs = list(_with_subgraphs(graph))
        self.nodes, self.title = [node for each in graphs for node in each.node], title
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for each in graphs for tensor in each.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        self.makers = {name: node for node in self.nodes for name in node.output}
        self.rounded = {node.input[0] for node in self.nodes if node.op_type == "QuantizeLinear"}

    def paired_weights(self) -> Iterator[tuple[str, np.ndarray]]:
        """The name and the (O, K) int8 weights of every node whose products are added in pairs."""
        for node in self.nodes:
            weight = self.int8_weight(node)
            if weight is None or weight.dtype != np.int8:
                continue
            is_conv = "Conv" in node.op_type
            if is_conv and weight.shape[:2] == (_attribute(node, "group", 1), 1) != (1, 1):
                continue  # depthwise
            levels = weight if is_conv or _attribute(node, "transB", 0) else np.moveaxis(weight, -1, 0)
            yield node.name or node.output[0], levels.reshape(len(levels), -1)

    def int8_weight(self, node: "onnx.NodeProto") -> np.ndarray | None:
        """The integers that a node multiplies with; None where it computes in float."""
        if node.op_type in INTEGER_OPERATORS:
            return self.constant(node, INTEGER_OPERATORS[node.op_type])
        if node.op_type not in FLOAT_OPERATORS or self.maker(node.input[0]) != "DequantizeLinear":
            return None
        if self.maker(node.input[1]) == "DequantizeLinear":
            dequantizer = self.makers[node.input[1]]
            if self.maker(dequantizer.input[0]) != "QuantizeLinear":
                return self.constant(dequantizer, 0)
            return self.quantized(self.makers[dequantizer.input[0]])
        if node.input[1] in self.constants and node.output[0] in self.rounded:
            # ONNX Runtime rounds a float weight between two grids by itself.
            weight = self.constants[node.input[1]]
            return np.rint(weight / (np.abs(weight).max() or 1.0) * LARGEST_LEVEL).astype(np.int8)
        return None

    def quantized(self, node: "onnx.NodeProto") -> np.ndarray:
        """What a QuantizeLinear of a constant makes."""
        values, scale = self.constant(node, 0), self.constant(node, 1)
        zero_point = self.constant(node, 2) if len(node.input) > 2 else np.zeros((), np.uint8)
        shape = [1] * values.ndim
        if scale.size > 1:
            shape[_attribute(node, "axis", 1)] = scale.size
        levels = np.rint(values / scale.reshape(shape)) + zero_point.reshape(shape)
        info = np.iinfo(zero_point.dtype)
        return np.clip(levels, info.min, info.max).astype(zero_point.dtype)

    def constant(self, node: "onnx.NodeProto", place: int) -> np.ndarray:
        name = node.input[place]
        if name not in self.constants:
            title = node.name or node.op_type
            raise CheckpointError(
                f"{self.title}: {name!r}, the weight of {title}, is no constant: nothing can be said of it"
            )
        return self.constants[name]

    def maker(self, name: str) -> str:
        """The operator that makes a tensor; empty for inputs and constants."""
        return self.makers[name].op_type if name in self.makers else ""


def _with_subgraphs(graph: "onnx.GraphProto") -> "Iterator[onnx.GraphProto]":
    """The graph and those in its branches and loops."""
    yield graph
    for node in graph.node:
        for entry in node.attribute:
            for inner in (*([entry.g] if entry.HasField("g") else []), *entry.graphs):
                yield from _with_subgraphs(inner)


def _attribute(node: "onnx.NodeProto", name: str, default: int) -> int:
    return next((entry.i for entry in node.attribute if entry.name == name), default)
