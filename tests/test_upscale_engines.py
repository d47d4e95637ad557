"""Every kind of model file that the upscaler takes, where it runs, and why."""

import shutil
from threading import Event, Thread

import numpy as np
import onnx
import pytest
import torch
from helpers.extras import needs
from helpers.networks import randomise
from torch import nn

import aethernet
from aethernet import aether_custom, calibrate
from aethernet.checkpoint.checkpoint import write_checkpoint
from aethernet.data.picture.header import Header
from aethernet.errors import ConfigError, DataError, MissingDependencyError, MissingDeviceError, UsageError
from aethernet.export.form import Form
from aethernet.export.onnx import _metadata as onnx_metadata
from aethernet.export.onnx import export_onnx
from aethernet.runtimes.models import resolve_model
from aethernet.runtimes.onnx_files import export_peer, file_name
from aethernet.runtimes.open import open_model
from aethernet.runtimes.pytorch import TorchSession, device_kind
from aethernet.runtimes.session import RunStopped
from aethernet.upscale import Upscaler, engine
from aethernet.upscale.halo import PROBED, find_halo
from aethernet.upscale.known import by_model, find_model
from aethernet.upscale.memory import UNKNOWN, bytes_per_pixel, free_memory
from aethernet.upscale.windows import with_pixels

