"""What an ONNX file costs on paper, counted in its graph."""

from pathlib import Path

import numpy as np

from aethernet.bench.complexity import Complexity
from aethernet.optional import optional_package

CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "ConvTranspose": 1, "QLinearConv": 3}
"""Operators that count as convolutions, and which of their inputs is the weight."""


def onnx_complexity(path: Path, height: int, width: int) -> Complexity:
    """Counts for one picture of (height, width), from the graph; operations of unknown shape make None.

    Weights are the graph's stored floats and 8-bit integers, so quantisation scales are counted with them.
    """
    onnx = optional_package("onnx", "counting the operations of an ONNX file")
    model = onnx.load(str(path))
    graph = model.graph
    weights = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    sizes = graph.input[0].type.tensor_type.shape.dim
    last = any((entry.key, entry.value) == ("layout", "NHWC") for entry in model.metadata_props)
    lengths = (1, height, width, sizes[3].dim_value) if last else (1, sizes[1].dim_value, height, width)
    for dimension, length in zip(sizes, lengths, strict=True):
        dimension.ClearField("dim_param")
        dimension.dim_value = length
    del graph.value_info[:]  # they may carry symbolic sizes, which inference would keep
    graph.output[0].type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        info.name: [dimension.dim_value for dimension in info.type.tensor_type.shape.dim]
        for info in (*graph.value_info, *graph.input, *graph.output)
    }
    # A stored int8 weight reaches its convolution through a DequantizeLinear, so its shape is that of the result.
    macs, activations = _count_convolutions(graph.node, shapes, weights)
    counted = {onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    parameters = sum(int(np.prod(tensor.dims)) for tensor in graph.initializer if tensor.data_type in counted)
    return Complexity(parameters, macs, activations, receptive_radius=None)


def _count_convolutions(nodes, shapes: dict, weights: dict) -> tuple[int | None, int | None]:
    macs = activations = 0
    for node in nodes:
        if node.op_type not in CONVOLUTIONS:
            if node.op_type in ("MatMul", "Gemm"):
                return None, None  # attention: count the network in PyTorch
            continue
        weight_name = node.input[CONVOLUTIONS[node.op_type]]
        weight = weights.get(weight_name) or shapes.get(weight_name)
        source, out = shapes.get(node.input[0]), shapes.get(node.output[0])
        if not weight or not source or not out or not all((*weight, *source, *out)):
            return None, None
        positions = source if node.op_type == "ConvTranspose" else out
        macs += int(np.prod(weight)) * positions[0] * positions[2] * positions[3]
        activations += int(np.prod(out))
    return macs, activations
