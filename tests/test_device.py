"""Training, resuming, int8 and measuring on the best device at hand: the first GPU, else the CPU.

`python docs/gpu/run.py` runs this file on a GPU. The laws are the same everywhere; where a GPU's sums have no fixed
order, a tolerance stands instead of equality, with its reason.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.extras import needs_basicsr
from helpers.networks import picture, randomise
from helpers.training import environment, tiny_options, write_options, write_pairs
from torch import Tensor, nn
from torch.nn import functional as F

from aethernet import AetherNet, aether_custom, aether_tiny, calibrate, load_network, write_checkpoint
from aethernet.data.calibration import CalibrationInputs
from aethernet.data.pictures import read_rgb

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
takes_long = pytest.mark.usefixtures() if ON_GPU else pytest.mark.slow
"""On a CPU other files hold the same laws, with fewer processes; and few CPUs have kernels for fp16."""
NETWORK = {"width": 16, "depths": [1, 1], "kernel_size": 7}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A folder with pairs of pictures, `gt` and `lq`."""
    root = tmp_path_factory.mktemp("device")
    write_pairs(root, count=8, size=64)
    return root


def command(*arguments: object, root: Path, start: tuple[str, ...] = ("-m", "aethernet")) -> str:
    """Runs `aethernet ARGUMENTS` in a process that sees the GPU; returns what it wrote to the terminal."""
    # cuDNN takes the fastest algorithm of the moment. Without TF32, whose factors have 11 bits, all are float32.
    changes = {"CUDA_VISIBLE_DEVICES": "0", "NVIDIA_TF32_OVERRIDE": "0"} if ON_GPU else {}
    words = [sys.executable, *start, *map(str, arguments)]
    result = subprocess.run(
        words, cwd=root, env=environment(**changes), capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
    return result.stdout + result.stderr


def options(root: Path, name: str, **changes) -> Path:
    """An option file for the device. SGD, since Adam makes whole steps of gradients that are rounding errors."""
    opt = tiny_options(
        root,
        **{
            "name": name,
            "model_type": "AetherModel",
            "num_gpu": 1 if ON_GPU else 0,
            "network_g:norm_freeze_iter": 4,
            "train:optim_g": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
            "train:ema_decay": 0.9,
            "train:total_iter": 8,
            "datasets:train:dataset_enlarge_ratio": 10,
            **changes,
        },
    )
    opt["network_g"] |= NETWORK
    return write_options(opt, root / f"{name}.yml")


def train(root: Path, name: str, *flags: str, start: tuple[str, ...] = ("-m", "aethernet"), **changes) -> dict:
    """Trains and returns the last checkpoint."""
    command("train", "-opt", options(root, name, **changes), *flags, root=root, start=start)
    return torch.load(root / f"experiments/{name}/models/net_g_latest.pth", weights_only=True)


def assert_equal(actual: dict, expected: dict) -> None:
    """The same weights: bit for bit on a CPU.

    On a GPU the algorithm of a convolution and the order of its sums change from run to run; in float32 (`command`)
    that is about 1e-6 of a gradient. Eight SGD steps keep it below 1e-4 of weights whose size is about 0.1 and which
    move by 1e-2; another patch or another random number would show in the second digit.
    """
    for key, weights in expected.items():
        for name, value in weights.items():
            if ON_GPU:
                close = torch.allclose(actual[key][name], value, rtol=1e-3, atol=1e-4)
                assert close, f"{key}/{name}: {(actual[key][name] - value).abs().max()}"
            else:
                assert torch.equal(actual[key][name], value), f"{key}/{name}"


def pairs(root: Path) -> list[tuple[Tensor, Tensor]]:
    """The pictures as (1, 3, 32, 32) and (1, 3, 64, 64)."""
    names = sorted(path.name for path in (root / "gt").iterdir())
    read = [[torch.from_numpy(read_rgb(root / kind / name)[0]) for kind in ("lq", "gt")] for name in names]
    return [tuple(each.permute(2, 0, 1)[None] / 255 for each in pair) for pair in read]


@torch.no_grad()
def loss_of(network: nn.Module, root: Path) -> float:
    """L1 on the whole pictures, on the CPU in float32."""
    return sum((network.eval()(lq) - gt).abs().mean().item() for lq, gt in pairs(root))


@needs_basicsr
@takes_long
@pytest.mark.parametrize("amp", [None, "bf16"])
def test_the_trainer_learns(root, amp):
    """With Muon, workers and pinned memory; the network that starts is the picture, enlarged by nearest neighbours."""
    name = f"learns_{amp or 'fp32'}"
    changes = {
        "train:optim_g": {"type": "Muon", "lr": 0.02},
        "train:total_iter": 60,
        "network_g:norm_freeze_iter": 20,
        "train:grad_clip": 1.0,
        "train:amp": amp,
        "datasets:train:num_worker_per_gpu": 2,
        "datasets:train:pin_memory": True,
        "datasets:train:prefetch_mode": "cuda" if ON_GPU else None,
    }
    content = train(root, name, **changes)
    assert all(torch.isfinite(value).all() for value in content["params"].values())
    assert {value.dtype for value in content["params"].values() if value.is_floating_point()} <= {
        torch.float32,
        torch.float64,
    }
    torch.manual_seed(0)
    trained, start = AetherNet.from_state_dict(content["params_ema"]), aether_custom(2, **NETWORK)
    assert loss_of(trained, root) < 0.8 * loss_of(start, root)


@pytest.mark.parametrize(
    "precision",
    [pytest.param(torch.float16, id="fp16", marks=takes_long), pytest.param(torch.bfloat16, id="bf16")],
)
def test_a_plain_loop_learns_in_half_precision(precision):
    """As neosr and traiNNer-redux train: autocast, and loss scaling for fp16."""
    torch.manual_seed(0)
    network = aether_custom(2, **NETWORK, norm_freeze_iter=10).to(DEVICE).train()
    optimizer = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad], lr=2e-3)
    scaler = torch.amp.GradScaler(DEVICE, enabled=precision is torch.float16, init_scale=1024.0)
    gt = F.interpolate(picture(4, 3, 8, 8), size=(48, 48), mode="bicubic").clamp(0, 1).to(DEVICE)
    lq = F.avg_pool2d(gt, 2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        with torch.autocast(DEVICE, dtype=precision):
            out = network(lq)
        loss = F.l1_loss(out.float(), gt)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
    assert losses[-1] < 0.7 * losses[0]


@needs_basicsr
@takes_long
def test_a_resumed_training_equals_a_straight_one(root):
    """With stochastic depth, whose random numbers come from the device."""
    changes = {"network_g:drop_path": 0.3, "logger:save_checkpoint_freq": 4}
    straight = train(root, "straight", **changes)
    train(root, "resumed", **{**changes, "train:total_iter": 4})
    assert_equal(train(root, "resumed", "--auto_resume", **changes), straight)


@needs_basicsr
@takes_long
def test_one_distributed_process_trains_as_a_plain_one(root):
    plain = train(root, "plain")
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1", "-m", "aethernet")
    assert_equal(train(root, "one_of_one", "--launcher", "pytorch", start=start), plain)
    (log,) = (root / "experiments/one_of_one").glob("train_*.log")
    assert "Network: DistributedDataParallel - AetherNet" in log.read_text()


@needs_basicsr
@takes_long
def test_int8_fine_tuning(root, tmp_path):
    """Float weights in, ranges found on the training set, and an integer network that is near to the float one."""
    torch.manual_seed(0)
    network = randomise(aether_custom(2, **NETWORK)).eval()
    write_checkpoint(root / "float.pth", network)
    changes = {"path:pretrain_network_g": str(root / "float.pth"), "path:param_key_g": "params"}
    opt = {"network_g:stage": "qat", "train:optim_g": {"type": "AdamW", "lr": 1e-5}, "train:grad_clip": 1.0}
    content = train(root, "qat", **opt, **changes)
    write_checkpoint(tmp_path / "qat.pth", load_network(root / "experiments/qat/models/net_g_latest.pth"))
    quantized = load_network(tmp_path / "qat.pth").convert_to_quantized()
    assert all(value > 0 for name, value in content["params_ema"].items() if name.endswith("quantizer.range"))
    x = next(iter(CalibrationInputs([root / "gt"], 2, 3, 1)))
    with torch.no_grad():
        exact, rounded = network(x), quantized(x)
    # 8 bits in every layer of a random network; an int8 network that lost its ranges is off by the whole picture.
    assert (exact - rounded).abs().mean() < 0.05 * exact.abs().mean()


def outputs(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a network computes on the CPU and on the device."""
    with torch.no_grad():
        on_cpu = network(x)
        on_device = network.to(DEVICE)(x.to(DEVICE)).cpu()
    network.cpu()
    return on_cpu, on_device


def int8_network(factory, **arguments) -> nn.Module:
    torch.manual_seed(0)
    network = randomise(factory(2, **arguments)).eval()
    inputs = [picture(1, 3, 24, 20, seed=seed) for seed in range(3)]
    return calibrate(network, inputs).convert_to_quantized()


def test_integers_are_the_same_on_the_device():
    """Convolutions and LeakyReLU: every sum is exact, so the device's way of summing does not show."""
    on_cpu, on_device = outputs(int8_network(aether_tiny), picture(1, 3, 40, 36, seed=7))
    assert torch.equal(on_cpu, on_device)


def test_integers_behind_a_sigmoid_differ_by_single_levels():
    """exp has other last bits on a GPU, which decide where a gate lies half-way between two levels."""
    network = int8_network(aether_custom, **NETWORK)
    on_cpu, on_device = outputs(network, picture(1, 3, 40, 36, seed=7))
    if not ON_GPU:
        assert torch.equal(on_cpu, on_device)
        return
    differing = (on_cpu != on_device).double().mean()
    assert differing < 0.02, f"{differing:.2%} of the values differ"
    assert (on_cpu - on_device).abs().max() < 0.05 * on_cpu.abs().max()


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    # TF32 has 11 bits, as fp16 has; bf16 has 8. Errors of 30 layers add up to a few units of that.
    [(torch.float32, 1e-2), (torch.float16, 1e-2), (torch.bfloat16, 8e-2)],
    ids=["fp32", "fp16", "bf16"],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["nchw", "channels_last"])
def test_the_deployed_network_computes_the_same_in_every_form(precision, tolerance, layout):
    torch.manual_seed(0)
    network = randomise(aether_custom(2, **NETWORK)).eval().fuse_model()
    x = picture(1, 3, 40, 36)
    with torch.no_grad():
        exact = network(x)
        moved = network.to(DEVICE, precision).to(memory_format=layout)
        result = moved(x.to(DEVICE, precision).to(memory_format=layout)).float().cpu()
    assert (result - exact).abs().max() < tolerance * exact.abs().max()


@needs_basicsr
def test_a_teacher_computes_in_half_precision_on_the_device():
    from aethernet.integrations.basicsr.training.distillation import load_teacher

    teacher = load_teacher("aether_tiny_x2")
    x = picture(1, 3, 40, 36)
    with torch.no_grad():
        exact = teacher.network(x)
    teacher.network.to(DEVICE)
    taught = teacher(x.to(DEVICE)).cpu()
    assert taught.dtype == torch.float32 and not taught.requires_grad
    if ON_GPU:
        assert not torch.equal(taught, exact)
        assert (taught - exact).abs().max() < 1e-2  # 11 bits through seven layers
    else:
        assert torch.equal(taught, exact)


@takes_long
def test_bench_measures_on_the_device(root):
    engines = ["cuda", "cuda_fp16"] if ON_GPU else ["eager", "channels_last"]
    network = root / "network.pth"
    write_checkpoint(network, aether_custom(2, **NETWORK).eval())
    text = command("bench", "speed", network, "--engines", *engines, "--size", "32x32", "--rounds", 2, root=root)
    assert all(engine in text for engine in engines)
    psnr = {}
    for device in ("cpu", DEVICE):
        file = root / f"{device}.json"
        command("bench", "quality", network, "--sets", root / "gt", "--device", device, "--json", file, root=root)
        psnr[device] = json.loads(file.read_text())["scores"][0]["mean"]["psnr"]
    assert psnr[DEVICE] == pytest.approx(psnr["cpu"], abs=0.01)  # float32 in other orders, rounded to 8 bits
