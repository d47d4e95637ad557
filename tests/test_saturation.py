"""No network of ours can saturate int16 on an x86 CPU without VNNI, and the check that says so reads any int8 file."""

import itertools

import numpy as np
import pytest
import torch
from helpers.networks import PLAIN, picture, randomise
from torch.nn import functional as F

import aethernet
from aethernet import aether_custom
from aethernet.errors import CheckpointError
from aethernet.export.onnx import export_onnx
from aethernet.export.qdq import TARGETS
from aethernet.export.saturation import INT16, Saturation, extreme_pair, saturation
from aethernet.network.variants import FACTORIES
from aethernet.quantization.fake import quantizers
from aethernet.quantization.integer import IntegerConv2d
from aethernet.quantization.settings import PRESETS

onnx = pytest.importorskip("onnx", reason="ONNX export is an extra")


def pairs_in_int16(levels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Sums of products as `pmaddubsw` makes them: each two neighbours are added in int16, which stops at its ends.

    (K, P) unsigned activations and (O, K) signed weights, K even -> (O, P) int64.
    """
    products = weight.astype(np.int64)[:, :, None] * levels.astype(np.int64)[None]
    pairs = products[:, 0::2] + products[:, 1::2]
    return np.clip(pairs, INT16.min, INT16.max).sum(axis=1)


@pytest.mark.parametrize("bits", [7, 8])
def test_a_trained_convolution_in_saturating_pairs_is_exact_on_7_bits_only(bits):
    """The body of the network in the box, on bright and dark pixels, computed as AVX2 does."""
    network = aethernet.load_network("aether_tiny_x4", stage="fused")
    network.prepare_qat({"weight_bits": bits})
    for _, quantizer in quantizers(network):
        quantizer.range.data.fill_(1.0)
    weight = network.convert_to_quantized().get_submodule("stages.0.2.0").weight  # (64, 64, 3, 3)
    random = np.random.default_rng(0)
    features = torch.from_numpy(random.choice([0, 255], (1, 64, 12, 12)).astype(np.float64))
    levels = F.unfold(features, 3, padding=1)[0].numpy()
    rows = weight.flatten(1).numpy()
    exact = rows.astype(np.int64) @ levels.astype(np.int64)
    wrong = pairs_in_int16(levels, rows) != exact
    assert not wrong.any() if bits == 7 else wrong.mean() > 0.1
    assert (INT16.min <= extreme_pair(rows) <= INT16.max) == (bits == 7)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("factory", FACTORIES[:4], ids=lambda factory: factory.__name__)
def test_no_convolution_of_any_variant_can_saturate(factory, preset):
    """The integers of a file are those of the network of stage int8. Few blocks, which are all of one kind."""
    torch.manual_seed(0)
    network = randomise(factory(2, depths=[1])).eval().prepare_qat(preset)
    for _, quantizer in quantizers(network):
        quantizer.range.data.fill_(1.0)
    weights = [m.weight for m in network.convert_to_quantized().modules() if isinstance(m, IntegerConv2d)]
    assert len(weights) >= 3
    for weight in weights:
        assert INT16.min <= extreme_pair(weight.flatten(1).numpy()) <= INT16.max


@pytest.mark.parametrize(("bits", "targets"), [(7, TARGETS), (8, ["ort"])])
def test_the_files_of_every_target_say_so(tmp_path, bits, targets):
    torch.manual_seed(0)
    network = randomise(aether_custom(2, **PLAIN)).eval()
    aethernet.calibrate(network, [picture(1, 3, 9, 8)], quantization={"weight_bits": bits})
    for target in targets:
        path = export_onnx(network.convert_to_quantized(), 2, "int8", tmp_path / f"{target}.onnx", target=target)
        found = saturation(path)
        assert (found.nodes, found.possible) == (5, bits == 8)
        assert found.sentence().startswith("right on every x86 CPU" if bits == 7 else "right only with VNNI")
        assert found.node in found.sentence() if bits == 8 else abs(found.extreme) <= 255 * 126


def test_float_files_have_nothing_that_saturates(tmp_path):
    found = saturation(export_onnx(aether_custom(2, **PLAIN), 2, path=tmp_path / "x.onnx"))
    assert found == Saturation("", 0, 0, 0) and not found.possible


def test_the_extreme_of_a_pair_is_that_of_all_pairs():
    random = np.random.default_rng(0)
    for columns in (1, 2, 5):
        levels = random.integers(-128, 128, (4, columns)).astype(np.int8)
        sums = [
            255 * int(first * a + second * b)
            for row in levels.astype(int)
            for first, second in (itertools.combinations(row, 2) if columns > 1 else [(row[0], 0)])
            for a, b in itertools.product((0, 1), repeat=2)
        ]
        nearest = max(sums, key=lambda total: max(total - INT16.max, INT16.min - total))
        assert extreme_pair(levels) == nearest


# --- files of others: every form in which int8 is written ---


def quantized_file(path, kind: str, weight: np.ndarray, group: int = 1, transposed: bool = False):
    """A file with one node that multiplies with int8 weights, in one of the forms that tools write."""
    node, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    one, zero, unsigned = np.float32(1), np.zeros((), weight.dtype), np.uint8(128)
    constants = {"one": one, "zero": zero, "x_zero": unsigned, "w": weight, "float_w": weight.astype(np.float32)}
    enter = [node("QuantizeLinear", ["x", "one", "x_zero"], ["levels"])]
    values = [*enter, node("DequantizeLinear", ["levels", "one", "x_zero"], ["values"])]
    dequantized = node("DequantizeLinear", ["w", "one", "zero"], ["kernel"])
    leave = node("QuantizeLinear", ["sum", "one", "x_zero"], ["rounded"])
    nodes = {
        "Conv": [*values, dequantized, node("Conv", ["values", "kernel"], ["sum"], group=group), leave],
        "Conv of a constant in a node": [
            node("Constant", [], ["kernel_levels"], value=tensor(weight)), *values,
            node("DequantizeLinear", ["kernel_levels", "one", "zero"], ["kernel"]),
            node("Conv", ["values", "kernel"], ["sum"]), leave,
        ],
        "Conv, weights quantised in the graph": [
            *values, node("QuantizeLinear", ["float_w", "one", "zero"], ["q"]),
            node("DequantizeLinear", ["q", "one", "zero"], ["kernel"]), node("Conv", ["values", "kernel"], ["sum"]), leave,
        ],
        "Conv, float weights between grids": [*values, node("Conv", ["values", "float_w"], ["sum"]), leave],
        "Gemm": [*values, dequantized, node("Gemm", ["values", "kernel"], ["sum"], transB=int(transposed)), leave],
        "MatMul": [*values, dequantized, node("MatMul", ["values", "kernel"], ["sum"]), leave],
        "ConvInteger": [*enter, node("ConvInteger", ["levels", "w", "x_zero"], ["sum"])],
        "MatMulInteger": [*enter, node("MatMulInteger", ["levels", "w", "x_zero"], ["sum"])],
        "QLinearConv": [*enter, node("QLinearConv", ["levels", "one", "x_zero", "w", "one", "zero", "one", "x_zero"], ["sum"])],
        "QLinearMatMul": [
            *enter, node("QLinearMatMul", ["levels", "one", "x_zero", "w", "one", "zero", "one", "x_zero"], ["sum"])
        ],
    }[kind]  # fmt: skip
    used = {name for entry in nodes for name in entry.input}
    info = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "g", [info("x", onnx.TensorProto.FLOAT, None)], [info("sum", onnx.TensorProto.UNDEFINED, None)],
        [tensor(np.array(value), name) for name, value in constants.items() if name in used],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), path)
    return path


CONVS = ["Conv", "Conv of a constant in a node", "Conv, weights quantised in the graph", "ConvInteger", "QLinearConv"]
MATRICES = ["MatMul", "MatMulInteger", "QLinearMatMul", "Gemm"]


@pytest.mark.parametrize("kind", [*CONVS, *MATRICES])
def test_every_form_of_an_int8_file_is_read(tmp_path, kind):
    """The two largest weights are of one output, or of two: then no pair of products is out of int16."""
    outputs = 0 if kind in CONVS else 1
    for together in (True, False):
        weight = np.ones((4, 4), np.int8)
        place = np.array([[1, 2], [1, 3]]) if together else np.array([[1, 2], [3, 2]])
        for row in place:
            weight[tuple(row if outputs == 0 else row[::-1])] = 127
        if kind in CONVS:
            weight = weight[:, :, None, None]
        found = saturation(quantized_file(tmp_path / "x.onnx", kind, weight))
        assert (found.possible, found.extreme) == ((True, 255 * 254) if together else (False, 255 * 128)), together


@pytest.mark.parametrize("operator", ["DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QAttention", "QGemm"])
def test_operators_of_onnx_runtime_are_known(tmp_path, operator):
    node = onnx.helper.make_node(operator, ["x", *(["s", "z", "w"] if operator == "QGemm" else ["w"])], ["y"])
    node.domain = "com.microsoft"
    weight = onnx.numpy_helper.from_array(np.full((4, 4), 127, np.int8), "w")
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [], [weight])), tmp_path / "x.onnx")
    assert saturation(tmp_path / "x.onnx").possible


def test_branches_are_looked_into(tmp_path):
    inner = onnx.load(quantized_file(tmp_path / "x.onnx", "Conv", np.full((4, 4, 1, 1), 127, np.int8))).graph
    branch = onnx.helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([branch], "g", [], [])), tmp_path / "y.onnx")
    assert saturation(tmp_path / "y.onnx").possible


def test_weights_quantised_in_the_graph_may_have_a_step_for_each_output(tmp_path):
    """A step of 0.5 doubles the levels of the second output, whose two largest weights are 60 then."""
    file = quantized_file(
        tmp_path / "x.onnx", "Conv, weights quantised in the graph", np.full((2, 2, 1, 1), 30, np.int8)
    )
    model = onnx.load(file)
    steps = {"w_step": np.array([1, 0.5], np.float32), "w_zero": np.zeros(2, np.int8)}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in steps.items())
    for node in model.graph.node:
        if node.output[0] in ("q", "kernel"):
            node.input[1:] = list(steps)
            node.attribute.append(onnx.helper.make_attribute("axis", 0))
    onnx.save(model, file)
    assert saturation(file).extreme == 255 * 120


def test_a_transposed_matrix_has_its_outputs_in_rows(tmp_path):
    weight = np.ones((4, 4), np.int8)
    weight[1, [2, 3]] = 127
    assert saturation(quantized_file(tmp_path / "x.onnx", "Gemm", weight, transposed=True)).possible
    assert not saturation(quantized_file(tmp_path / "x.onnx", "Gemm", weight)).possible


def test_what_runtimes_round_by_themselves_is_on_8_bits(tmp_path):
    weight = np.full((4, 4, 3, 3), 60, np.int8)
    assert saturation(quantized_file(tmp_path / "x.onnx", "Conv, float weights between grids", weight)).possible
    assert not saturation(quantized_file(tmp_path / "x.onnx", "Conv", weight)).possible


def test_depthwise_convolutions_and_unsigned_weights_are_not_summed_in_pairs(tmp_path):
    depthwise = np.full((4, 1, 3, 3), 127, np.int8)
    assert saturation(quantized_file(tmp_path / "x.onnx", "Conv", depthwise, group=4)).nodes == 0
    assert saturation(quantized_file(tmp_path / "x.onnx", "Conv", depthwise, group=1)).possible
    unsigned = np.full((4, 4, 3, 3), 255, np.uint8)
    assert saturation(quantized_file(tmp_path / "x.onnx", "Conv", unsigned)).nodes == 0


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(CheckpointError, match=r"page\.onnx is not an ONNX file"):
        saturation(tmp_path / "page.onnx")
    with pytest.raises(CheckpointError, match=r"nowhere\.onnx is not a file"):
        saturation(tmp_path / "nowhere.onnx")
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(CheckpointError, match="holds no graph: the file is empty or cut off"):
        saturation(tmp_path / "empty.onnx")
    path = quantized_file(tmp_path / "x.onnx", "ConvInteger", np.ones((4, 4, 1, 1), np.int8))
    model = onnx.load(path)
    del model.graph.initializer[:]
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match="'w', the weight of ConvInteger, is no constant"):
        saturation(path)
