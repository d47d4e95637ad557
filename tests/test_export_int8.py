"""int8 ONNX = the integer reference, in the runtimes, with every convolution in integers that should be."""

import copy
from collections import Counter
from typing import get_args

import pytest
import torch
from helpers.networks import picture, randomise
from helpers.onnx_files import decibel, onnx, properties, run, session

from aethernet import AetherNet, aether_custom
from aethernet.errors import StageError, UsageError
from aethernet.export.onnx import export_onnx
from aethernet.export.qdq import TARGETS, TargetName
from aethernet.quantization.fake import RoundedConv2d
from aethernet.quantization.ranges import set_ranges

GATED = {"width": 16, "depths": [1, 1], "kernel_size": 5}
PLAIN = {"width": 16, "depths": [2], "kernel_size": 3, "block": "plain", "norm_type": "none", "tail": "direct"}
ATTENTION = {**GATED, "channel_attention": True, "spatial_attention": True}
SIZES = [(1, 1, 1), (2, 7, 5), (1, 16, 24), (3, 2, 33), (1, 40, 31)]


def prepared(fields: dict, quantization="ort", scale: int = 4) -> AetherNet:
    torch.manual_seed(0)
    network = randomise(aether_custom(scale, **fields)).eval().prepare_qat(quantization)
    set_ranges(network, [picture(2, network.config.in_channels, 24, 20)])
    return network


CASES = {
    "plain": ({**PLAIN, "in_channels": 1}, "ort"),
    "plain, float at the end": (PLAIN, {"last": "float"}),
    "gated": (GATED, "ort"),
    "gated, float sums": (GATED, "quality"),
    "attention, float gate": (ATTENTION, "openvino"),
    "attention, float depthwise": ({**ATTENTION, "depths": [1]}, {"depthwise": "float"}),
}


SLOW = {"plain, float at the end", "gated, float sums", "attention, float gate", "attention, float depthwise"}


@pytest.mark.parametrize("case", [pytest.param(case, marks=pytest.mark.slow if case in SLOW else ()) for case in CASES])
def test_onnx_runtime_equals_the_reference(tmp_path, case):
    """70 dB leaves room for a number that lies half-way between two levels; all the others are the same integers. Float
    parts in the middle differ by roundings of 1e-7, which makes for more of those."""
    fields, quantization = CASES[case]
    bound = 50 if "float depthwise" in case else 70
    network = prepared(fields, quantization)
    integers = network.convert_to_quantized()
    path = export_onnx(integers, 4, "int8", tmp_path / "net.onnx")
    runner = session(path, tmp_path / "optimized.onnx")
    for count, height, width in SIZES:
        x = picture(count, network.config.in_channels, height, width)
        with torch.no_grad():
            assert decibel(runner.run(None, {"input": x.numpy()})[0], integers(x).numpy()) >= bound
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    # ONNX Runtime rounds the weights of a float convolution between two grids by itself, and runs it in integers too.
    assert kinds["QLinearConv"] == sum(isinstance(module, RoundedConv2d) for module in network.modules())


@pytest.mark.parametrize(
    ("target", "opset"),
    [
        ("tensorrt", 21),
        pytest.param("ort", 17, marks=pytest.mark.slow),
        pytest.param("openvino", 18, marks=pytest.mark.slow),
        pytest.param("tensorrt", 22, marks=pytest.mark.slow),
    ],
)
def test_targets_and_operator_sets_hold_the_same_function(tmp_path, target, opset):
    integers = prepared(PLAIN).convert_to_quantized()
    path = export_onnx(integers, 4, "int8", tmp_path / "net.onnx", opset=opset, target=target)
    model = onnx.load(path)
    assert [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")] == [opset]
    weights = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    inputs = {node.name: node.input for node in model.graph.node if node.op_type == "QuantizeLinear"}
    wanted = onnx.TensorProto.UINT8 if TARGETS[target].zero_point else onnx.TensorProto.INT8
    assert {weights[names[2]] for names in inputs.values()} == {wanted}
    assert sum(kind == onnx.TensorProto.INT8 for kind in weights.values()) >= 5
    x = picture(1, 3, 17, 20)
    assert decibel(run(path, x.numpy()), integers(x).numpy()) >= 70


@pytest.mark.slow
def test_int8_files_are_small_and_tell_nothing_of_the_machine(tmp_path):
    fields = {**PLAIN, "width": 64, "depths": [1]}
    integers = prepared(fields).convert_to_quantized()
    paths = [
        export_onnx(net, 4, precision, tmp_path / f"{precision}.onnx")
        for net, precision in ((integers, "int8"), (randomise(aether_custom(4, **fields)), "fp32"))
    ]
    assert paths[0].stat().st_size <= 0.3 * paths[1].stat().st_size
    assert not any(b"/archs/" in path.read_bytes() for path in paths)


@pytest.mark.parametrize("fields", [pytest.param(ATTENTION, marks=pytest.mark.slow), PLAIN], ids=["attention", "plain"])
def test_openvino_equals_the_reference(tmp_path, fields):
    openvino = pytest.importorskip("openvino", reason="OpenVINO is an extra")
    integers = prepared(fields, "openvino").convert_to_quantized()
    path = export_onnx(integers, 4, "int8", tmp_path / "net.onnx", target="openvino")
    compiled = openvino.Core().compile_model(
        path, "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    )
    for count, height, width in SIZES:
        x = picture(count, 3, height, width)
        assert decibel(compiled(x.numpy())[0], integers(x).numpy()) >= 50


def test_the_targets_are_those_of_their_type():
    assert tuple(TARGETS) == get_args(TargetName)


def test_the_file_says_what_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = prepared({**PLAIN, "depths": [1]})
    path = export_onnx(network.convert_to_quantized(), precision="int8", target="tensorrt")
    assert path.name == "aether_custom_x4_int8_tensorrt.onnx"
    told = properties(path)
    assert (told["stage"], told["precision"], told["target"]) == ("int8", "int8", "tensorrt")


def test_the_wrong_stage_says_what_to_do(tmp_path):
    network = prepared(PLAIN)
    for model in (network, copy.deepcopy(network), aether_custom(4, **PLAIN)):
        with pytest.raises(
            StageError, match=r"call prepare_qat\(\), .* then export what convert_to_quantized\(\) returns"
        ):
            export_onnx(model, 4, "int8", tmp_path / "net.onnx")
    for model in (network, network.convert_to_quantized()):
        with pytest.raises(StageError, match="from before prepare_qat"):
            export_onnx(model, 4, "fp32", tmp_path / "net.onnx")
    with pytest.raises(UsageError, match="target must be one of ort, openvino, tensorrt, not 'coreml'"):
        export_onnx(network.convert_to_quantized(), 4, "int8", tmp_path / "net.onnx", target="coreml")
    with pytest.raises(UsageError, match="opset must be at least 17, not 11"):
        export_onnx(network.convert_to_quantized(), 4, "int8", tmp_path / "net.onnx", opset=11)
    assert not list(tmp_path.iterdir())
