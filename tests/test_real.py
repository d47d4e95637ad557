"""Inputs degraded during training: as BasicSR's classes degrade them, on any device, and a resumed run goes on with its pool."""

import copy
import logging
import random
import shutil
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from helpers.models import NETWORK, build_model, copy_of, gan_options, options
from helpers.real import BATCH, QUEUE, SETTINGS, real_run
from helpers.training import preflight_problems, run_aethernet, write_options, write_pairs

from aethernet.integrations.basicsr import compat
from aethernet.integrations.basicsr.pipeline.run_state import capture, restore
from aethernet.integrations.basicsr.training.calibration import ensure_calibrated
from aethernet.integrations.basicsr.training.degradation import compact, extended
from aethernet.quantization.fake import quantizers


def real_options(model_type: str = "AetherRealModel", **changes) -> dict:
    opt = gan_options() if "GAN" in model_type else options()
    opt |= {**SETTINGS, "gt_usm": True, "model_type": model_type, "manual_seed": 0}
    if "GAN" in model_type:
        opt |= {"l1_gt_usm": True, "percep_gt_usm": True, "gan_gt_usm": False}
    opt["datasets"] = {"train": {"batch_size_per_gpu": BATCH}}
    return {**opt, **changes}


def batch(iteration: int, side: int = 64) -> dict[str, torch.Tensor]:
    """What a loader gives: pictures with some detail in 8 bits, and kernels."""
    generator = torch.Generator().manual_seed(iteration)
    gt = torch.rand(BATCH, 3, side // 4, side // 4, generator=generator)
    gt = (torch.nn.functional.interpolate(gt, size=side, mode="bicubic").clamp(0, 1) * 255).round() / 255
    kernels = torch.rand(3, BATCH, 21, 21, generator=generator) ** 8
    kernels /= kernels.sum(dim=(-1, -2), keepdim=True)
    return {"gt": gt, **dict(zip(("kernel1", "kernel2", "sinc_kernel"), kernels, strict=True))}


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)
    torch.manual_seed(number)


def steps(model, first: int, last: int) -> None:
    for iteration in range(first, last + 1):
        model.update_learning_rate(iteration)
        model.feed_data(batch(iteration))
        model.optimize_parameters(iteration)


