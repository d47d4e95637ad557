"""Any model as an ONNX file, for the runtimes that read such."""

import copy
import hashlib
from pathlib import Path

import torch
from torch import nn

from aethernet.errors import ExportError, one_line
from aethernet.export.form import Form
from aethernet.export.onnx import Precision, export_onnx, quiet_exporter, require_exporter
from aethernet.files import atomic_path
from aethernet.network.network import AetherNet
from aethernet.runtimes.models import Model

OPSET = 18


def onnx_file(model: Model, folder: Path, example: torch.Tensor | None = None) -> Path:
    """The ONNX file of a model: its own, or one in `folder`, written there once. Networks keep their precision.

    Args:
        example: (1, C, H, W), the size that a network of others is traced with, and the only one where its code allows no
            other.

    Raises:
        ExportError: a network that cannot be exported.
        EnvironmentProblem: as `require_exporter`.
    """
    if model.onnx is not None:
        return model.onnx
    assert model.network is not None
    path = folder / file_name(model)
    if path.is_file():
        return path
    if isinstance(model.network, AetherNet):
        precision: Precision = "int8" if model.network.config.stage == "int8" else "fp32"
        return export_onnx(model.network, model.scale, precision, path)
    if example is None:
        example = torch.zeros(1, model.in_channels, 64, 64)
    with atomic_path(path) as temporary:
        export_peer(copy.deepcopy(model.network), example, temporary)
    return path


def file_name(model: Model) -> str:
    """Of the ONNX file that is written of a network."""
    return f"{hashlib.sha256(model.spec.encode()).hexdigest()[:16]}.onnx"


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
    raise ExportError(f"{type(network).__name__} cannot be exported to ONNX: {one_line(failure)}")
