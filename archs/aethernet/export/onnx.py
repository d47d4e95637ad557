"""ONNX files: the fused graph with dynamic N, H and W, in float32 or with float16 inside."""

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from aethernet.errors import ConfigError, EnvironmentProblem
from aethernet.files import atomic_path
from aethernet.network import AetherNet
from aethernet.version import __version__

PRECISIONS = ("fp32", "fp16")
OPSET = 18
INPUT_NAME, OUTPUT_NAME = "input", "output"
DYNAMIC_SHAPE = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
"""N, H and W of an (N, C, H, W) input are free."""


class HalfInside(nn.Module):
    """Computes in float16 behind a float32 input and output, so that callers feed both precisions alike."""

    def __init__(self, network: AetherNet) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.half()).float()


def export_onnx(
    model: AetherNet, scale: int = 4, precision: str = "fp32", path: str | Path | None = None, opset: int = OPSET
) -> Path:
    """Writes the fused network as ONNX: `input` (N, C, H, W) in [0, 1], RGB -> `output` (N, C, scale H, scale W).

    Args:
        model: a network of any float stage; it is copied and fused, and itself left as it is.
        scale: the model's scale, as a check.
        precision: `fp32`, or `fp16` (float16 inside, float32 input and output).
        path: the file to write, by default `aether_VARIANT_xSCALE_PRECISION.onnx` in the current folder.
        opset: ONNX operator set.

    Returns:
        The path of the file, which `onnx.checker` has accepted.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    if scale != model.config.scale:
        raise ConfigError(f"the model is {model.config.title}, but scale={scale} was given: pass its own scale")
    try:
        import onnx
        import onnxscript  # noqa: F401  (torch's exporter is built on it)
    except ImportError as error:
        raise EnvironmentProblem(f"ONNX export needs {error.name}: `pip install onnx onnxscript`") from error
    path = Path(path or f"aether_{model.config.variant}_x{scale}_{precision}.onnx")
    network = copy.deepcopy(model).cpu().float().eval().fuse_model()
    config = network.config
    exported = HalfInside(network) if precision == "fp16" else network
    with quiet_exporter():
        program = torch.onnx.export(
            exported,
            (torch.rand(2, config.in_channels, 16, 24),),
            dynamo=True,
            opset_version=opset,
            dynamic_shapes=(DYNAMIC_SHAPE,),
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            verbose=False,
        )
    assert program is not None  # as always with dynamo
    proto = program.model_proto
    metadata = {
        "aethernet_version": __version__,
        "config": bytes(config.to_tensor().tolist()).decode(),
        "variant": config.variant,
        "scale": str(scale),
        "precision": precision,
        "color_order": "RGB" if config.in_channels == 3 else "grey",
        "value_range": "0..1",
        "tile_radius": "whole picture" if network.receptive_radius is None else str(network.receptive_radius),
    }
    onnx.helper.set_model_props(proto, metadata)
    onnx.checker.check_model(proto, full_check=True)
    with atomic_path(path) as temporary:
        onnx.save(proto, temporary)
    return path


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silences torch's exporter: its progress, and warnings about deprecations of its own."""
    exporter_log = logging.getLogger("torch.onnx")
    level = exporter_log.level
    exporter_log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter_log.setLevel(level)
