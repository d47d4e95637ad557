"""`aethernet release`: what a bundle holds, what the gate refuses, and what is left when something goes wrong."""

import copy
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.bundles import HAS_NCNN, PRODUCTS, agreement, write_pictures
from helpers.extras import missing, needs
from helpers.networks import PLAIN, picture, randomise
from helpers.training import ARCHS, PATIENCE, environment, run_aethernet

import aethernet
from aethernet import aether_custom
from aethernet.checkpoint.checkpoint import write_checkpoint
from aethernet.cli import main
from aethernet.errors import CheckpointError, EngineError, StageError, UsageError
from aethernet.export import ncnn_programs
from aethernet.export.ncnn import files_of, weights_of
from aethernet.release import Settings, bundle, flow, networks, products
from aethernet.release.bundle import command_for_others
from aethernet.release.origin import UNKNOWN, read_origin
from aethernet.release.tensorrt import engine_lines
from aethernet.runtimes.onnxruntime import OnnxRuntimeSession
from aethernet.verify import gate
from aethernet.verify.budget import budget
from aethernet.verify.verification import verify_files

pytest.importorskip("onnx", reason="ONNX export is an extra")
pytest.importorskip("onnxruntime", reason="ONNX export is an extra")
MISSING = missing("openvino", "spandrel", "ncnn")