SCALE = 2
ROUNDING, HALF = 1e-5, 4e-3
"""Sums in another order; half precision inside, whose steps near 1 are 5e-4, through a few layers."""


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    """Where exported files are kept, away from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def network():
    return randomise(aether_custom(SCALE, width=8, depths=(1,), kernel_size=3, block="plain")).eval()


@pytest.fixture(scope="module")
def files(network, tmp_path_factory):
    """Every form by name, and what it may differ from the network by."""
    folder = tmp_path_factory.mktemp("files")
    tuned = calibrate(network_copy(network), [torch.rand(1, 3, 24, 24)])
    integers = tuned.convert_to_quantized()
    fused = network_copy(network).fuse_model()
    made = {}
    for name, content, suffix in (
        ("train", network, ".pth"), ("fused", fused, ".safetensors"), ("qat", tuned, ".pth"), ("int8", integers, ".safetensors"),
    ):  # fmt: skip
        made[name] = folder / f"{name}{suffix}"
        write_checkpoint(made[name], content)
    forms = {
        "fp32": {}, "fp16": {"precision": "fp16"}, "nchw": {"pixels": "uint8_nchw"},
        "static_nhwc": {"static": (24, 32), "batch": 2, "pixels": "uint8_nhwc"},
    }  # fmt: skip
    for name, options in forms.items():
        made[f"onnx_{name}"] = export_onnx(network, SCALE, path=folder / f"{name}.onnx", **options)
    for target in ("ort", "tensorrt"):
        made[f"onnx_int8_{target}"] = export_onnx(
            integers, SCALE, "int8", folder / f"int8_{target}.onnx", target=target
        )
    model = resolve_model(str(made["fused"]))  # that of int8 weights is exported where it is wanted
    shutil.copy(made["onnx_fp32"], engine.onnx_folder(model) / file_name(model))
    return made


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", pytest.param("openvino", marks=needs("openvino"))])  # fmt: skip
def test_a_run_ends_by_the_word_of_another_thread(files, runtime):
    session = open_model(resolve_model(str(files["fused" if runtime == "torch" else "onnx_fp32"])), runtime)
    batch, begun, ended = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32), Event(), []

    def run_for_ever() -> None:
        try:
            while True:
                session.run(batch)
                begun.set()
        except RunStopped as error:
            ended.append(error)

    sound = session.run(batch)
    thread = Thread(target=run_for_ever, daemon=True)
    thread.start()
    assert begun.wait(60)
    session.stop()
    thread.join(60)
    assert len(ended) == 1
    with pytest.raises(RunStopped):
        session.run(batch)
    session.resume()
    assert np.array_equal(session.run(batch), sound)


def test_the_word_to_end_is_not_for_other_threads():
    begun, stopped, ended = Event(), Event(), []

    class Waits(nn.Module):
        def forward(self, x):
            begun.set()
            assert stopped.wait(60)
            return x

    def run() -> None:
        try:
            ended.append(other.run(batch))
        except RunStopped as error:
            ended.append(error)

    class Stops(nn.Module):
        def forward(self, x):
            thread.start()
            assert begun.wait(60)
            session.stop()
            stopped.set()
            thread.join(60)
            return x

    batch = np.ones((1, 3, 4, 4), np.float32)
    other = TorchSession(nn.Sequential(Waits(), nn.Identity()))
    session = TorchSession(nn.Sequential(Stops(), nn.Identity()))
    thread = Thread(target=run, daemon=True)
    with pytest.raises(RunStopped):
        session.run(batch)
    assert np.array_equal(ended[0], batch)


def test_a_network_ends_before_its_next_layer(network):
    class Stops(nn.Module):
        def forward(self, x):
            session.stop()
            return x

    reached = []
    last = nn.Identity()
    last.register_forward_hook(lambda *_: reached.append(1))
    session = TorchSession(nn.Sequential(nn.Identity(), Stops(), last))
    with pytest.raises(RunStopped):
        session.run(np.zeros((1, 3, 4, 4), np.float32))
    assert not reached


def network_copy(network):
    return aethernet.AetherNet.from_state_dict(network.state_dict()).eval()


def img(height=37, width=53):
    return np.random.default_rng(0).random((height, width, 3), dtype=np.float32)


def reference(network, pixels):
    with torch.inference_mode():
        out = network(torch.from_numpy(pixels.transpose(2, 0, 1)[None]))
    return out.numpy()[0].transpose(1, 2, 0).clip(0, 1)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        ("train", ROUNDING), ("fused", ROUNDING), ("onnx_fp32", ROUNDING), ("onnx_fp16", HALF),
        ("onnx_nchw", 1.02 / 255),
    ],
)  # fmt: skip
def test_every_float_file_makes_what_the_network_makes(network, files, name, tolerance):
    pixels = np.round(img() * 255) / np.float32(255)  # what bytes hold, for the file of bytes
    upscaler = Upscaler(files[name], tile=30)
    out = upscaler(pixels)
    assert upscaler.halo.exact and upscaler.halo.pixels == network.receptive_radius
    assert upscaler.report.plan.count > 1
    assert np.abs(out - reference(network, pixels)).max() <= tolerance


@pytest.mark.parametrize(("height", "width"), [(37, 53), (24, 32), (9, 100)])
def test_a_file_of_one_size_takes_every_picture(network, files, height, width):
    pixels = np.round(img(height, width) * 255) / np.float32(255)
    upscaler = Upscaler(files["onnx_static_nhwc"])
    out = upscaler(pixels)
    right = reference(network, pixels)
    assert out.shape == right.shape
    radius, is_smaller = network.receptive_radius, height < 24
    inner = slice(None, SCALE * (height - radius) if is_smaller else None)  # smaller ones have their last rows repeated
    assert np.abs(out - right)[inner].max() <= 1.02 / 255
    note = f"smaller than the 32x24 that the file takes: up to {radius} pixels from the right and the bottom edge"
    assert [text.startswith(note) for text in upscaler.report.notes] == [True] * is_smaller


@pytest.mark.parametrize("name", ["qat", "int8", "onnx_int8_ort", "onnx_int8_tensorrt"])
def test_every_int8_file_makes_what_the_integer_network_makes(files, name):
    pixels = img()
    right = reference(aethernet.load_network(files["int8"]), pixels)
    for tile in ("auto", 30):
        out = Upscaler(files[name], tile=tile)(pixels)
        assert np.abs(out - right).max() <= 8 / 255  # single steps of the grids, where a tie fell the other way
        assert np.abs(out - right).mean() <= 0.5 / 255


@needs("openvino")
@pytest.mark.parametrize("name", ["onnx_fp32", "onnx_nchw"])
def test_openvino_makes_the_same(network, files, name):
    pixels = np.round(img() * 255) / np.float32(255)
    upscaler = Upscaler(files[name], "openvino", tile=30)
    assert upscaler.choice.session.engine == "openvino"
    assert np.abs(upscaler(pixels) - reference(network, pixels)).max() <= 1.02 / 255


def test_levels_in_levels_out(files):
    for dtype in (np.uint8, np.uint16):
        pixels = (img() * np.iinfo(dtype).max).astype(dtype)
        upscaler = Upscaler(files["fused"])
        out = upscaler(pixels)
        assert out.dtype == dtype and out.shape == (74, 106, 3)
        np.testing.assert_array_equal(upscaler(pixels[:, :, 0]), upscaler(pixels[:, :, :1])[:, :, 0])
    assert Upscaler(files["fused"])(np.zeros((1, 1), np.uint8)).shape == (2, 2)
    assert Upscaler(files["fused"])(np.zeros((3, 4, 2))).dtype == np.float32


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4, 5), np.uint8), np.zeros(4), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), bool), "text"]
)
def test_other_arrays_are_refused(files, wrong):
    with pytest.raises(DataError, match=r"is no picture|5 channels"):
        Upscaler(files["fused"])(wrong)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, r"the picture has values that are not finite numbers \(NaN or infinity\)"),
        (-np.inf, r"the picture has values that are not finite"),
        (255, r"the picture has values up to 255, and \[0, 1\] is taken: divide 8-bit samples by 255, those of 16"),
        (-1, r"the picture has values down to -1, and \[0, 1\] is taken: \(x \+ 1\) / 2 brings \[-1, 1\] there"),
    ],
)
@pytest.mark.parametrize("channel", [0, 3])
def test_floats_that_no_picture_has_are_refused(files, value, message, channel):
    picture = np.full((6, 7, 4), 0.5, np.float32)
    upscaler = Upscaler(files["fused"])
    picture[2, 3, channel] = -0.1  # overshoot is clipped, as ever
    upscaler(picture)
    picture[2, 3, channel] = value
    with pytest.raises(DataError, match=message):
        upscaler(picture)


def test_floats_and_byte_orders_of_any_kind_are_taken(files):
    upscaler, picture = Upscaler(files["fused"]), np.random.default_rng(0).random((6, 7, 3), np.float32)
    wanted = upscaler(picture)
    for kind in (">f4", ">f8", np.float64):
        np.testing.assert_array_equal(upscaler(picture.astype(kind)), wanted)
    assert upscaler(picture.astype(np.float16)).dtype == np.float32
    levels = (picture * 65535).astype(np.uint16)
    np.testing.assert_array_equal(upscaler(levels.astype(">u2")), upscaler(levels))


def test_the_choice_says_why(files, monkeypatch):
    def reason(name, **options):
        choice = Upscaler(files[name], **options).choice
        return choice.session.engine, choice.reason

    assert reason("fused") == ("torch", "the amount of work is unknown")
    assert reason("fused", pixels=1000) == ("torch", "an ONNX file first would cost more than it saves")
    assert reason("qat") == ("torch", "weights of stage qat are simulated in float")
    assert reason("fused", engine="onnxruntime") == ("onnxruntime", "as asked for")
    chosen, text = reason("int8")
    assert chosen == "onnxruntime" and "times as fast as PyTorch on this machine" in text
    assert reason("fused", precision="bf16") == ("torch", "as asked for")
    assert reason("onnx_fp32") == ("onnxruntime", "ONNX files run in it where it is installed")
    assert reason("onnx_int8_ort") == ("onnxruntime", "the file is made for ONNX Runtime")
    assert reason("onnx_int8_tensorrt") == ("onnxruntime", "the file is made for TensorRT, which does not run here")
    monkeypatch.setattr(engine, "WORTH_EXPORTING", 0.0)
    chosen, text = reason("fused", pixels=10**9)  # once: which one is faster may change from one time to the next
    assert text.endswith(" on this machine") and ("PyTorch" if chosen == "onnxruntime" else "ONNX Runtime") in text
    monkeypatch.setattr(engine, "SAME_FLOAT", -1.0)
    chosen, text = reason("fused", pixels=10**9)
    assert chosen == "torch" and text.startswith("ONNX Runtime differs from it by")
    monkeypatch.setattr(engine, "can_export", lambda: False)
    assert reason("int8")[0] == "torch" and "not installed" in reason("int8")[1]
    assert reason("fused", pixels=10**9) == ("torch", "ONNX Runtime and the exporter are not installed")
    monkeypatch.setattr(engine, "installed", lambda name: False)
    with pytest.raises(MissingDependencyError, match="pip install onnxruntime"):
        Upscaler(files["onnx_fp32"])


def test_integers_that_saturate_stay_in_pytorch_without_vnni(files, monkeypatch):
    class Old:
        is_x86, features = True, ("AVX2",)

    class Bad:
        possible = True

    monkeypatch.setattr(engine, "cpu", Old)
    assert Upscaler(files["int8"]).choice.session.engine == "onnxruntime"  # weights of 7 bits cannot saturate
    monkeypatch.setattr(engine, "saturation", lambda path: Bad)
    choice = Upscaler(files["int8"]).choice
    assert choice.session.engine == "torch" and "without VNNI" in choice.reason


def test_an_exported_file_is_kept_and_another_network_gets_its_own(files, tmp_path, network, monkeypatch):
    def export(model, scale, precision, path):
        return shutil.copy(files["onnx_fp32"], path)

    monkeypatch.setattr("aethernet.runtimes.onnx_files.export_onnx", export)
    path = tmp_path / "mine.safetensors"
    write_checkpoint(path, network_copy(network))
    first = Upscaler(path, "onnxruntime").choice.session.path
    written = first.stat().st_mtime_ns
    assert Upscaler(path, "onnxruntime").choice.session.path == first and first.stat().st_mtime_ns == written
    write_checkpoint(path, randomise(network_copy(network), seed=5))
    assert Upscaler(path, "onnxruntime").choice.session.path != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorflow"}, "there is no engine 'tensorflow': give auto, torch, onnxruntime, openvino"),
        ({"precision": "int4"}, "precision must be auto or one of fp32, fp16, bf16"),
        ({"precision": "fp16", "device": "cpu"}, "fp16 in PyTorch is for GPUs"),
        ({"device": "cuda:-1"}, "there is no device 'cuda:-1'"),
        ({"device": "gpu"}, "there is no device 'gpu'"),
        ({"tile": 0}, "tile must be auto or a number of pixels"),
        ({"tile": 8}, "tile 8 leaves nothing between halos of"),
        ({"halo": -1}, "halo must be a number of pixels"),
        ({"passes": 0}, "passes must be 1 or more"),
        ({"model": "onnx_fp32", "precision": "bf16"}, "precision bf16 is for PyTorch: give onnxruntime a file of that"),
        ({"scale": 3}, "enlarges by 2, but --scale 3 was given"),
    ],
)
def test_wrong_arguments_are_named(files, options, message):
    with pytest.raises(UsageError, match=message):
        Upscaler(files[options.get("model", "fused")], **{key: options[key] for key in options if key != "model"})


@pytest.mark.parametrize("device", ["mps", "xpu", "meta", "vulkan", "hpu"])
def test_devices_that_cannot_compute_here_are_named(files, device, monkeypatch):
    if (device == "mps" and torch.backends.mps.is_available()) or (device == "xpu" and torch.xpu.is_available()):
        pytest.skip("it can")
    with pytest.raises(MissingDeviceError, match=rf"PyTorch cannot use device '{device}' here \(.*\): leave it out"):
        Upscaler(files["fused"], device=device)


def test_a_gpu_beyond_those_there_is_named(monkeypatch):
    """As where there is one and the second is asked for: PyTorch's own error comes with the first tensor."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(MissingDeviceError, match=r"PyTorch cannot use device 'cuda:99' here"):
        device_kind("cuda:99")


