"""ncnn files compute what PyTorch computes, at any size, with the blobs and names that Upscayl and its like expect."""

import importlib.util

import numpy as np
import pytest
import torch
from helpers.networks import randomise

from aethernet import aether_custom, cli
from aethernet.errors import CheckpointError
from aethernet.export.ncnn import export_ncnn, padding_sentence
from aethernet.runtimes.ncnn import NcnnSession

NETWORKS = {
    "plain": {"block": "plain", "norm_type": "none", "tail": "direct"},
    "gated": {"kernel_size": 7},
    "attention": {"channel_attention": True, "spatial_attention": True},
}
needs_ncnn = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("ncnn", "pnnx")), reason="the extra ncnn is not installed"
)


@needs_ncnn
@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_any_size_computes_what_pytorch_computes(kind, tmp_path):
    torch.manual_seed(0)
    network = randomise(aether_custom(2, width=8, depths=[1, 1], **NETWORKS[kind])).eval()
    export_ncnn(network, tmp_path / "aether_x2.param", half=False)
    blobs = (tmp_path / "aether_x2.param").read_text().split()
    assert "data" in blobs and blobs.count("output") == 1 and "in0" not in blobs
    session = NcnnSession(tmp_path / "aether_x2.param", threads=1)
    for height, width in ((31, 45), (16, 16), (9, 60)):
        batch = np.random.default_rng(0).random((2, 3, height, width), dtype=np.float32)
        with torch.no_grad():
            expected = network(torch.from_numpy(batch)).numpy()
        # float32 sums in another order, Winograd's among them
        assert np.abs(session.run(batch) - expected).max() < 1e-4 * max(1.0, np.abs(expected).max())


def test_padding_is_told_by_the_radius():
    assert "sees 8 pixels far: tiles equal" in padding_sentence(8)
    assert "sees 52 pixels far: borders of tiles differ" in padding_sentence(52)
    assert "looks at the whole picture" in padding_sentence(None)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--precision", "int8"], "ncnn files are fp32 or fp16"),
        (["--static", "16x16"], "ncnn files take floats of any size"),
        (["--opset", "18"], "ncnn files take floats of any size"),
    ],
)
def test_what_ncnn_files_cannot_be_is_refused(words, says, tmp_path, capsys):
    data = ["--data", str(tmp_path)] if "int8" in words else []
    command = ["export", "aether_tiny_x4", "--target", "ncnn", *words, *data, "-o", str(tmp_path / "out")]
    assert cli.main(command) == 1
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@needs_ncnn
@pytest.mark.slow
def test_a_graph_without_its_weights_is_refused(tmp_path):
    (tmp_path / "x.param").write_text("7767517\n")
    with pytest.raises(CheckpointError, match=r"x\.bin is not a file"):
        NcnnSession(tmp_path / "x.param")
