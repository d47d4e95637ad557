"""Operator set 17, for runtimes of 2022 and 2023: what torch's exporter writes at 18, its least, one step down.

The converter that the exporter falls back to knows no way down for the reductions of the attention, and then leaves the
file at 18 without a word.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

EXPORTED, LOWERED = 18, 17
REDUCTIONS = ("ReduceMax", "ReduceMean")
NEW_ATTRIBUTES = {
    "ReduceMax": ("noop_with_empty_axes",),
    "ReduceMean": ("noop_with_empty_axes",),
    "Resize": ("antialias", "axes", "keep_aspect_ratio_policy"),
}
"""What 18 added, unused here. No other operator of ours changed between the two."""


def lower(proto: "onnx.ModelProto") -> None:
    """Turns a graph of operator set 18 into one of 17, in place."""
    import onnx

    graph = proto.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        for attribute in list(node.attribute):
            if attribute.name in NEW_ATTRIBUTES.get(node.op_type, ()):
                node.attribute.remove(attribute)
        if node.op_type in REDUCTIONS:  # the axes were an attribute, and are an input since
            axes = onnx.numpy_helper.to_array(constants[node.input.pop()])
            node.attribute.append(onnx.helper.make_attribute("axes", axes.tolist()))
    used = {name for node in graph.node for name in node.input}
    for name, tensor in constants.items():
        if name not in used:
            graph.initializer.remove(tensor)
    for entry in proto.opset_import:
        entry.version = LOWERED
