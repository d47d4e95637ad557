"""ONNX = torch, at any size, with the plain operators only."""

import numpy as np
import pytest
import torch
from helpers.networks import picture, randomise

from aethernet import aether_custom, aether_medium, aether_tiny
from aethernet.errors import UsageError
from aethernet.export.onnx import export_onnx

onnx = pytest.importorskip("onnx", reason="ONNX export is an extra")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX export is an extra")

PLAIN = {"Add", "Concat", "Conv", "DepthToSpace", "LeakyRelu", "Mul", "Sigmoid", "Sub"}
SIZES = [(1, 1, 1), (2, 7, 5), (1, 16, 24), (1, 33, 20), (3, 2, 64)]


def run(path, x: torch.Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x.numpy()})[0]


@pytest.mark.parametrize(
    ("network", "extra_operators"),
    [
        (aether_tiny(4, skip="none"), set()),
        (aether_tiny(3, skip="nearest"), set()),
        (aether_tiny(2, skip="bilinear", in_channels=1), set()),
        (aether_custom(2, width=8, depths=[1], channel_attention=True, spatial_attention=True),
         {"ReduceMean", "ReduceMax"}),
        pytest.param(aether_medium(1, stage="fused"), {"ReduceMean", "ReduceMax"}, marks=pytest.mark.slow),
    ],
    ids=lambda value: value.config.title if hasattr(value, "config") else "",
)  # fmt: skip
def test_fp32_equals_torch_at_every_size(tmp_path, network, extra_operators):
    network = randomise(network).eval()
    stage = network.config.stage
    path = export_onnx(network, network.config.scale, "fp32", tmp_path / "net.onnx")
    assert network.config.stage == stage, "export must leave the model as it is"
    model = onnx.load(path)
    skip_operator = set() if network.config.skip == "none" else {"Resize"}
    assert {node.op_type for node in model.graph.node} <= PLAIN | extra_operators | skip_operator
    for count, height, width in SIZES:
        x = picture(count, network.config.in_channels, height, width)
        with torch.no_grad():
            expected = network(x).numpy()
        # Runtimes order sums differently: roundings of 6e-8 through the depth of the network.
        assert np.abs(run(path, x) - expected).max() <= 1e-5


def test_fp16_keeps_float32_at_the_border(tmp_path):
    network = randomise(aether_tiny(4)).eval()
    path = export_onnx(network, 4, "fp16", tmp_path / "net.onnx")
    x = picture(1, 3, 24, 17)
    with torch.no_grad():
        error = run(path, x) - network(x).numpy()
    assert error.dtype == np.float32
    assert -10 * np.log10(np.mean(error**2)) >= 60  # dB; what users are promised
    initializers = onnx.load(path).graph.initializer
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in initializers)


def test_the_file_says_what_it_is(tmp_path):
    path = export_onnx(aether_tiny(4), path=tmp_path / "net.onnx")
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert (properties["variant"], properties["scale"], properties["color_order"]) == ("tiny", "4", "RGB")
    assert int(properties["tile_radius"]) == aether_tiny(4).receptive_radius


def test_the_default_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_onnx(aether_tiny(2), scale=2).name == "aether_tiny_x2_fp32.onnx"


def test_wrong_arguments(tmp_path):
    with pytest.raises(UsageError, match="precision must be one of fp32, fp16, int8, not 'int4'"):
        export_onnx(aether_tiny(4), precision="int4")
    with pytest.raises(UsageError, match=r"aether_tiny x2.*but scale=4"):
        export_onnx(aether_tiny(2), scale=4, path=tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