@pytest.mark.parametrize(
    ("ours", "stock"), [("AetherRealModel", "RealESRNetModel"), ("AetherRealGANModel", "RealESRGANModel")]
)
def test_inputs_are_those_of_basicsr(ours, stock):
    """On a CPU, where BasicSR's own classes need `compat`; past the moment when the pool is full."""
    models = [build_model(real_options(model_type)) for model_type in (ours, stock)]
    for iteration in range(1, QUEUE // BATCH + 4):
        for model in models:
            seed(iteration)
            model.feed_data(batch(iteration))
        own, other = models
        assert torch.equal(own.lq, other.lq) and torch.equal(own.gt, other.gt)
        assert own.lq.shape == (BATCH, 3, 16, 16) and own.gt.shape == (BATCH, 3, 32, 32)
        if "GAN" in ours:
            assert torch.equal(own.target("l1"), other.gt_usm)
            assert torch.equal(own.target("gan"), other.gt)
            assert not torch.equal(own.target("l1"), own.gt)
    assert not torch.equal(own.degradation.queue_lr[:BATCH], own.lq), "pairs come from the pool"


def test_the_stock_classes_train_on_a_cpu():
    for model_type in ("RealESRNetModel", "RealESRGANModel"):
        model = build_model(real_options(model_type))
        before = copy_of(model.net_g)
        steps(model, 1, 1)
        assert not torch.equal(before["shallow.weight"], model.net_g.state_dict()["shallow.weight"])
        assert model.queue_lr.device.type == "cpu"


def test_with_gt_usm_off_inputs_of_a_gan_are_made_of_the_pictures_as_they_are():
    lqs = []
    for model_type, usm in (("AetherRealGANModel", False), ("AetherRealModel", False), ("AetherRealGANModel", True)):
        model = build_model(real_options(model_type, gt_usm=usm))
        seed(0)
        model.feed_data(batch(0))
        lqs.append(model.lq)
    assert torch.equal(lqs[0], lqs[1])
    assert not torch.equal(lqs[0], lqs[2])


PHOTO = {
    **{"resize_prob": [0, 0, 1], "resize_prob2": [0, 0, 1], "gaussian_noise_prob": 1, "gaussian_noise_prob2": 1},
    **{
        "noise_range": [0, 0],
        "noise_range2": [0, 0],
        "second_blur_prob": 0,
        "jpeg_range": [99, 99],
        "jpeg_range2": [99, 99],
    },
    "gt_usm": False,
}
"""Nothing but reductions."""


@pytest.mark.parametrize("model_type", ["AetherRealModel", "AetherRealGANModel"])
def test_antialiased_reductions_leave_nothing_of_what_is_too_fine(model_type):
    """Stripes of one pixel become grey, which BasicSR's bilinear and bicubic keep as they fall; its own stay as they were."""
    stripes = batch(0)
    stripes["gt"] = (torch.arange(64) % 2).float().expand(BATCH, 3, 64, 64).contiguous()
    identity = torch.zeros(21, 21)
    identity[10, 10] = 1
    stripes |= dict.fromkeys(("kernel1", "kernel2", "sinc_kernel"), identity.expand(BATCH, 21, 21))
    spread = {}
    for antialias in (True, False):
        model = build_model(real_options(model_type, scale=2, antialias=antialias, **PHOTO))
        spread[antialias] = []
        for number in range(6):
            seed(number)
            model.feed_data({**stripes, "gt": stripes["gt"].roll(number % 2, 3)})
            spread[antialias].append((model.degradation.lq - 0.5).abs().max().item())
    assert max(spread[True]) < 0.15, "but for what a triangle of two pixels lets through, and JPEG"
    assert max(spread[False]) > max(spread[True])
    assert sys.modules["basicsr.models.realesrnet_model"].F is torch.nn.functional


@pytest.mark.parametrize("model_type", ["AetherRealModel", "AetherRealGANModel"])
def test_pairs_are_taken_as_they_are_and_validation_too(model_type):
    model = build_model(real_options(model_type))
    pair = {"lq": torch.rand(1, 3, 16, 16), "gt": torch.rand(1, 3, 32, 32)}
    model.feed_data(pair)
    assert torch.equal(model.lq, pair["lq"]) and torch.equal(model.gt, pair["gt"])
    model.optimize_parameters(1)


def test_a_scale_of_3_goes_with_pictures_of_any_size():
    network = {**NETWORK, "scale": 3}
    model = build_model(real_options(scale=3, network_g=network, gt_size=30))
    seed(0)
    model.feed_data(batch(0, side=64))
    assert model.lq.shape == (BATCH, 3, 10, 10) and model.gt.shape == (BATCH, 3, 30, 30)


@pytest.mark.parametrize("interruption", [2, 5], ids=["pool_not_full", "pool_full"])
@pytest.mark.parametrize("model_type", ["AetherRealModel", "AetherRealGANModel"])
def test_a_resumed_run_has_the_pool_and_the_weights_of_a_straight_one(model_type, interruption, tmp_path):
    path = {"models": str(tmp_path), "training_states": str(tmp_path)}
    seed(0)
    straight = build_model(real_options(model_type, path=path))
    steps(straight, 1, interruption)
    straight.save(0, interruption)
    generators = capture()
    steps(straight, interruption + 1, 7)

    seed(1)  # whatever is drawn until the state is back
    names = (
        {"g": "pretrain_network_g", "d": "pretrain_network_d"} if "GAN" in model_type else {"g": "pretrain_network_g"}
    )
    weights = {name: str(tmp_path / f"net_{letter}_{interruption}.pth") for letter, name in names.items()}
    resumed = build_model(real_options(model_type, path={**path, **weights}))
    state = torch.load(tmp_path / f"{interruption}.state", weights_only=False)
    resumed.resume_training(state)
    restore(generators)
    steps(resumed, interruption + 1, 7)

    assert resumed.degradation.queue_ptr == straight.degradation.queue_ptr
    for name in ("queue_lr", "queue_gt"):
        assert torch.equal(getattr(resumed.degradation, name), getattr(straight.degradation, name))
    for letter in names:
        for name, value in getattr(straight, f"net_{letter}").state_dict().items():
            assert torch.equal(getattr(resumed, f"net_{letter}").state_dict()[name], value), name


@pytest.mark.parametrize(
    ("changes", "batch_size"), [({"queue_size": 8}, BATCH), ({"gt_size": 28}, BATCH), ({}, 3)], ids=str
)
def test_a_pool_that_does_not_fit_is_told_and_fills_anew(changes, batch_size, tmp_path, caplog):
    path = {"models": str(tmp_path), "training_states": str(tmp_path)}
    model = build_model(real_options(path=path))
    steps(model, 1, 1)
    model.save(0, 1)
    other = build_model(real_options(**changes))
    other.opt["datasets"]["train"]["batch_size_per_gpu"] = batch_size
    logging.getLogger("basicsr").addHandler(caplog.handler)
    try:
        other.resume_training(torch.load(tmp_path / "1.state", weights_only=False))
    finally:
        logging.getLogger("basicsr").removeHandler(caplog.handler)
    assert "no pool of pairs for these processes, sizes and batches: it fills anew" in caplog.text
    assert not hasattr(other.degradation, "queue_lr")


def test_a_pool_of_bytes_is_saved_in_bytes_and_another_as_it_is():
    exact = torch.arange(256).float().reshape(1, 1, 16, 16) / 255
    assert compact(exact).dtype == torch.uint8 and torch.equal(extended(compact(exact)), exact)
    between = exact + 1e-6
    assert compact(between).dtype == torch.float32 and torch.equal(extended(compact(between)), between)


# In option files


@pytest.fixture
def pictures(tmp_path):
    write_pairs(tmp_path, size=96)
    return tmp_path


def test_sound_options_pass(pictures):
    assert preflight_problems(pictures, real_run(pictures)) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jpeg_range": [30, 100]}, "jpeg_range: must be two numbers from 1 to 99, the smaller one first, not [30, 100]"),
        ({"resize_prob": [0, 0, 0]}, "resize_prob: must be three weights (larger, smaller, as it is)"),
        ({"resize_range2": [1.2, 0.3]}, "resize_range2: must be two numbers from 0.01 to 10"),
        ({"second_blur_prob": 2}, "second_blur_prob: must be a probability in [0, 1], not 2"),
        ({"noise_range": "1e1"}, "noise_range: must be two numbers from 0 to 255"),
        ({"queue_size": 181}, "queue_size: must be a multiple of batch_size_per_gpu 2, such as 180, not 181"),
        ({"gt_size": 402}, "gt_size: must be a multiple of the scale 2 and at most 400 at the top level, not 402"),
        ({"gt_usm": None}, "gt_usm: is missing at the top level; AetherRealModel degrades its inputs with it"),
        ({"antialias": "no"}, "antialias: must be true or false, not 'no'"),
        ({"model_type": "RealESRNetModel", "antialias": True}, "antialias: nobody reads this key with model_type RealESRNet"),
        ({"jpg_range": [1, 2]}, "jpg_range: nobody reads this key with model_type AetherRealModel"),
        ({"model_type": "AetherModel"}, "RealESRGANDataset gives no low-resolution pictures, and AetherModel makes none"),
        ({"high_order_degradation": False}, "makes none with high_order_degradation: false"),
        ({"datasets:train:kernel_list": ["round"]}, "kernel_list: must be a list of iso, aniso"),
        ({"datasets:train:kernel_prob2": [1]}, "kernel_prob2: must be 2 weights, one for each of kernel_list2, not [1]"),
        ({"datasets:train:blur_sigma": [0, 3]}, "blur_sigma: must be two numbers from 0.05 to 100"),
        ({"datasets:train:sinc_prob": -1}, "datasets: train: sinc_prob: must be a probability"),
        ({"datasets:train:final_sinc_prob": None}, "final_sinc_prob: is missing"),
        ({"datasets:train:meta_info": None}, "meta_info: is missing; name the list that `aethernet data prepare` writes"),
        ({"datasets:train:type": "AetherSyntheticDataset"}, "gives pairs, and AetherRealModel degrades what"),
    ],
)  # fmt: skip
def test_what_would_fail_or_train_something_else_is_refused(pictures, change, message):
    opt = real_run(pictures)
    for entry, value in change.items():
        *sections, key = entry.split(":")
        section = opt
        for name in sections:
            section = section[name]
        section[key] = value
    assert message in preflight_problems(pictures, opt)


