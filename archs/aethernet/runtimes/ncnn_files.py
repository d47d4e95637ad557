"""Networks of ours as ncnn files, for the runtime that reads such."""

from pathlib import Path

from aethernet.errors import ExportError
from aethernet.export.ncnn import export_ncnn
from aethernet.network.network import AetherNet
from aethernet.runtimes.models import Model
from aethernet.runtimes.onnx_files import file_name


def ncnn_file(model: Model, folder: Path) -> Path:
    """The `.param` of a model: its own, or one in `folder`, written there once, in fp32.

    Raises:
        ExportError: an ONNX file, or a network of others. StageError: a network on int8 grids.
        MissingDependencyError: pnnx is not installed.
    """
    if model.ncnn is not None:
        return model.ncnn
    if not isinstance(model.network, AetherNet):
        raise ExportError(f"{model.label} is no ncnn file, and only networks of ours are made into one")
    path = (folder / file_name(model)).with_suffix(".param")
    if not path.is_file():
        export_ncnn(model.network, path, half=False)
    return path
