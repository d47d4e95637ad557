"""Networks that are not ours, as ONNX files to be timed."""

from pathlib import Path

import torch
from torch import nn

from aethernet.errors import ExportError
from aethernet.export.form import Form
from aethernet.export.onnx import quiet_exporter, require_exporter

OPSET = 18


def export_peer(network: nn.Module, example: torch.Tensor, path: Path) -> bool:
    """Writes any network as float32 ONNX, with dynamic N, H and W where its code allows that.

    Returns:
        True for a file with dynamic sizes, False for one that takes the example's size only.
    """
    require_exporter()
    two = torch.cat([example, example])  # an example of batch 1 would fix the batch
    with quiet_exporter():
        for inputs, shapes in ((two, Form().dynamic_shapes()), (example, None)):
            try:
                program = torch.onnx.export(
                    network, (inputs,), dynamo=True, opset_version=OPSET, dynamic_shapes=shapes, verbose=False
                )
            except torch.onnx.OnnxExporterError as error:
                failure = error
                continue
            assert program is not None  # as always with dynamo
            program.save(path)
            return shapes is not None
    raise ExportError(f"{type(network).__name__} cannot be exported to ONNX: {str(failure).splitlines()[0]}")