def test_without_a_model_the_best_of_the_package_is_taken():
    assert find_model(None, None).spec == "aether_small_x4"
    assert find_model(None, 2).spec == "aether_tiny_x2"
    assert find_model(None, 3).spec == "aether_tiny_x3"
    with pytest.raises(UsageError, match="the package has no network for x8: it has x2 or x3 or x4"):
        find_model(None, 8)
    with pytest.raises(UsageError, match=r"aether_large_x4 has random weights.*package has aether_small_x4, "):
        find_model("aether_large_x4", None)
    with pytest.raises(ConfigError, match=r"'nonsense' is not a model; the package has aether_small_x4, .*\.onnx file"):
        find_model("nonsense", None)
    with pytest.raises(ConfigError, match=r"did you mean aether_tiny_x4_int8 .*\? The package has"):
        find_model("aether_tiny_x4-int8", None)


def test_photographs_have_a_network_of_their_own():
    clean, headers = find_model(None, 4), [Header("PNG", (8, 8)), Header("JPEG", (8, 8)), None]

    def names(model, headers, chosen=False):
        return [(found.spec, places) for found, places in by_model(model, headers, chosen=chosen)]

    assert names(clean, headers) == [("aether_small_x4", [0, 2]), ("aether_tiny_x4_photo", [1])]
    assert names(clean, headers[1:2]) == [("aether_tiny_x4_photo", [0])]
    assert names(clean, headers, chosen=True) == names(clean, headers[:1] * 3) == [("aether_small_x4", [0, 1, 2])]
    # The package has none for photographs at this scale.
    assert names(find_model(None, 3), headers) == [("aether_tiny_x3", [0, 1, 2])]
    assert names(clean, []) == []


