"""Every kind of file holds plain operators only, no shape branches, and computes what PyTorch computes.

Thirty-two small networks, in which every variant, scale, skip, norm, operator set and form meets every precision. A few run
by default.
"""

import functools
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers.networks import picture, randomise
from helpers.onnx_files import PLAIN, decibel, onnx, run

from aethernet import AetherNet, aether_custom
from aethernet.export.form import Form
from aethernet.export.onnx import LARGEST_OPSET, LEAST_OPSET, export_onnx
from aethernet.network.config import CHOICES, AetherConfig
from aethernet.network.variants import VARIANTS
from aethernet.quantization.ranges import set_ranges

SCALES = (1, 2, 3, 4, 8)
FLOATS, INTEGERS = ("fp32", "fp16"), ("ort", "tensorrt", "openvino")
KINDS = (*((precision, "ort") for precision in FLOATS * 2), *(("int8", target) for target in INTEGERS))
FORMS = (
    Form(),
    Form(static=(9, 12)),
    Form(batch=3),
    Form(pixels="uint8_nchw"),
    Form(static=(8, 7), batch=1, pixels="uint8_nhwc"),
)
OPSETS = tuple(range(LEAST_OPSET, LARGEST_OPSET + 1))
NORMS = (None, None, "layernorm")
"""None is that of the variant."""
COUNT = 32
SEED = 24
"""One with which all pairs meet; the first test holds it."""
QUICK = {3, 10, 22}
NEVER = {"Shape", "Gather", "Reshape", "If", "Loop", "NonZero", "Where", "Slice", "Constant", "Identity"}
"""What shapes that are computed at run time leave in a graph, and what says nothing."""


@dataclass(frozen=True)
class Case:
    variant: str
    scale: int
    skip: str
    norm: str | None
    stage: str
    precision: str
    target: str
    opset: int
    form: Form

    @functools.cached_property
    def network(self) -> AetherNet:
        fields = {**VARIANTS[self.variant], "width": 8, "kernel_size": 3, "skip": self.skip, "variant": self.variant}
        fields["depths"] = [1] * min(2, len(fields["depths"]))
        if "tail_channels" in fields:
            fields["tail_channels"] = 4
        if self.norm:
            fields["norm_type"] = self.norm
        torch.manual_seed(0)
        return randomise(aether_custom(self.scale, **fields)).eval()


def make_cases() -> list[Case]:
    """Every value of every field equally often, shuffled."""
    order = random.Random(SEED)

    def column(values) -> list:
        return order.sample([values[index % len(values)] for index in range(COUNT)], COUNT)

    fields = (tuple(VARIANTS), SCALES, CHOICES["skip"], NORMS, KINDS, OPSETS, FORMS, (0, 1))
    return [
        Case(variant, scale, skip, norm, (("qat", "int8") if kind[0] == "int8" else ("train", "fused"))[later], *kind,
             opset, form)
        for variant, scale, skip, norm, kind, opset, form, later in zip(*map(column, fields), strict=True)
    ]  # fmt: skip


CASES = make_cases()


def test_the_cases_go_round_everything():
    wanted = {
        "variant": set(VARIANTS),
        "scale": set(SCALES),
        "skip": set(CHOICES["skip"]),
        "norm": set(NORMS),
        "stage": {"train", "fused", "qat", "int8"},
        "precision": {"fp32", "fp16", "int8"},
        "target": {"ort", "openvino", "tensorrt"},
        "opset": set(OPSETS),
        "form": set(FORMS),
    }
    for field, values in wanted.items():
        assert {getattr(entry, field) for entry in CASES} == values, field
    pairs = {"variant": 12, "scale": 15, "skip": 9, "norm": 6, "opset": 18, "form": 15}
    for field, count in pairs.items():
        assert len({(getattr(entry, field), entry.precision) for entry in CASES}) == count, field


@pytest.mark.parametrize(
    "index", [pytest.param(index, marks=() if index in QUICK else pytest.mark.slow) for index in range(COUNT)]
)
def test_plain_operators_and_the_same_function(tmp_path, index):
    entry = CASES[index]
    model, form = entry.network, entry.form
    if entry.precision == "int8":
        model.prepare_qat(entry.target)
        set_ranges(model, [picture(2, 3, 14, 11)])
        model = model.convert_to_quantized()
    elif entry.stage == "fused":
        model.fuse_model()
    path = export_onnx(
        model, entry.scale, entry.precision, tmp_path / "net.onnx", entry.opset, entry.target, static=form.static,
        batch=form.batch, pixels=form.pixels,
    )  # fmt: skip
    proto = onnx.load(path)
    found = {node.op_type for node in proto.graph.node}
    allowed = allowed_operators(model.config, entry.precision, form)
    assert found <= allowed and not allowed & NEVER
    assert {node.domain for node in proto.graph.node} == {""} and not proto.functions
    assert [(item.domain, item.version) for item in proto.opset_import] == [("", entry.opset)]
    # IR versions of ONNX 1.12 (opsets 17, 18), 1.14 and 1.16: runtimes refuse files of a newer one.
    assert proto.ir_version == {17: 8, 18: 8, 19: 9, 20: 9}.get(entry.opset, 10)
    compare(path, model, entry)


def allowed_operators(config: AetherConfig, precision: str, form: Form) -> set[str]:
    """What a file of this network may hold: what it does not use is not allowed to it either."""
    parts = {
        "Resize": config.skip != "none",  # with constant factors
        "ReduceMax ReduceMean": config.channel_attention or config.spatial_attention,
        "LayerNormalization Transpose": config.norm_type == "layernorm",  # it works on the last axis
        "Cast": precision == "fp16",  # float16 inside, float32 at the border
        "DequantizeLinear QuantizeLinear": precision == "int8",
        "Cast Clip Div Mul Round": form.pixels != "float",
        "Transpose": form.channels_last,
    }
    return PLAIN.union(*(operators.split() for operators, wanted in parts.items() if wanted))


def compare(path, model: AetherNet, entry: Case) -> None:
    """Runs the file and the network on bytes, so that both forms see the same numbers."""
    height, width = entry.form.static or (10, 13)
    x = np.random.default_rng(0).integers(0, 256, (entry.form.batch or 2, 3, height, width), dtype=np.uint8)
    with torch.no_grad():
        expected = model(torch.from_numpy(x).float() / 255).double().numpy()
    is_bytes = entry.form.pixels != "float"
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if entry.form.channels_last else x
    # TensorRT's are not for this runtime: beside a Transpose of int8, its optimiser of Q and DQ makes a graph that it refuses.
    got = run(path, x if is_bytes else x.astype(np.float32) / 255, as_written=entry.target == "tensorrt")
    got = got.transpose(0, 3, 1, 2) if entry.form.channels_last else got
    if is_bytes:
        got, expected = got / 255.0, expected.clip(0.0, 1.0)
    if entry.precision == "fp32" and not is_bytes:
        assert np.abs(got - expected).max() <= 1e-4  # what users are promised
    else:
        # fp16 as promised to users. int8 rounds ties its own way, as in test_export_int8.py. Bytes alone round by at
        # most half a level, which leaves 10 log10(12 * 255^2) = 58.9 dB.
        bound = min(55 if is_bytes else 99, {"fp32": 99, "fp16": 60, "int8": 50}[entry.precision])
        assert decibel(got, expected) >= bound
