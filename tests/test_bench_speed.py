"""Models, engines, the speed table and its command. Times are never asserted, only what is timed."""

import json
import re

import pytest
import torch
from helpers.extras import needs
from helpers.networks import picture, randomise

from aethernet import VARIANTS, AetherConfig, AetherNet, write_checkpoint
from aethernet.bench import engines
from aethernet.bench.engines import ENGINES, NotApplicable, Workload, pick_engines
from aethernet.bench.memory import peak_memory
from aethernet.bench.speed import measure_speed
from aethernet.checkpoint import pretrained
from aethernet.errors import CheckpointError, ConfigError, MissingDependencyError, MissingDeviceError, UsageError
from aethernet.runtimes.models import resolve_model
from aethernet.tables import markdown_table, short_count

COMPACT = "spandrel:Compact(num_feat=8, num_conv=1, upscale=2)"
needs_spandrel, needs_openvino = needs("spandrel"), needs("openvino")
needs_onnx = needs("onnxruntime", "onnxscript", "onnx")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    network = randomise(AetherNet(AetherConfig(width=8, depths=(1,), kernel_size=5, scale=2, tail_channels=4)))
    path = tmp_path_factory.mktemp("weights") / "net.pth"
    write_checkpoint(path, network)
    return str(path)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_are_built_and_fused(variant, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "no packaged weights")
    model = resolve_model(f"aether_{variant}_x2")
    assert (model.label, model.scale, model.in_channels, model.trained) == (f"aether_{variant}_x2", 2, 3, False)
    assert model.network.config.stage == "fused"
    assert not model.network.training


def test_variants_are_the_same_every_time():
    first, second = (resolve_model("aether_tiny_x4").network.state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_checkpoints_are_fused(checkpoint):
    model = resolve_model(checkpoint)
    assert (model.label, model.scale, model.trained) == ("net.pth", 2, True)
    assert model.network.config.stage == "fused"


@needs_spandrel
def test_peers_are_built_from_a_text():
    model = resolve_model(COMPACT)
    assert (model.label, model.scale, model.trained) == (COMPACT.removeprefix("spandrel:"), 2, False)
    assert resolve_model("spandrel:RealPLKSR(dim=8, n_blocks=1, upscaling_factor=3)").scale == 3


@needs_spandrel
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("spandrel:Compakt(upscale=2)", r"no architecture 'Compakt'; it has: Compact"),
        ("spandrel:Compact(8)", r"is not of the form 'spandrel:Compact\("),
        ("spandrel:Compact(num_feat=open('x'))", "literals"),
        ("spandrel:Compact(**{'num_feat': 8})", "is not of the form"),
        ("spandrel:Compact.x()", "is not of the form"),
        ("spandrel:Compact", "is not of the form"),
        ("spandrel:Compact(", "is not of the form"),
        ("spandrel:Compact(feat=8)", r"cannot be built .*Compact takes: num_in_ch, num_out_ch, num_feat"),
        ("spandrel:Compact(num_in_ch=4)", r"does not take a picture \(1, 3, 32, 32\)"),
    ],
)
def test_peer_texts_that_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        resolve_model(text)


@needs_spandrel
def test_merged_branches_leave_the_function_unchanged():
    """SPAN merges three branches in every forward pass; deployed, only the merged convolution is left."""
    from aethernet.bench.complexity import network_complexity
    from aethernet.integrations.basicsr import compat
    from aethernet.integrations.peers import deployed

    compat.apply()  # spandrel imports torchvision
    from spandrel.architectures.SPAN import SPAN

    torch.manual_seed(0)
    network = SPAN(num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2).eval()
    x = picture(1, 3, 9, 11)
    with torch.no_grad():
        before, parameters = network(x), sum(p.numel() for p in network.parameters())
        after = deployed(network)(x)
    assert torch.equal(before, after)
    counts = network_complexity(network, 9, 11)
    assert counts.parameters < parameters / 2
    # 20 merged 3x3 convolutions of 8 channels at most, the first of 3, and the tail: nothing for merging itself.
    assert counts.macs < 25 * 8 * 8 * 9 * 9 * 11


