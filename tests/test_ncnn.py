"""ncnn files compute what PyTorch computes, at any size, and are models wherever ONNX files are; broken ones are named."""

import json
import random
import shutil

import numpy as np
import pytest
import torch
from helpers.bundles import write_pictures
from helpers.extras import missing, needs
from helpers.networks import PLAIN, randomise

import aethernet
from aethernet import aether_custom, cli, doctor
from aethernet.bench.complexity import network_complexity
from aethernet.bench.ncnn_complexity import ncnn_complexity
from aethernet.errors import CheckpointError, ConfigError, EngineError, EngineOutOfMemory, UsageError
from aethernet.export.ncnn import export_ncnn
from aethernet.export.ncnn_graph import check_weights, read_graph
from aethernet.export.ncnn_programs import (
    NAMED_SCALES,
    PROGRAMS,
    advice_for_programs,
    layers_sentence,
    padding_sentence,
    scale_of_name,
)
from aethernet.release.tile_error import tile_error
from aethernet.runtimes.models import resolve_model
from aethernet.runtimes.ncnn import NcnnSession
from aethernet.runtimes.open import open_model
from aethernet.upscale import Upscaler
from aethernet.verify.verification import verify_files

NETWORKS = {
    "plain": {"block": "plain", "norm_type": "none", "tail": "direct"},
    "grey": {"block": "plain", "norm_type": "none", "in_channels": 1},
    "gated": {"kernel_size": 7},
    "channel attention": {"channel_attention": True},
    "spatial attention": {"spatial_attention": True},
    "bilinear": {"block": "plain", "skip": "bilinear"},
}
needs_ncnn = needs("ncnn", "pnnx")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return randomise(aether_custom(2, **PLAIN)).eval()


@pytest.fixture(scope="module")
def written(network, tmp_path_factory):
    """`net_x2.param` and its `.bin`, the same in fp16, and `pictures`."""
    root = tmp_path_factory.mktemp("ncnn")
    export_ncnn(network, root / "net_x2.param", half=False)
    export_ncnn(network, root / "half_x2.param", half=True)
    aethernet.write_checkpoint(root / "net.pth", network)
    write_pictures(root / "pictures")
    return root


@pytest.fixture
def copied(written, tmp_path):
    """A copy to be spoilt."""
    for end in ("param", "bin"):
        shutil.copy(written / f"net_x2.{end}", tmp_path / f"net_x2.{end}")
    return tmp_path / "net_x2.param"


def expected(network, batch):
    with torch.no_grad():
        return network(torch.from_numpy(batch)).numpy()


def noise(*shape):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@needs_ncnn
@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_any_size_computes_what_pytorch_computes(kind, tmp_path):
    torch.manual_seed(0)
    network = randomise(aether_custom(2, width=8, depths=[1, 1], **NETWORKS[kind])).eval()
    path = tmp_path / "aether_x2.param"
    export_ncnn(network, path, half=False)
    session = NcnnSession(path, threads=1)
    channels = network.config.in_channels
    for height, width in ((31, 45), (16, 16), (9, 60)):
        batch = noise(2, channels, height, width)
        made = expected(network, batch).clip(0, None)
        # float32 sums in another order, Winograd's among them
        assert np.abs(session.run(batch) - made).max() < 1e-4 * max(1.0, np.abs(made).max())
    counted = ncnn_complexity(path, 40, 24)
    fused = network.fuse_model()
    assert counted == network_complexity(fused, 40, 24, channels)
    assert session.graph.scale == 2 and session.graph.in_channels == channels


@needs_ncnn
def test_a_file_is_a_model_with_its_facts(network, written):
    for name, stored, tolerance in (("net_x2.param", "fp32", 1e-4), ("half_x2.param", "fp16", 1e-2)):
        model = resolve_model(str(written / name))
        assert (model.scale, model.in_channels, model.label, model.trained) == (2, 3, name, True)
        assert model.metadata["tile_radius"] == str(network.receptive_radius)
        assert check_weights(read_graph(written / name)) == stored
        session = open_model(model, threads=1)
        assert isinstance(session, NcnnSession)
        batch = noise(2, 3, 13, 21)
        assert np.abs(session.run(batch) - expected(network, batch).clip(0, None)).max() < tolerance