def test_the_stock_classes_are_refused_scales_that_they_fail_with(pictures):
    opt = real_run(pictures, "RealESRNetModel")
    opt |= {"scale": 3, "gt_size": 30}
    opt["network_g"]["scale"] = 3
    problems = preflight_problems(pictures, opt)
    assert "scale: 3 does not divide the 400 pixels" in problems and "set model_type: AetherRealModel" in problems
    assert "400 pixels" not in preflight_problems(pictures, {**opt, "model_type": "AetherRealModel"})


def test_stage_qat_calibrates_on_degraded_inputs(monkeypatch):
    """And leaves the generators as they were."""
    from aethernet.integrations.basicsr.training import calibration

    samples = [{name: value[0] for name, value in batch(number).items()} for number in range(2)]
    monkeypatch.setattr(calibration, "build_dataset", lambda options: samples)
    model = build_model(real_options())
    ranges = []
    for _ in range(2):
        network = copy.deepcopy(model.net_g).eval().prepare_qat()
        before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
        ensure_calibrated(network, None, model.opt, model.input_of)
        after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
        assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
        assert all(quantizer.known for _, quantizer in quantizers(network))
        ranges.append(torch.stack([quantizer.range.max() for _, quantizer in quantizers(network)]))
    assert torch.equal(*ranges)