@needs_spandrel
def test_weights_of_a_peer_are_detected(tmp_path):
    network = resolve_model(COMPACT).network
    torch.save({"params": network.state_dict()}, tmp_path / "compact.pth")
    model = resolve_model(str(tmp_path / "compact.pth"))
    assert (model.label, model.scale, model.in_channels, model.trained) == ("compact.pth", 2, 3, True)
    x = picture(1, 3, 8, 9)
    with torch.no_grad():
        assert torch.equal(model.network(x), network(x))


@pytest.mark.parametrize("name", ["eager", "channels_last", "bf16", pytest.param("compile", marks=pytest.mark.slow)])
def test_torch_engines_compute_the_network(name, checkpoint, tmp_path):
    model = resolve_model(checkpoint)
    x = picture(1, 3, 9, 12)
    with torch.no_grad():
        expected = model.network(x)
    output = ENGINES[name].prepare(Workload(model, x, 1, tmp_path))()
    # bfloat16 keeps 8 bits.
    assert torch.allclose(output.float(), expected, atol=0.05 if name == "bf16" else 1e-5)


@needs_onnx
@pytest.mark.parametrize(
    "name", ["onnxruntime", pytest.param("openvino", marks=needs_openvino)]
)  # both read one file, so that it is written once
def test_runtimes_compute_the_network(name, checkpoint, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "shared_onnx"
    folder.mkdir(exist_ok=True)
    model = resolve_model(checkpoint)
    x = picture(1, 3, 9, 12)
    with torch.no_grad():
        expected = model.network(x)
    output = ENGINES[name].prepare(Workload(model, x, 1, folder))()
    output = output if name == "onnxruntime" else output[0]
    assert torch.allclose(torch.from_numpy(output), expected, atol=1e-4)
    assert len(list(folder.iterdir())) == 1


@needs_onnx
@needs_spandrel
def test_onnx_files_are_subjects(tmp_path):
    from aethernet.runtimes.onnx_files import export_peer
    from aethernet.runtimes.onnxruntime import OnnxRuntimeSession

    peer = resolve_model(COMPACT)
    path = tmp_path / "compact.onnx"
    assert export_peer(peer.network, picture(1, 3, 16, 20), path)
    model = resolve_model(str(path))
    assert (model.label, model.scale, model.in_channels) == ("compact.onnx", 2, 3)
    assert OnnxRuntimeSession(path).input_shape[1] == 3
    with pytest.raises(NotApplicable, match="no PyTorch network"):
        ENGINES["eager"].prepare(Workload(model, picture(1, 3, 8, 8), 1, tmp_path))
    report = measure_speed([str(path)], size=(8, 8), engines=["eager", "onnxruntime"], rounds=1, memory=False)
    assert [row.engine for row in report.rows] == ["onnxruntime"]
    assert report.notes == ["compact.onnx with eager left out: an ONNX file holds no PyTorch network"]
    with pytest.raises(UsageError, match=r"nothing to measure: compact\.onnx with eager left out"):
        measure_speed([str(path)], size=(8, 8), engines=["eager"], rounds=1, memory=False)


@needs_openvino
def test_what_openvino_refuses_is_left_out_with_the_reason(tmp_path, checkpoint, monkeypatch):
    model = resolve_model(checkpoint)
    (tmp_path / "text.onnx").write_text("no graph")
    monkeypatch.setattr(Workload, "onnx", lambda work: tmp_path / "text.onnx")
    with pytest.raises(NotApplicable, match="OpenVINO refuses the exported graph"):
        ENGINES["openvino"].prepare(Workload(model, picture(1, 3, 8, 8), 1, tmp_path))


@needs_onnx
def test_broken_onnx_files(tmp_path):
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(CheckpointError, match=r"ONNX Runtime cannot load .*text\.onnx"):
        resolve_model(str(tmp_path / "text.onnx"))
    with pytest.raises(CheckpointError, match=r"missing\.onnx is not a file"):
        resolve_model(str(tmp_path / "missing.onnx"))


def test_a_missing_package_is_named(monkeypatch, checkpoint):
    monkeypatch.setitem(__import__("sys").modules, "openvino", None)
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"engine openvino needs openvino: pip install openvino"):
        measure_speed([checkpoint], size=(8, 8), engines=["eager", "openvino"])
    chosen, notes = pick_engines(None)
    assert "onnxruntime" not in [engine.name for engine in chosen]
    assert any(re.match("onnxruntime left out: engine onnxruntime needs onnxruntime", note) for note in notes)


