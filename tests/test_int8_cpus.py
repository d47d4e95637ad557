"""int8 files on x86 CPUs without VNNI, which QEMU plays: Haswell has AVX2, Nehalem SSE4 only.

With weights on 7 bits every CPU computes the integers of the reference. On 8 bits some do not, and `saturation` tells from
the file alone. Nothing here depends on the CPU that runs the tests.
"""

import numpy as np
import pytest
import torch
from helpers.emulated import needs_qemu, run_on

import aethernet
from aethernet.data.embedded import embedded_pictures
from aethernet.export.onnx import export_onnx
from aethernet.export.saturation import saturation

onnx = pytest.importorskip("onnx", reason="ONNX export is an extra")
pytestmark = needs_qemu

CPUS = ("Haswell", "Nehalem")
ENGINES = {"onnxruntime": ("ort", "tensorrt"), "openvino": ("openvino",)}
EQUAL = {"onnxruntime": 60, "openvino": 50}
"""dB to the reference. ONNX Runtime computes the same integers but for a few numbers half-way between two levels; OpenVINO
rounds in fewer places (on every CPU)."""
WRONG = 46
"""dB, at most, where pairs of products saturate."""
CONVOLUTIONS = {
    # groups, inputs of a group, kernel size, type of the weights, largest weight
    "dense 3x3, 7 bits": (1, 16, 3, np.int8, 63),
    "dense 3x3": (1, 16, 3, np.int8, 127),
    "dense 1x1": (1, 16, 1, np.int8, 127),
    "grouped 3x3": (4, 4, 3, np.int8, 127),
    "depthwise 3x3": (16, 1, 3, np.int8, 127),
    "depthwise 7x7": (16, 1, 7, np.int8, 127),
    "depthwise 11x11": (16, 1, 11, np.int8, 127),
    "dense 3x3, unsigned": (1, 16, 3, np.uint8, 127),
}


@pytest.mark.slow  # half a minute and more for a file to open under emulation
@pytest.mark.parametrize("engine", ENGINES)
def test_the_network_is_right_on_every_cpu_with_weights_on_7_bits(tmp_path, engine):
    pytest.importorskip(engine, reason=f"{engine} is an extra")
    crops = (rgb[80:160, 100:180] for rgb in embedded_pictures("val").values())
    photographs = [torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None] / 255.0 for rgb in crops]
    rough = np.random.default_rng(0).random((1, 3, 16, 16), dtype=np.float32).repeat(3, axis=2).repeat(3, axis=3)
    jobs, expected = {}, {}
    for bits in (7, 8):
        network = aethernet.load_network("aether_tiny_x4", stage="fused")
        aethernet.calibrate(network, photographs, quantization={"weight_bits": bits})
        integers = network.convert_to_quantized()
        with torch.no_grad():
            expected[bits] = integers(torch.from_numpy(rough)).numpy()
        for target in ENGINES[engine]:
            path = export_onnx(integers, 4, "int8", tmp_path / f"{bits}_{target}.onnx", target=target)
            assert saturation(path).possible == (bits == 8)
            jobs[bits, target] = path, rough
    for cpu in CPUS:
        for (bits, target), out in run_on(cpu, engine, jobs, tmp_path).items():
            decibel = -10 * np.log10(np.mean((out - expected[bits]) ** 2) + 1e-12)
            if bits == 7:
                assert decibel >= EQUAL[engine], (cpu, target, decibel)
            elif cpu == "Haswell":
                assert decibel <= WRONG, (cpu, target, decibel)


@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)])
def test_the_verdict_on_each_kind_of_convolution_is_what_the_cpu_does(tmp_path, engine):
    pytest.importorskip(engine, reason=f"{engine} is an extra")
    x = np.random.default_rng(0).integers(64, 192, (1, 16, 12, 12)).astype(np.float32)  # whole levels
    made = {
        name: convolution(tmp_path / f"{number}.onnx", *kind)
        for number, (name, kind) in enumerate(CONVOLUTIONS.items())
    }
    found = run_on("Haswell", engine, {name: (path, x) for name, (path, _) in made.items()}, tmp_path)
    for name, (path, function) in made.items():
        error = np.abs(found[name] - function(x)).max()
        # One level is what a sum half-way between two may be off.
        assert (error > 1.001) == saturation(path).possible == (name in ("dense 3x3", "dense 1x1", "grouped 3x3")), name


def convolution(path, groups, inputs, size, kind, largest):
    """A file of one quantised convolution, levels in and levels out, whose weights have one sign for each output; and the
    same in whole numbers."""
    random = np.random.default_rng(1)
    weight = random.integers(largest // 2, largest + 1, (16, inputs, size, size)) * random.choice(
        [-1, 1], (16, 1, 1, 1)
    )
    zero_point = 128 if kind is np.uint8 else 0
    step = float(np.abs(weight).sum(axis=(1, 2, 3)).max()) / 2  # outputs stay within 128 levels
    constants = {
        "one": np.float32(1), "x_zero": np.uint8(128), "weight": (weight + zero_point).astype(kind),
        "steps": np.ones(16, np.float32), "w_zero": np.full(16, zero_point, kind), "step": np.float32(step),
    }  # fmt: skip
    node = onnx.helper.make_node
    nodes = [
        node("QuantizeLinear", ["x", "one", "x_zero"], ["levels"]),
        node("DequantizeLinear", ["levels", "one", "x_zero"], ["values"]),
        node("DequantizeLinear", ["weight", "steps", "w_zero"], ["kernel"], axis=0),
        node("Conv", ["values", "kernel"], ["sum"], name="conv", group=groups, pads=[size // 2] * 4),
        node("QuantizeLinear", ["sum", "step", "x_zero"], ["rounded"]),
        node("DequantizeLinear", ["rounded", "one", "x_zero"], ["out"]),
    ]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 16, 12, 12]) for name in ("x", "out")
    ]
    graph = onnx.helper.make_graph(
        nodes, "g", values[:1], values[1:], [onnx.numpy_helper.from_array(np.array(v), k) for k, v in constants.items()]
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)

    def function(x):
        levels = torch.from_numpy(np.clip(np.rint(x), -128, 127)).double()
        total = torch.nn.functional.conv2d(levels, torch.from_numpy(weight).double(), padding=size // 2, groups=groups)
        return (total / step).round().clamp(-128, 127).numpy()

    return path, function