SUFFIXES = [product.suffix for product in PRODUCTS]
QUICK = ["--size", "16x24", "--rounds", "2", "--threads", "1"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with pictures, weights, and a bundle that the command wrote; and what it printed."""
    root = tmp_path_factory.mktemp("release")
    write_pictures(root / "pictures")
    torch.manual_seed(0)
    network = aether_custom(2, **PLAIN).eval()
    write_checkpoint(root / "net.safetensors", network, {"data": "Three squares.", "license": "cc0-1.0", "seed": "3"})
    return root, run_aethernet(*arguments(root), *QUICK, cwd=root, check=False)


def arguments(root: Path, out: str = "out") -> list[str]:
    return [
        "release", str(root / "net.safetensors"), "--data", str(root / "pictures"), "-o", str(root / out),
        "--max-drop", "3",
    ]  # fmt: skip


@pytest.fixture
def quick(made, tmp_path, monkeypatch):
    """A fresh place with pictures and weights where files are copied from the bundle instead of exported; `quick.harm`
    names a file whose last weights are then damaged."""
    root, _ = made
    for name in ("pictures", "net.safetensors"):
        (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, tmp_path / name)

    def copied(path, product, *_, **__):
        for file in files_of(path):
            shutil.copy(root / "out" / f"aether_custom_x2{product.suffix}".replace(path.suffix, file.suffix), file)
        if product in tmp_harm:
            _damage(path)

    tmp_harm: list[products.Product] = []
    monkeypatch.setattr(flow, "write_product", copied)
    return tmp_path, tmp_harm


def _damage(path: Path) -> None:
    """Makes the weights of the last convolution large: still a file that every runtime takes."""
    if path.suffix == ".param":
        weights = weights_of(path)
        content = bytearray(weights.read_bytes())
        content[-200:-100] = np.full(25, 1.0, np.float32).tobytes()  # among the last weights in float32
        weights.write_bytes(content)
        return
    import onnx

    model = onnx.load(path)
    weight = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 4][-1]
    largest = np.full_like(onnx.numpy_helper.to_array(weight), 127)
    weight.CopyFrom(onnx.numpy_helper.from_array(largest, weight.name))
    onnx.save(model, path)


def released(root: Path, *more: str) -> tuple[list[str], dict, str]:
    """The files that failed, report.json and the page of a release, whose exit code says whether one failed."""
    code = main([*arguments(root), *QUICK, *more])
    report = json.loads((root / "out/report.json").read_text())
    failed = [record["file"].removeprefix("aether_custom_x2") for record in report["files"] if not record["passed"]]
    assert code == bool(failed)
    return failed, report, (root / "out/report.html").read_text()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_bundle_is_whole(made):
    root, done = made
    assert done.returncode == 0, done.stderr
    out = root / "out"
    files = {file.name for suffix in SUFFIXES for file in files_of(Path(f"aether_custom_x2{suffix}"))}
    assert names(out) == files | {"README.md", "report.html", "report.json", "SHA256SUMS", "release.log"}
    assert names(root) == {"pictures", "net.safetensors", "out"}
    sums = dict(line.split("  ")[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == names(out) - {"SHA256SUMS"}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    report = json.loads((out / "report.json").read_text())
    assert report["kind"] == "release" and report["passed"]
    assert [record["file"] for record in report["files"]] == [f"aether_custom_x2{suffix}" for suffix in SUFFIXES]
    assert all(sums[record["file"]] == record["sha256"] for record in report["files"])
    for record in report["files"]:
        pair = [name for name in (record["file"], record["weights"]) if name]
        assert len(pair) == 1 + record["file"].endswith(".param")
        assert record["bytes"] == sum((out / name).stat().st_size for name in pair)
        assert record["weights_sha256"] == (sums[pair[1]] if len(pair) == 2 else "")
    int8 = [record for record in report["files"] if "_int8_" in record["file"]]
    assert len(int8) == 3 and all("right on every x86 CPU" in " ".join(record["remarks"]) for record in int8)
    assert (
        f"{len(SUFFIXES)} of {len(SUFFIXES)} files passed on 3 pictures" in done.stdout
        and str(out / "report.html") in done.stdout
    )


def test_a_pipe_gets_lines_of_progress_alone_if_it_takes_long(made):
    _, done = made
    lines = done.stderr.splitlines()
    steps = {"float16 ranges", "proving", "calibrating", "writing", "verifying", "timing"}
    assert {re.fullmatch(r"([\w ]+): \d+ of \d+ \w+", line)[1] for line in lines} <= steps
    assert not any("%|" in line for line in lines)  # a bar


def test_the_log_lies_in_the_bundle_and_nothing_tells_of_the_machine(made):
    root, _ = made
    log = (root / "out" / "release.log").read_text()
    assert "fused against unfused, noise" in log and "aether_custom_x2_fp16.onnx in ONNX Runtime" in log
    for path in (root / "out").iterdir():
        assert str(root).encode() not in path.read_bytes(), path.name
        assert str(ARCHS).encode() not in path.read_bytes(), path.name


def test_weights_in_the_bundle_are_the_network(made):
    root, _ = made
    x = picture(1, 3, 9, 11)
    with torch.no_grad():
        expected = aethernet.load_network(root / "net.safetensors")(x)
        found = {
            suffix: aethernet.load_network(root / f"out/aether_custom_x2{suffix}")
            for suffix in SUFFIXES if not suffix.endswith((".onnx", ".param"))
        }  # fmt: skip
        assert torch.equal(found[".safetensors"](x), expected)
        for suffix in ("_fused.safetensors", "_fused.pth"):
            assert torch.allclose(found[suffix](x), expected, atol=1e-6)  # float32 roundings in another order
    stages = [network.config.stage for network in found.values()]
    assert stages == ["train", "fused", "fused", "qat"]


def test_figures_are_those_of_verify(made):
    root, _ = made
    report = json.loads((root / "out/report.json").read_text())
    files = [
        str(root / f"out/aether_custom_x2{suffix}") for suffix in ("_fp32.onnx", "_int8_ort.onnx", "_qat.safetensors")
    ]
    verified = verify_files(files, str(root / "net.safetensors"), [root / "pictures"], threads=1)
    records = {record["file"]: record["checks"][0] for record in report["files"]}
    for row in verified.rows:
        check, figures = records[row.label], row.check.figures
        # `verify` compares files with the fused network, a release with the unfused one: 1e-6 of the range apart.
        assert check["figures"]["psnr"] == pytest.approx(figures.psnr, abs=1e-4)
        assert check["figures"]["worst_drop"] == pytest.approx(figures.worst_drop, abs=1e-4)
        assert (check["integers"], check["convolutions"]) == (row.check.integers, row.check.convolutions)
    by_suffix = {record["file"].removeprefix("aether_custom_x2"): record["checks"] for record in report["files"]}
    assert by_suffix["_fp32.onnx"][0]["figures"]["max_error"] <= 1e-5
    assert by_suffix["_fp16.onnx"][0]["figures"]["agreement"] >= 60
    assert by_suffix[".safetensors"][0]["figures"]["max_error"] == 0
    assert by_suffix["_int8_tensorrt.onnx"][0]["runtime"] == gate.AS_WRITTEN


@needs("openvino")
def test_openvino_verifies_what_is_for_it(made):
    root, _ = made
    report = json.loads((root / "out/report.json").read_text())
    runtimes = {record["file"]: [check["runtime"] for check in record["checks"]] for record in report["files"]}
    both = [gate.ONNXRUNTIME, gate.OPENVINO]
    for suffix in ("_fp32.onnx", "_fp16.onnx", "_int8_openvino.onnx"):
        assert runtimes[f"aether_custom_x2{suffix}"] == both
    integers = next(record for record in report["files"] if record["file"].endswith("_int8_openvino.onnx"))
    assert [(check["integers"], check["convolutions"]) for check in integers["checks"]] == [(5, 5)] * 2
    timed = {(row["file"], row["runtime"]) for row in report["speed"]}
    assert ("aether_custom_x2_int8_openvino.onnx", gate.OPENVINO) in timed
    assert report["speed"][0]["timing"]["ratio"] == 1.0


def test_the_snippets_of_the_card_run(made, monkeypatch):
    root, _ = made
    monkeypatch.chdir(root / "out")
    card = Path("README.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len(programs) == 4 + HAS_NCNN
    x = picture(1, 3, 12, 10)
    with torch.no_grad():
        expected = aethernet.load_network(root / "net.safetensors")(x).clamp(0, 1).numpy()
    for program in programs:
        if any(f"import {name}" in program or f"from {name} " in program for name in MISSING):
            continue
        values = {"picture": x.numpy()}
        exec(program, values)
        assert values["output"].shape == (1, 3, 24, 20)
        # 20 dB: this network's weights are random, so int8 costs it more than a trained one.
        assert -10 * np.log10(np.mean((values["output"] - expected) ** 2) + 1e-12) > 20


def test_the_card_knows_what_the_header_said(made):
    root, done = made
    card = (root / "out/README.md").read_text()
    assert "license: cc0-1.0" in card and "Three squares." in card and "- seed: 3" in card
    assert "names no training data" not in done.stdout
    assert "Calibrated, not fine-tuned (PTQ), preset ort, on 3 pictures of pictures, where the figures are from" in card


def test_a_file_that_fails_is_not_in_the_bundle(quick, capsys):
    root, harm = quick
    harm.append(products.FP16)
    failed, _, page = released(root)
    printed, out, file = capsys.readouterr().out, root / "out", "aether_custom_x2_fp16.onnx"
    assert failed == ["_fp16.onnx"] and "FAILED" in page
    assert (
        f"{len(SUFFIXES) - 1} of {len(SUFFIXES)} files passed" in printed and "lacks the files that failed" in printed
    )
    assert file not in names(out) and "aether_custom_x2_fp32.onnx" in names(out)
    assert file not in (out / "SHA256SUMS").read_text()
    assert f"Not in this bundle, for they failed their gate: {file} (agreement " in (out / "README.md").read_text()
    harm.clear()  # a bundle that lacks a file makes room for a whole one
    assert not released(root)[0] and file in names(out)


@needs(*products.NCNN_PACKAGES)
def test_ncnn_files_come_and_go_as_pairs(quick):
    root, harm = quick
    harm.append(products.NCNN_FP32)
    failed, report, page = released(root)
    out, pair = root / "out", {"aether_custom_x2_fp32.param", "aether_custom_x2_fp32.bin"}
    assert failed == ["_fp32.param"] and not pair & names(out) and "_fp32.bin" not in (out / "SHA256SUMS").read_text()
    record = next(record for record in report["files"] if record["file"] == "aether_custom_x2_fp16.param")
    assert [check["runtime"] for check in record["checks"]] == [gate.NCNN]
    assert record["checks"][0]["figures"]["agreement"] >= 60
    assert (out / record["weights"]).is_file() and record["weights"] in page
    assert (record["file"], gate.NCNN) in {(row["file"], row["runtime"]) for row in report["speed"]}
    card = (out / "README.md").read_text()
    assert "`aether_custom_x2_fp16.param` with `aether_custom_x2_fp16.bin`: a graph" in card
    assert "-n aether_custom_x2_fp16 -s 2" in card and "keep the `x2`. On Windows" in card
    harm.clear()
    assert not released(root)[0] and pair <= names(out)


@needs(*products.NCNN_PACKAGES)
def test_what_the_padding_of_programs_costs_is_on_the_card(quick, monkeypatch):
    root, _ = quick
    assert released(root)[1]["tile_error"] is None  # it is enough for this network
    for module in (bundle, ncnn_programs):
        monkeypatch.setattr(module, "PREPADDING", 0)
    monkeypatch.setattr(bundle, "SMALLEST_TILE", 8)  # the pictures are small
    _, report, page = released(root)
    assert report["tile_error"]["levels"] > 0 and report["tile_error"]["pictures"] == 3
    for text in ((root / "out/README.md").read_text(), page):
        assert "Measured on 3 pictures in their smallest tiles, 8 pixels: up to" in text


def test_without_the_packages_ncnn_files_are_said_to_be_missing(quick, monkeypatch, capsys):
    root, _ = quick
    monkeypatch.setattr(bundle, "NCNN_PACKAGES", ("no_such_package",))
    failed, report, page = released(root)
    assert not failed and not any("param" in name or name.endswith(".bin") for name in names(root / "out"))
    said = "were not made: no_such_package not installed (pip install ncnn pnnx)"
    card = (root / "out/README.md").read_text()
    assert report["left_out"] and all(said in text for text in (capsys.readouterr().out, page, card))
    assert "Add Custom Models" not in card and 'id="ncnn"' not in page


@pytest.mark.slow
def test_files_that_only_vnni_computes_right_are_refused(made, tmp_path, capsys):
    """On whatever CPU: the verdict comes from the weights in the files. TensorRT has no such kernels."""
    root, _ = made
    network = aethernet.load_network(root / "net.safetensors")
    aethernet.calibrate(network, [picture(1, 3, 9, 8)], quantization={"weight_bits": 8})
    write_checkpoint(tmp_path / "qat.safetensors", network)
    command = [*arguments(root), *QUICK, "--qat", str(tmp_path / "qat.safetensors"), "-o", str(tmp_path / "out")]
    assert main([*command, "--max-drop", "9"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    assert [line.split()[0] for line in lines] == [
        "aether_custom_x2_int8_ort.onnx",
        "aether_custom_x2_int8_openvino.onnx",
    ]
    assert all("right only with VNNI: two products can leave int16 in 5 of 5 convolutions" in line for line in lines)
    records = json.loads((tmp_path / "out/report.json").read_text())["files"]
    remarks = next(record["remarks"] for record in records if record["file"].endswith("tensorrt.onnx"))
    assert any(remark.startswith("On x86 CPUs, which it is not for: right only with VNNI") for remark in remarks)


@pytest.mark.slow
def test_a_whole_bundle_is_not_replaced_by_one_that_lacks_files(quick, capsys):
    root, harm = quick
    assert main([*arguments(root), *QUICK]) == 0
    before = {path.name: path.read_bytes() for path in (root / "out").iterdir()}
    harm.append(products.INT8_ORT)
    for _ in range(2):  # the second time replaces its own OUT.failed
        assert main([*arguments(root), *QUICK]) == 1
        assert f"{root / 'out'} is the earlier bundle, untouched" in capsys.readouterr().out
        assert {path.name: path.read_bytes() for path in (root / "out").iterdir()} == before
        assert "aether_custom_x2_int8_ort.onnx" not in names(root / "out.failed")
    harm.clear()
    assert main([*arguments(root), *QUICK]) == 0
    assert names(root) == {"pictures", "net.safetensors", "out"}


@pytest.mark.parametrize(
    ("module", "step"),
    [(flow, "write_product"), (flow, "hold_files"), (bundle, "measure_latency"), (bundle, "page_html")],
)
def test_an_interrupt_leaves_the_old_bundle_and_nothing_else(quick, monkeypatch, capsys, module, step):
    root, _ = quick
    (root / "out").mkdir()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, step, interrupt)
    assert main([*arguments(root), *QUICK]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert names(root) == {"pictures", "net.safetensors", "out"} and not names(root / "out")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_running_release_can_be_stopped(made, tmp_path, number):
    root, _ = made
    shutil.copytree(root / "out", tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    command = [sys.executable, "-m", "aethernet", *arguments(root), *QUICK, "-o", str(tmp_path / "out")]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + PATIENCE
        while not list(tmp_path.glob(".out.*.part/*.onnx")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        code = process.wait(PATIENCE)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    if number != signal.SIGKILL:
        assert code == 130 and names(tmp_path) == {"out"}


def test_without_openvino_the_report_says_so(quick, monkeypatch):
    root, _ = quick
    monkeypatch.setattr(flow, "openvino_is_there", lambda: False)
    failed, report, page = released(root)
    record = next(record for record in report["files"] if record["file"].endswith("_int8_openvino.onnx"))
    assert not failed and [check["runtime"] for check in record["checks"]] == [gate.ONNXRUNTIME]
    assert flow.OPENVINO_MISSING in record["remarks"] and "its files were verified in ONNX Runtime only" in page


@needs("openvino")
def test_a_file_that_a_runtime_refuses_fails(quick, monkeypatch):
    root, _ = quick

    def refuse(path, threads):
        raise CheckpointError("OpenVINO refuses the exported graph: because")

    monkeypatch.setattr(gate, "OpenVinoSession", refuse)
    failed, _, page = released(root)
    assert failed == ["_fp32.onnx", "_fp16.onnx", "_int8_openvino.onnx"]
    assert "OpenVINO refuses the exported graph: because" in page


def test_a_float16_file_that_overflows_fails(quick, monkeypatch):
    root, _ = quick
    real = flow.half_ranges

    def overflowing(*arguments, **options):
        report = real(*arguments, **options)
        return replace(report, layers=[replace(report.layers[0], activation=7e4), *report.layers[1:]])

    monkeypatch.setattr(flow, "half_ranges", overflowing)
    failed, report, page = released(root)
    assert failed == [suffix for suffix in SUFFIXES if suffix.startswith("_fp16")] and "fp16 overflows in 1 of" in page
    assert not any("fp16" in line["command"] for line in report["tensorrt"])


def test_a_file_that_breaks_while_it_runs_fails(quick, monkeypatch):
    root, _ = quick

    class Breaking(OnnxRuntimeSession):
        def run(self, batch):
            if batch.shape[-1] > 15 and self.path.name.endswith("_fp16.onnx"):
                raise EngineError("[ONNXRuntimeError] too large")
            return super().run(batch)

    monkeypatch.setattr(gate, "OnnxRuntimeSession", Breaking)
    failed, report, _ = released(root)
    check = next(record for record in report["files"] if not record["passed"])["checks"][0]
    assert failed == ["_fp16.onnx"] and check["figures"] is None and "too large" in check["problem"]


def test_a_tuned_checkpoint_is_taken_as_it_is(made, tmp_path):
    root, _ = made
    checkpoint = aethernet.read_checkpoint(root / "net.safetensors")
    tuned = networks.read_tuned(root / "out/aether_custom_x2_qat.safetensors", checkpoint)
    assert tuned.config.stage == "qat"
    with pytest.raises(StageError, match="is of stage train: --qat takes what"):
        networks.read_tuned(root / "net.safetensors", checkpoint)
    write_checkpoint(tmp_path / "other.pth", aether_custom(2, **PLAIN | {"width": 6}, stage="qat"))
    with pytest.raises(CheckpointError, match=r"does not come from .*width: 6 in the weights, 8 here"):
        networks.read_tuned(tmp_path / "other.pth", checkpoint)


def test_whether_weights_were_fine_tuned_is_seen_in_them():
    network = randomise(aether_custom(2, **PLAIN)).eval()
    calibrated = aethernet.calibrate(copy.deepcopy(network), [picture(1, 3, 24, 20)])
    tuned = copy.deepcopy(calibrated)
    tuned.shallow.weight.data *= 1.01
    for found, expected in ((calibrated, False), (tuned, True)):
        assert networks.is_fine_tuned(found, network) is expected
        assert networks.is_fine_tuned(found.convert_to_quantized(), network) is expected
    packaged = aethernet.load_network("aether_tiny_x4_int8")
    assert networks.is_fine_tuned(packaged, aethernet.load_network("aether_tiny_x4"))


@pytest.mark.slow
def test_a_release_with_a_tuned_checkpoint(made, tmp_path):
    root, _ = made
    fused = tmp_path / "grey.pth"
    network = randomise(aether_custom(2, **PLAIN, in_channels=1)).eval().fuse_model()
    write_checkpoint(fused, network)
    qat = aethernet.calibrate(aethernet.load_network(fused), [picture(1, 1, 24, 20)])
    write_checkpoint(tmp_path / "qat.pth", qat)
    base = ["release", str(fused), "--data", str(root / "pictures"), "-o", str(tmp_path / "out"), "--max-drop", "60"]
    assert main([*base, *QUICK, "--qat", str(tmp_path / "qat.pth"), "--name", "grey"]) == 0
    out = tmp_path / "out"
    assert "grey.safetensors" not in names(out)  # the weights came fused
    assert "Calibrated, not fine-tuned (PTQ), in a file: qat.pth." in (out / "README.md").read_text()
    written = aethernet.load_network(out / "grey_qat.safetensors").state_dict()
    assert all(torch.equal(value, written[name]) for name, value in qat.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--max-drop", "-1"], "max-drop must be 0 dB or more"),
        (["--preset", "fast"], "there is no quantization preset 'fast'"),
        (["--name", "../net"], "a name is made of letters"),
        (["--qat", "x.pth", "--calibration", "pictures"], "leave out --calibration"),
        (["--trt-shapes", "64x64", "16x16", "99x99"], "must grow from least to most"),
        (["--data", "nowhere"], "nowhere is not a folder"),
        (["--experiment", "nowhere"], "holds no option file"),
        (["-o", "pictures"], "holds files, but no bundle"),
    ],
)
def test_refusals_leave_nothing(made, tmp_path, monkeypatch, capsys, change, message):
    root, _ = made
    shutil.copy(root / "net.safetensors", tmp_path)
    shutil.copytree(root / "pictures", tmp_path / "pictures")
    before = names(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main([*arguments(tmp_path), *QUICK, *change]) == 1
    assert message in capsys.readouterr().err
    assert names(tmp_path) == before


def test_weights_that_cannot_be_released(made, tmp_path, capsys):
    root, _ = made

    def refused(path: Path) -> str:
        assert main(["release", str(path), "--data", str(root / "pictures"), "-o", str(tmp_path / "out"), *QUICK]) == 1
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err

    assert "is of stage qat: give the float weights" in refused(root / "out/aether_custom_x2_qat.safetensors")
    network = aether_custom(2, **PLAIN)
    with torch.no_grad():
        network.shallow.weight[0, 0, 0, 0] = float("nan")
    write_checkpoint(tmp_path / "nan.pth", network)
    assert "holds numbers that are NaN or infinite, in shallow.weight" in refused(tmp_path / "nan.pth")


def test_a_wrong_fusion_is_never_released(made, monkeypatch):
    root, _ = made
    original = aethernet.AetherNet.fuse_model

    def wrong(self):
        original(self)
        with torch.no_grad():
            self.reconstruction.bias += 1e-2
        return self

    monkeypatch.setattr(aethernet.AetherNet, "fuse_model", wrong)
    with pytest.raises(CheckpointError, match="fused and unfused differ"):
        networks.read_float(root / "net.safetensors", None, lambda *_: None)


def test_a_value_that_is_no_number_passes_no_gate():
    nothing = agreement((float("nan"),) * 3, float("nan"), float("nan"))
    for precision in ("float32", "float16", "int8"):
        assert not budget(precision, 100.0).holds(nothing)
        assert budget(precision, 100.0).holds(agreement((0.0, 0.0, 0.0), 0.0, float("inf")))


def test_trtexec_lines_name_the_shapes():
    lines = engine_lines("net", products.BUNDLE, 1, ((8, 9), (10, 11), (12, 13)))
    assert [line.file for line in lines] == ["net_fp32.onnx", "net_fp16.onnx", "net_int8_tensorrt.onnx"]
    assert lines[2].command == (
        "trtexec --onnx=net_int8_tensorrt.onnx --saveEngine=net_int8_tensorrt.engine --minShapes=input:1x1x8x9 "
        "--optShapes=input:1x1x10x11 --maxShapes=input:1x1x12x13 --stronglyTyped"
    )


def test_where_weights_come_from(made, tmp_path):
    """From their own header, which the files of a bundle carry on; a card beside them is a text for people."""
    root, _ = made
    packaged = read_origin(aethernet.checkpoint.pretrained.path("aether_tiny_x4_fused"))
    assert (packaged.license_id, packaged.datasets) == ("other", ("BSDS500", "T91", "DIV2K"))
    assert "BSDS500" in packaged.data_note and packaged.training["optimizer"].startswith("Muon, lr 0.01")
    write_checkpoint(tmp_path / "net.safetensors", aether_custom(2, **PLAIN), packaged.header("net"))
    assert read_origin(tmp_path / "net.safetensors") == packaged
    given = read_origin(root / "net.safetensors", license_id="mit", datasets=["Mine"])
    assert (given.license_id, given.datasets) == ("mit", ("Mine",))
    assert (given.data_note, given.training) == ("Three squares.", {"seed": "3"})
    assert read_origin(root / "out/aether_custom_x2_qat.safetensors").data_note == "Three squares."
    write_checkpoint(tmp_path / "odd.safetensors", aether_custom(2, **PLAIN), {"training": "[1]", "seed": "3"})
    assert read_origin(tmp_path / "odd.safetensors").training == {"seed": "3"}
    unknown = read_origin(tmp_path / "net.pth")
    assert unknown.data_note == UNKNOWN and not unknown.is_stated
    assert read_origin(tmp_path / "net.pth", data_note="Mine.").is_stated


def test_a_command_is_told_without_folders(tmp_path):
    argv = ["/usr/bin/aethernet", "release", f"{tmp_path}/a b.pth", "--data", f"{tmp_path}/Set5"]
    argv += ["--data-note", "CC-BY/4.0"]
    assert command_for_others(argv) == "aethernet release 'a b.pth' --data Set5 --data-note CC-BY/4.0"
    note = "such and/or such, " * 500  # longer than any name of a file may be
    assert command_for_others(["aethernet", "release", note]) == f"aethernet release '{note}'"


def test_settings_are_checked_once():
    with pytest.raises(UsageError, match="all must be at least 1"):
        Settings(rounds=0)
    assert Settings(name="net-1.0_x2").name == "net-1.0_x2"