def test_engines_that_are_not_there(monkeypatch):
    with pytest.raises(UsageError, match=r"no engine 'tensorflow'; known: eager, channels_last"):
        pick_engines(["eager", "tensorflow"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingDeviceError, match="engine cuda needs an NVIDIA GPU"):
        pick_engines(["cuda"])
    monkeypatch.setattr(engines.shutil, "which", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"C\+\+ compiler"):
        pick_engines(["compile"])


@pytest.mark.slow
def test_peak_memory_grows_with_the_picture(checkpoint, tmp_path):
    """Width 8 at 512x512 holds 8 MB an activation; the process' own noise is far below that."""
    peak = peak_memory(resolve_model(checkpoint), "eager", 512, 512, 1, tmp_path)
    if peak is None:
        pytest.skip("this system does not tell the peak")
    assert 8e6 < peak < 300e6


def test_command_speed(bench, checkpoint, tmp_path):
    file = tmp_path / "speed.json"
    code, out, err = bench("speed", checkpoint, "aether_tiny_x2", "--size", "8x12", "--engines", "eager", "bf16",
                             "--rounds", 2, "--warmup", 1, "--no-memory", "--json", file)  # fmt: skip
    assert code == 0, err
    # The column is wider where a ratio is: bf16 takes some processors more than ten times as long.
    assert re.search(r"^\| net\.pth +\| +eager \| +fp32 \| .*\| +1\.000 \|", out, re.M)
    assert re.search(r"^- .*1 thread of .*input 8x12, torch", out, re.M)
    assert err == "", "a pipe gets no bars"
    content = json.loads(file.read_text())
    assert set(content) == {"kind", "rows", "notes", "conditions"}
    assert content["kind"] == "speed"
    assert [(row["model"], row["engine"]) for row in content["rows"]] == [
        ("net.pth", "eager"), ("net.pth", "bf16"), ("aether_tiny_x2", "eager"), ("aether_tiny_x2", "bf16")
    ]  # fmt: skip
    row = content["rows"][0]
    assert set(row) == {"model", "scale", "engine", "precision", "timing", "complexity", "peak_memory"}
    assert set(row["timing"]) == {"median_ms", "p10_ms", "p90_ms", "ratio", "rounds"}
    assert set(row["complexity"]) == {"parameters", "macs", "activations", "receptive_radius"}
    assert row["peak_memory"] is None
    assert row["timing"]["rounds"] == 2


def test_command_refuses(bench, checkpoint):
    code, out, err = bench("speed", checkpoint, "--engines", "tensorflow")
    assert (code, out) == (1, "")
    assert re.search(r"aethernet bench: error: there is no engine 'tensorflow'", err)
    code, _, err = bench("speed", "aether_tini_x2")
    assert code == 1
    assert re.search(r"no variant 'tini' \(did you mean 'tiny'", err)
    for arguments in (["speed", checkpoint, "--size", "12"], ["speed"], [], ["speed", checkpoint, "--rounds", "0"]):
        with pytest.raises(SystemExit) as exit_info:
            bench(*arguments)
        assert exit_info.value.code == 2


def test_markdown_table():
    lines = markdown_table(["a|b", "ms"], [["x", 1], ["longer", 23]]).splitlines()
    assert lines == ["| a\\|b   |  ms |", "| ------ | --: |", "| x      |   1 |", "| longer |  23 |"]


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "-"), (0, "0"), (7, "7"), (999, "999"), (1000, "1.00 k"), (115_204, "115 k"), (999_600, "1.00 M"),
     (46_200_000, "46.2 M"), (1_430_000_000, "1.43 G"), (5 * 10**15, "5000 T")],
)  # fmt: skip
def test_short_count(count, text):
    assert short_count(count) == text