def load(path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["AetherRealModel", "AetherRealGANModel"])
def test_an_interrupted_training_ends_as_a_straight_one(pictures, model_type):
    """`aethernet train` with BasicSR's data set, two workers in the resumed run, an interruption when the pool is full."""
    changes = {"train:total_iter": 8, "logger:save_checkpoint_freq": 4, "datasets:train:dataset_enlarge_ratio": 2}
    opt = real_run(pictures, model_type, **changes)
    if "GAN" in model_type:
        opt |= {"l1_gt_usm": True, "percep_gt_usm": True, "gan_gt_usm": False, "network_d": gan_options()["network_d"]}
        opt["train"] |= {key: gan_options()["train"][key] for key in ("optim_d", "gan_opt")}
    run_aethernet("train", "-opt", write_options(opt, pictures / "tiny.yml"), cwd=pictures)
    whole, resumed = (pictures / "experiments" / name for name in ("tiny", "again"))
    for folder, file in (("training_states", "4.state"), ("models", "net_g_4.pth"), ("models", "net_d_4.pth")):
        (resumed / folder).mkdir(parents=True, exist_ok=True)
        if (whole / folder / file).exists():
            shutil.copy(whole / folder / file, resumed / folder)
    opt = copy.deepcopy({**opt, "name": "again"})
    opt["datasets"]["train"]["num_worker_per_gpu"] = 2
    run_aethernet("train", "-opt", write_options(opt, pictures / "again.yml"), "--auto_resume", cwd=pictures)
    states = [load(root / "training_states" / "8.state")["pools"][0] for root in (whole, resumed)]
    assert states[0]["queue_ptr"] == QUEUE == states[1]["queue_ptr"]
    assert all(torch.equal(states[0][name], states[1][name]) for name in ("queue_lr", "queue_gt"))
    weights = [load(root / "models" / "net_g_8.pth") for root in (whole, resumed)]
    for key in ("params", "params_ema"):
        assert all(torch.equal(value, weights[1][key][name]) for name, value in weights[0][key].items())


# The repair of BasicSR's filter


def test_filter2d_takes_any_layout():
    filter2d = sys.modules["basicsr.utils.img_process_util"].filter2D
    img, kernel = torch.rand(2, 3, 12, 12), torch.rand(2, 5, 5)
    expected = filter2d(img, kernel)
    assert torch.equal(filter2d(img.to(memory_format=torch.channels_last), kernel), expected)
    assert torch.equal(filter2d(img[..., :6], kernel), filter2d(img[..., :6].contiguous(), kernel))


def test_what_needs_no_repair_is_left_alone():
    """A filter that takes all layouts, and model classes without `.cuda()`, as a newer BasicSR may have them."""
    filters, models = ModuleType("filters"), ModuleType("models")

    def filter2d(img, kernel):
        return img

    class RealESRNetModel:
        def _dequeue_and_enqueue(self):
            pass

    filters.filter2D, models.RealESRNetModel = filter2d, RealESRNetModel
    exchange = RealESRNetModel._dequeue_and_enqueue
    assert compat.let_filter2d_take_any_layout(filters) is None and filters.filter2D is filter2d
    assert compat.let_real_models_use_any_device(models) is None
    assert RealESRNetModel._dequeue_and_enqueue is exchange


def test_every_repair_that_was_made_is_told():
    told = compat.apply()
    assert "basicsr.utils.img_process_util: filter2D takes pictures of any memory layout" in told
    assert "basicsr.models.realesrnet_model: RealESRNetModel works on the device of its network" in told