@needs_ncnn
def test_the_output_ends_at_zero(network, written):
    """The programs convert it to unsigned bytes, which of negative numbers is undefined: some GPUs make white of black."""
    session, batch = NcnnSession(written / "net_x2.param"), np.zeros((1, 3, 16, 16), np.float32)
    made = session.run(batch)
    assert session.clipped and expected(network, batch).min() < -0.01 and made.min() == 0
    report = verify_files([str(written / "net_x2.param")], str(written / "net.pth"), [written / "pictures"], threads=1)
    assert report.rows[0].check.figures.agreement > 100


@needs_ncnn
def test_other_engines_do_not_take_it(written):
    model = resolve_model(str(written / "net_x2.param"))
    for engine, title in (("torch", "PyTorch"), ("onnxruntime", "onnxruntime"), ("openvino", "openvino")):
        with pytest.raises(UsageError, match=f"is an ncnn file, which {title} does not run"):
            open_model(model, engine)
    with pytest.raises(UsageError, match="ncnn runs on the CPU here"):
        open_model(model, device="cuda")
    with pytest.raises(UsageError, match="is for PyTorch"):
        open_model(model, precision="bf16")
    with pytest.raises(UsageError, match="is no ncnn file, which ncnn needs: export it first"):
        open_model(resolve_model(str(written / "net.pth")), "ncnn")


@needs_ncnn
def test_windows_equal_the_whole_picture_at_odd_sizes(network, written):
    whole, tiled = (Upscaler(written / "net_x2.param", tile=tile, threads=1) for tile in ("auto", 23))
    assert whole.choice.session.engine == "ncnn" and tiled.halo.exact
    assert tiled.halo.pixels == network.receptive_radius
    picture = noise(37, 53, 3)
    made = whole(picture)
    assert np.abs(tiled(picture) - made).max() < 1e-5 and tiled.report.plan.count > 1
    reference = expected(network, picture.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0).clip(0, 1)
    assert made.shape == (74, 106, 3) and np.abs(made - reference).max() < 1e-4
    assert Upscaler(written / "net_x2.param", threads=1)(noise(1, 1)).shape == (2, 2)