class Foreign(nn.Module):
    """A network of others: sees 5 pixels, or only looks at multiples of 4."""

    def __init__(self, multiple=1):
        super().__init__()
        self.multiple = multiple
        self.first = nn.Conv2d(3 * multiple**2, 8, 7, padding=3)
        self.last = nn.Conv2d(8, 3 * (SCALE * multiple) ** 2, 5, padding=2)

    def forward(self, x):
        if self.multiple > 1:
            assert x.shape[2] % self.multiple == x.shape[3] % self.multiple == 0
            x = nn.functional.pixel_unshuffle(x, self.multiple)
        return nn.functional.pixel_shuffle(self.last(self.first(x)), SCALE * self.multiple)


def foreign_model(network, **options):
    return resolve_model("aether_tiny_x2").__class__("foreign", "foreign", SCALE, 3, network=network.eval(), **options)


def test_the_halo_of_networks_of_others_is_measured():
    torch.manual_seed(0)
    model = foreign_model(Foreign())
    halo = find_halo(model, open_model(model))
    assert halo.pixels == 8 and not halo.exact and "measured on noise" in halo.origin  # the next that is tried above 5
    aligned = foreign_model(Foreign(4), multiple=4)
    halo = find_halo(aligned, open_model(aligned))
    assert halo.pixels in PROBED and halo.pixels >= 20
    assert find_halo(model, open_model(model), 3).origin == "as given"

    class Everything(nn.Module):
        def forward(self, x):
            return nn.functional.interpolate(x * x.mean(), scale_factor=SCALE)

    model = foreign_model(Everything())
    halo = find_halo(model, open_model(model))
    assert halo.pixels == PROBED[-1] and "even that leaves a difference" in halo.origin


