"""ONNX = torch, at any size."""

import numpy as np
import pytest
import torch
from helpers.networks import picture, randomise
from helpers.onnx_files import decibel, onnx, properties, run

from aethernet import AetherConfig, aether_custom, aether_medium, aether_tiny
from aethernet.errors import UsageError
from aethernet.export.onnx import export_onnx

SIZES = [(1, 1, 1), (2, 7, 5), (1, 16, 24), (1, 33, 20), (3, 2, 64)]


@pytest.mark.parametrize(
    "network",
    [
        aether_tiny(4, skip="none"),
        aether_tiny(3, skip="nearest"),
        aether_tiny(2, skip="bilinear", in_channels=1),
        aether_custom(2, width=8, depths=[1], channel_attention=True, spatial_attention=True),
        pytest.param(aether_medium(1, stage="fused"), marks=pytest.mark.slow),
    ],
    ids=lambda network: network.config.title,
)
def test_fp32_equals_torch_at_every_size(tmp_path, network):
    network = randomise(network).eval()
    stage = network.config.stage
    path = export_onnx(network, network.config.scale, "fp32", tmp_path / "net.onnx")
    assert network.config.stage == stage, "export must leave the model as it is"
    for count, height, width in SIZES:
        x = picture(count, network.config.in_channels, height, width)
        with torch.no_grad():
            expected = network(x).numpy()
        # Runtimes order sums differently: roundings of 6e-8 through the depth of the network.
        assert np.abs(run(path, x.numpy()) - expected).max() <= 1e-5


def test_fp16_keeps_float32_at_the_border(tmp_path):
    network = randomise(aether_tiny(4)).eval()
    path = export_onnx(network, 4, "fp16", tmp_path / "net.onnx")
    x = picture(1, 3, 24, 17)
    got = run(path, x.numpy())
    assert got.dtype == np.float32
    with torch.no_grad():
        assert decibel(got, network(x).numpy()) >= 60  # what users are promised
    initializers = onnx.load(path).graph.initializer
    assert any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in initializers)


def test_the_file_says_what_it_is(tmp_path):
    path = export_onnx(aether_tiny(4), path=tmp_path / "net.onnx")
    told = properties(path)
    assert (told["variant"], told["scale"], told["color_order"]) == ("tiny", "4", "RGB")
    assert int(told["tile_radius"]) == aether_tiny(4).receptive_radius
    # Public: programs of others read them.
    assert {"aethernet_version", "config", "stage", "precision"} < told.keys()
    config = aether_tiny(4, stage="fused").config
    assert AetherConfig.from_tensor(torch.tensor(list(told["config"].encode()), dtype=torch.uint8)) == config


def test_wrong_arguments(tmp_path):
    with pytest.raises(UsageError, match="precision must be one of fp32, fp16, int8, not 'int4'"):
        export_onnx(aether_tiny(4), precision="int4")
    with pytest.raises(UsageError, match=r"aether_tiny x2.*but scale=4"):
        export_onnx(aether_tiny(2), scale=4, path=tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