@needs_ncnn
@pytest.mark.slow
def test_the_engine_ncnn_writes_the_file_of_a_network_once(written, network, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    picture = noise(20, 30, 3)
    made = [Upscaler(written / "net.pth", engine="ncnn", threads=1)(picture) for _ in range(2)]
    assert len(list(tmp_path.rglob("*.param"))) == 1 and np.array_equal(*made)
    assert np.abs(made[0] - Upscaler(written / "net.pth", engine="torch")(picture)).max() < 1e-4


@needs_ncnn
def test_the_commands_take_it(written, tmp_path, capsys):
    file, pictures = str(written / "net_x2.param"), str(written / "pictures")
    common = ["--data", pictures, "--threads", "1"]
    assert cli.main(["verify", file, "--against", str(written / "net.pth"), *common]) == 0
    size = sum((written / f"net_x2.{end}").stat().st_size for end in ("param", "bin"))
    assert f"{size / 1e6:.2f} MB" in capsys.readouterr().out
    assert (
        cli.main(
            ["bench", "quality", file, str(written / "net.pth"), "--sets", pictures, "--json", str(tmp_path / "q")]
        )
        == 0
    )
    one, other = (score["mean"]["psnr"] for score in json.loads((tmp_path / "q").read_text())["scores"])
    assert one == pytest.approx(other, abs=0.01)
    assert cli.main(["upscale", pictures, "--model", file, "-o", str(tmp_path / "out")]) == 0
    assert "net_x2.param in ncnn on cpu" in capsys.readouterr().err
    assert len(list((tmp_path / "out").iterdir())) == 3


@needs_ncnn
def test_speed_is_measured_in_ncnn(written, tmp_path, capsys):
    file, records = str(written / "net_x2.param"), tmp_path / "speed.json"
    options = ["--size", "16x16", "--rounds", "2", "--no-memory", "--json", str(records)]
    assert cli.main(["bench", "speed", file, *options]) == 0
    (row,) = json.loads(records.read_text())["rows"]
    assert (row["engine"], row["precision"]) == ("ncnn", "as the file") and row["complexity"]["macs"] > 0
    assert cli.main(["bench", "speed", file, *options, "--engines", "eager"]) == 1
    assert "an ncnn file holds no PyTorch network" in capsys.readouterr().err


@needs_ncnn
def test_a_runtime_that_breaks_off_is_an_error_of_ours(written, monkeypatch):
    session = NcnnSession(written / "net_x2.param")
    monkeypatch.setattr("aethernet.runtimes.ncnn.OUTPUT_BLOB", "nowhere")
    with pytest.raises(EngineError, match=r"ncnn broke off on net_x2\.param"):
        session.run(noise(1, 3, 8, 8))

    class Extractor:
        def input(self, *_):
            pass

        def extract(self, _):
            return -100, None

    session.net = type("Net", (), {"create_extractor": lambda _: Extractor()})()
    with pytest.raises(EngineOutOfMemory):
        session.run(noise(1, 3, 8, 8))


def spoil_weights(change):
    def spoil(path):
        weights = path.with_suffix(".bin")
        weights.write_bytes(change(weights.read_bytes()))

    return spoil


def spoil_graph(old, new):
    def spoil(path):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return spoil


@needs_ncnn
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: path.with_suffix(".bin").unlink(), r"weights must lie beside it, and .*net_x2\.bin is no file: copy both"),
        (lambda path: path.unlink(), r"is not a file: an ncnn model is a \.param with its \.bin"),
        (spoil_weights(lambda content: content[: len(content) // 2]), r"bytes, and .*: it is cut off"),
        (spoil_weights(lambda content: content[:-4]), r"asks for [\d,]+: it is cut off, or another graph's"),
        (spoil_weights(lambda content: content + bytes(4)), "it is cut off, or another graph's"),
        (spoil_weights(lambda _: b""), "ends before conv.* begins: it is cut off"),
        (spoil_weights(lambda content: b"<htm" + content[4:]), "does not belong to net_x2.param, or is damaged"),
        (spoil_graph("data", "in0"), "goes from in0 to output, where one blob data and one output are needed"),
        (spoil_graph("output", "out0"), "goes from data to out0, where"),
        (spoil_graph("7767517", "<html>"), "such a file begins with 7767517"),
        (spoil_graph("Input ", "pnnx.Input "), r"is pnnx's own graph, not ncnn's: give the \.ncnn\.param"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "no graph of ncnn: it is no text"),
        (lambda path: path.write_text(path.read_text()[:300]), "is damaged|is cut off"),
        (spoil_graph("0=8 1=3", "0=8 1=2"), "numbers of conv.* do not fit together"),
        (spoil_graph("0=8 1=3", "0=8 1=1e99"), "a line is no layer of ncnn"),
    ],
)  # fmt: skip
def test_broken_files_are_named(spoil, says, copied):
    spoil(copied)
    with pytest.raises(CheckpointError, match=says):
        resolve_model(str(copied))


@needs_ncnn
def test_the_weights_alone_are_no_model(copied):
    with pytest.raises(ConfigError, match=r"holds the weights of an ncnn model: give its graph, .*net_x2\.param"):
        resolve_model(str(copied.with_suffix(".bin")))


@needs_ncnn
def test_a_graph_that_enlarges_nothing_is_no_upscaler(copied):
    text = copied.read_text()
    lines = text.splitlines()
    # the convolution before PixelShuffle, and the sum that ends the graph, with other blobs
    shuffle = next(line for line in lines if line.startswith("PixelShuffle")).split()
    copied.write_text(text.replace(f"{shuffle[5]} 0=2", f"{shuffle[5]} 0=1"))
    with pytest.raises(CheckpointError, match=r"it is no upscaler|cannot run"):
        resolve_model(str(copied))


@needs_ncnn
def test_a_graph_of_other_channels_than_a_picture_is_refused(tmp_path):
    path = tmp_path / "net_x2.param"
    path.write_text(
        "7767517\n3 3\nInput data 0 1 data\nConvolution conv 1 1 data conv 0=16 1=3 4=1 5=1 6=576\n"
        "PixelShuffle shuffle 1 1 conv output 0=2\n"
    )
    path.with_suffix(".bin").write_bytes(bytes(4 * (1 + 576 + 16)))
    with pytest.raises(CheckpointError, match=r"takes 4 channels: 1 channel \(grey\) or 3 \(RGB\) are needed"):
        resolve_model(str(path))


@needs_ncnn
def test_graphs_with_random_changes_are_read_or_refused(copied):
    """Never anything but a graph or a CheckpointError, before ncnn sees it."""
    text, generator, refused = copied.read_text(), random.Random(0), 0
    for _ in range(400):
        place = generator.randrange(len(text))
        change = generator.choice(["", "-", "9", " ", "=", "nan", "1e400", ",", "\n", "99999999999"])
        copied.write_text(text[:place] + change + text[place + generator.randrange(3) :])
        try:
            check_weights(read_graph(copied))
        except CheckpointError:
            refused += 1
    assert 100 < refused < 400


def test_padding_is_told_by_the_radius():
    assert "sees 8 pixels far: tiles equal" in padding_sentence(8)
    assert "sees 52 pixels far: borders of tiles differ" in padding_sentence(52)
    assert "looks at the whole picture" in padding_sentence(None)


@pytest.mark.parametrize(
    ("name", "scale"),
    [("aether_tiny_x2_fp16", 2), ("aether_small_x4_fp32", 4), ("net", 4), ("4x-net", 4), ("Net_X3", 3), ("x1_x4", 1), ("x16", 1)],
)  # fmt: skip
def test_the_scale_is_read_in_a_name_as_upscayl_reads_it(name, scale):
    """x16 holds an x1, which is looked for first: so does upscayl-ncnn."""
    assert scale_of_name(name) == scale
    assert list(NAMED_SCALES) == sorted(NAMED_SCALES)


def test_advice_for_the_programs():
    assert advice_for_programs("aether_tiny_x4", 4, "8") == []
    assert "rename both files, such as net_x2" in advice_for_programs("net", 2, "8")[0]
    assert "enlarge by 2, 3, 4, not by 8" in advice_for_programs("net_x8", 8, "8")[0]
    assert "give them a tile size (-t)" in advice_for_programs("net_x4", 4, "11")[0]
    assert "looks at the whole picture" in advice_for_programs("net_x4", 4, "whole picture")[0]


@pytest.mark.parametrize("kind", ["plain", "channel attention"])
def test_what_tiles_cost_is_measured(kind):
    """Nothing with a padding as large as the radius, more with less; means over the picture make tiles another picture."""
    torch.manual_seed(0)
    network = randomise(aether_custom(2, width=8, depths=[1, 1], **NETWORKS[kind])).eval()
    with torch.no_grad():  # at first, attention does next to nothing
        for name, parameter in network.named_parameters():
            if ".attention." in name:
                parameter.mul_(30)
    dark = torch.linspace(0, 1, 70)
    pictures = [dark * torch.rand(1, 3, 50, 70), torch.rand(3, 3, 20, 20)]
    seams = [tile_error(network, pictures, tile=32, padding=padding) for padding in (network.convolution_radius, 0)]
    assert [each.pictures for each in seams] == [2, 2] and not network.training
    assert (seams[0].levels < 1e-2) == (kind == "plain")  # 255 levels of float32 sums in another order
    assert seams[1].levels > 1


def test_layers_that_a_program_lacks_are_named():
    both = layers_sentence(["Input", "Convolution", "PixelShuffle"])
    assert both == " and ".join(program.name for program in PROGRAMS) + " have all its layers"
    assert "Real-ESRGAN-ncnn-vulkan has no layer ConvolutionDepthWise" in layers_sentence(["ConvolutionDepthWise"])


@needs_ncnn
def test_the_doctor_looks_at_it(written, copied):
    check = doctor.check_file(written / "half_x2.param")
    assert (check.status, check.remedy) == ("ok", "")
    assert check.found.startswith("x2, RGB, weights in fp16; Upscayl and Real-ESRGAN-ncnn-vulkan have all its layers")
    renamed = copied.rename(copied.with_name("net.param"))
    assert doctor.check_file(renamed).status == "error"
    copied.with_suffix(".bin").rename(copied.with_name("net.bin"))
    check = doctor.check_file(renamed)
    assert check.status == "warning" and "takes a model called net for x4" in check.remedy


def test_the_doctor_tells_of_the_packages():
    wanted = doctor.requirements("ncnn")
    assert set(wanted) == {"ncnn", "pnnx"}
    for name, versions in wanted.items():
        found = doctor.check_optional(name, versions, "ncnn").found
        assert ("absent (optional, for ncnn files)" in found) == (bool(missing(name)))


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