def test_an_onnx_file_of_others(tmp_path, network):
    torch.manual_seed(0)
    foreign = Foreign().eval()
    path = tmp_path / "theirs.onnx"
    export_peer(foreign, torch.zeros(1, 3, 32, 32), path)
    upscaler = Upscaler(path, tile=40)
    assert upscaler.halo.pixels == 8
    pixels = img()
    assert np.abs(upscaler(pixels) - reference(foreign, pixels)).max() <= ROUNDING
    assert bytes_per_pixel(upscaler.model) == UNKNOWN


@needs("spandrel")
def test_a_weights_file_of_others(tmp_path):
    from aethernet.integrations.peers import build_trainable

    torch.manual_seed(0)
    compact = build_trainable("spandrel:Compact(num_feat=8, num_conv=2, upscale=2)").eval()
    path = tmp_path / "compact.pth"
    torch.save({"params": compact.state_dict()}, path)
    upscaler = Upscaler(path, tile=40)
    assert upscaler.halo.pixels == 4
    pixels = img()
    assert np.abs(upscaler(pixels) - reference(compact, pixels)).max() <= ROUNDING


def test_an_attention_file_says_that_it_cannot_be_tiled_exactly(files, tmp_path):
    """As the exporter has it say."""
    attentive = aether_custom(SCALE, width=8, depths=(1,), kernel_size=3, channel_attention=True)
    said = onnx_metadata(attentive, "fp32", "ort", Form())
    proto, path = onnx.load(files["onnx_fp32"]), tmp_path / "a.onnx"
    onnx.helper.set_model_props(proto, said)
    onnx.save(proto, path)
    upscaler = Upscaler(path)
    assert not upscaler.halo.exact and "give the weights file" in upscaler.halo.origin


def test_windows_grow_where_the_halo_costs_much_and_memory_allows(files):
    windows = Upscaler(files["fused"])._windows(type("Large", (), {"shape": (4000, 6000, 3)}))
    small = with_pixels(windows, 4000, 6000, 40**2, None)
    assert small.plan(4000, 6000).cost <= 1.15
    tight = with_pixels(windows, 4000, 6000, 40**2, 50**2)
    assert tight.pixels == 50**2 and tight.plan(4000, 6000).cost > 1.15
    rows, columns = with_pixels(windows, 4000, 6000, 40**2, 10).plan(4000, 6000).window
    assert min(rows, columns) > 2 * windows.halo.pixels  # the smallest that there is


def test_memory_is_counted():
    tiny, large = resolve_model("aether_tiny_x4"), resolve_model("aether_large_x4")
    assert 1_000 < bytes_per_pixel(tiny) < bytes_per_pixel(large) < 50_000
    free = free_memory()
    assert free is None or 2**20 < free < 2**45
