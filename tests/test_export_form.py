"""Fixed sizes and bytes in ONNX files: the same function as the file with free sizes and floats."""

from typing import get_args

import numpy as np
import pytest
import torch
from helpers.networks import PLAIN, randomise
from helpers.onnx_files import onnx, onnxruntime, properties, run

from aethernet import aether_custom
from aethernet.errors import UsageError
from aethernet.export.form import Form, Pixels
from aethernet.export.onnx import export_onnx, file_suffix
from aethernet.release.products import onnx_products

FORMS = {
    "free": Form(),
    "fixed": Form(static=(12, 10), batch=2),
    "nchw": Form(pixels="uint8_nchw"),
    "nhwc": Form(pixels="uint8_nhwc", batch=1),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One network in every form."""
    torch.manual_seed(0)
    network = randomise(aether_custom(2, **PLAIN))
    network.upsample.last_conv.weight.data *= 8  # far beyond [0, 1], so that bytes have to be clipped
    out = tmp_path_factory.mktemp("forms")
    paths = {}
    for name, form in FORMS.items():
        options = {"static": form.static, "batch": form.batch, "pixels": form.pixels}
        paths[name] = export_onnx(network, 2, "fp32", out / f"{name}{file_suffix('fp32', 'ort', form)}", **options)
        assert paths[name] == out / f"{name}_fp32{form.suffix}.onnx" and paths[name].is_file()
    return paths


def levels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_file_of_fixed_size_is_the_same_function(files):
    x = levels(2, 3, 12, 10).astype(np.float32) / 255
    # The same operators in the same order; a runtime may pick other kernels where it knows the size.
    assert np.abs(run(files["fixed"], x) - run(files["free"], x)).max() <= 1e-5
    for wrong in (x[:1], x[:, :, :9]):
        with pytest.raises(onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument):
            run(files["fixed"], wrong)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (16, 24)])
def test_bytes_are_the_floats_rounded_and_clipped(files, size):
    picture = levels(1, 3, *size)
    exact = run(files["free"], picture.astype(np.float32) / 255) * 255.0
    assert size == (1, 1) or (exact.min() < 0 and exact.max() > 255)
    expected = np.rint(exact).clip(0, 255).astype(np.uint8)
    # Only a number that lies half-way between two levels, but for float32's 1e-5 of 255, may go the other way.
    decided = np.abs(np.abs(exact - np.floor(exact)) - 0.5) > 1e-3
    got = run(files["nchw"], picture)
    assert got.dtype == np.uint8 and np.array_equal(got[decided], expected[decided])
    last = run(files["nhwc"], np.ascontiguousarray(picture.transpose(0, 2, 3, 1)))
    assert last.shape == (1, 2 * size[0], 2 * size[1], 3)
    assert np.array_equal(last.transpose(0, 3, 1, 2), got)


def shape(value) -> list[str]:
    return [size.dim_param or str(size.dim_value) for size in value.type.tensor_type.shape.dim]


def test_files_say_what_they_take(files):
    free, fixed, nhwc = (properties(files[name]) for name in ("free", "fixed", "nhwc"))
    assert (free["layout"], free["element_type"], free["value_range"]) == ("NCHW", "float32", "0..1")
    assert (free["batch"], free["height"], free["width"]) == ("any", "any", "any")
    assert (fixed["batch"], fixed["height"], fixed["width"]) == ("2", "12", "10")
    assert (nhwc["layout"], nhwc["element_type"], nhwc["value_range"]) == ("NHWC", "uint8", "0..255")
    assert nhwc["color_order"] == "RGB" and (nhwc["batch"], nhwc["height"]) == ("1", "any")
    graphs = {name: onnx.load(path).graph for name, path in files.items()}
    assert shape(graphs["free"].input[0]) == ["batch", "3", "height", "width"]
    assert shape(graphs["free"].output[0]) == ["batch", "3", "2*height", "2*width"]
    assert shape(graphs["fixed"].output[0]) == ["2", "3", "24", "20"]
    assert shape(graphs["nhwc"].input[0]) == ["1", "height", "width", "3"]


def test_wrong_forms_say_what_is_allowed():
    for wrong, message in (
        ({"pixels": "bgr"}, f"pixels must be one of {', '.join(get_args(Pixels))}, not 'bgr'"),
        ({"static": (0, 4)}, r"static must be height and width .* not \(0, 4\)"),
        ({"static": (4, 4, 4)}, "static must be height and width"),
        ({"batch": 0}, "batch must be a whole number of at least 1, not 0"),
        ({"batch": True}, "batch must be a whole number of at least 1, not True"),
    ):
        with pytest.raises(UsageError, match=message):
            export_onnx(aether_custom(2, **PLAIN), 2, **wrong)


def test_the_names_of_a_whole_set():
    form = Form(static=(270, 480), batch=1, pixels="uint8_nhwc")
    products = onnx_products(["int8", "fp32", "fp16", "fp32"], ["tensorrt", "ort"], form)
    fixed = "270x480_batch1_uint8_nhwc.onnx"
    assert [product.suffix for product in products] == [
        f"_fp32_{fixed}", f"_fp16_{fixed}", f"_int8_tensorrt_{fixed}", f"_int8_ort_{fixed}",
    ]  # fmt: skip
    assert [product.target for product in products[2:]] == ["tensorrt", "ort"]
    for precisions, targets, message in (([], ["ort"], "no precision was given"), (["int8"], [], "give a target")):
        with pytest.raises(UsageError, match=message):
            onnx_products(precisions, targets)


def test_a_form_tells_its_sizes():
    sizes = {name: Form(static=(270, 480), batch=2).metadata()[name] for name in ("batch", "height", "width")}
    assert sizes == {"batch": "2", "height": "270", "width": "480"}
    assert {Form().metadata()[name] for name in ("batch", "height", "width")} == {"any"}
