"""The model classes for BasicSR: optimisers, clipping, mixed precision, the guard, files, and the GAN model."""

import errno
import math
from pathlib import Path

import pytest
import safetensors.torch
import torch
from helpers.models import PICTURES, STATISTICS, build_model, copy_of, gan_options, models, options, train
from helpers.training import run_aethernet, start_ranks, tiny_options, write_options, write_pairs
from torch import distributed, nn

from aethernet.checkpoint.checkpoint import read_checkpoint
from aethernet.errors import AetherError, CheckpointError, NonFiniteLossError, OptionError, OutputError, StageError
from aethernet.integrations.basicsr.training.guard import StepGuard, watched_log
from aethernet.network.norms import DeploymentNorm


@pytest.fixture
def path(tmp_path):
    return {"models": str(tmp_path / "models"), "training_states": str(tmp_path / "training_states")}


def assert_equal(actual: dict, expected: dict, but: tuple[str, ...] = ()) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert name.endswith(but) or torch.equal(actual[name], value), name


def spoil(key: str, iterations: range):
    """Puts one NaN into `key` of the batches of these iterations."""

    def damage(iteration: int, batch: dict) -> None:
        if iteration in iterations:
            batch[key][0, 0, 0, 0] = float("nan")

    return damage


def test_registering_again_is_harmless():
    models.register()
    registered = dict(iter(models.MODEL_REGISTRY))
    assert registered["AetherModel"] is models.AetherModel
    assert registered["AetherGANModel"] is models.AetherGANModel


# Optimisers


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Muon", "NAdam", "RAdam", "SGD"])
def test_each_optimizer_trains(name):
    model = build_model(options(optim_g={"type": name, "lr": "1e-3"}))  # text, as YAML reads a number without a dot
    before = copy_of(model.net_g)
    train(model, 1, 2)
    assert type(model.optimizer_g).__name__ == name
    after = copy_of(model.net_g)
    assert not torch.equal(before["shallow.weight"], after["shallow.weight"])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"type": "Lion", "lr": 1e-3}, "type must be one of Adam, AdamW, Muon, NAdam, RAdam, SGD, not 'Lion'"),
        ({"type": "AdamW", "lr": 1e-3, "beta": 0.9}, "AdamW has no argument beta; it has: lr, betas"),
        ({"type": "AdamW"}, "learning rate is missing"),
        ({"type": "AdamW", "lr": "fast"}, "optim_g: lr must be a number such as 0.0002, not 'fast'"),
    ],
)
def test_a_wrong_optimizer_section_is_refused(section, message):
    with pytest.raises(OptionError, match=message):
        build_model(options(optim_g=section))


@pytest.mark.parametrize("weight_decay", [0, 0.01])
def test_every_trainable_parameter_is_optimised_and_no_statistic(weight_decay, log):
    model = build_model(options(optim_g={"type": "AdamW", "lr": 1e-3, "weight_decay": weight_decay}))
    groups = model.optimizer_g.param_groups
    given = [id(parameter) for group in groups for parameter in group["params"]]
    expected = [id(parameter) for parameter in model.net_g.parameters() if parameter.requires_grad]
    assert sorted(given) == sorted(expected)
    statistics = [name for name, value in model.net_g.named_parameters() if not value.requires_grad]
    assert len(statistics) == 3 * 3  # mean, variance and counter of two blocks and the fusion
    assert sum("9 parameters without gradient" in record.message for record in log.records) == 1
    assert len(groups) == (2 if weight_decay else 1)
    for group in groups:
        for parameter in group["params"]:
            assert group["weight_decay"] == (weight_decay if parameter.ndim > 1 else 0)


# Clipping and mixed precision


def test_clipping_bounds_the_norm_that_the_optimiser_sees():
    norms = {}
    for limit in (None, 1e-3):
        torch.manual_seed(0)
        model = build_model(options(grad_clip=limit))

        def remember(optimizer, *_, limit=limit):
            gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            norms[limit] = torch.cat([gradient.flatten() for gradient in gradients]).norm().item()

        model.optimizer_g.register_step_pre_hook(remember)
        train(model, 1, 1)
        assert model.get_current_log()["grad_norm"] == pytest.approx(norms[None], rel=1e-5)  # before clipping
    assert norms[None] > 1e-2
    assert norms[1e-3] <= 1e-3 * (1 + 1e-5)


def test_mixed_precision_reaches_the_layers_but_neither_loss_weights_nor_validation():
    model = build_model(options(amp="bf16", ema_decay=0.9))
    seen = []
    for network in (model.net_g, model.net_g_ema):
        network.reconstruction.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    train(model, 1, 8)  # the statistics freeze at 6: both forms of the norm run
    assert set(seen) == {torch.bfloat16}
    assert model.output.dtype == torch.float32
    assert {value.dtype for value in model.net_g.parameters()} == {torch.float32}
    seen.clear()
    model.test()
    assert seen == [torch.float32]


@pytest.mark.parametrize(
    ("train_options", "message"),
    [
        ({"amp": "fp16"}, "fp16 is not offered.*needs loss scaling.*Use amp: bf16"),
        ({"amp": True}, "amp must be bf16 .* or ~ .*, not True"),
        ({"grad_clip": 0}, "grad_clip must be a positive norm"),
        ({"max_nonfinite": 0}, "max_nonfinite must be a whole number of at least 1, not 0"),
        ({"norm_freeze_iter": 0.3}, "norm_freeze_iter must be a whole number"),
        ({"ema_warmup": 5}, "ema_warmup must be true or false"),
    ],
)
def test_wrong_training_options_are_refused(train_options, message):
    with pytest.raises(OptionError, match=message):
        build_model(options(**train_options))


# The guard


@pytest.mark.parametrize("key", ["lq", "gt"])
def test_a_batch_that_is_not_finite_leaves_no_trace(key):
    model = build_model(options(ema_decay=0.9, optim_g={"type": "AdamW", "lr": 1e-3}))
    train(model, 1, 3)
    before, average = copy_of(model.net_g), copy_of(model.net_g_ema)
    moments = {id(p): {k: v.clone() for k, v in s.items()} for p, s in model.optimizer_g.state.items()}
    train(model, 4, 4, damage=spoil(key, range(4, 5)))
    # The counter goes on. With a damaged gt the statistics are those of a sound lq, and are kept.
    assert_equal(copy_of(model.net_g), before, but=("iterations",) if key == "lq" else ("iterations", *STATISTICS))
    assert all(torch.isfinite(value).all() for value in model.net_g.parameters())
    assert_equal(copy_of(model.net_g_ema), average)
    for parameter, state in model.optimizer_g.state.items():
        assert all(torch.equal(value, moments[id(parameter)][name]) for name, value in state.items())
    assert all(parameter.grad is None for parameter in model.net_g.parameters())
    assert model.get_current_log()["skipped"] == 1
    train(model, 5, 5)
    assert not torch.equal(copy_of(model.net_g)["shallow.weight"], before["shallow.weight"])
    assert torch.isfinite(torch.tensor(model.get_current_log()["l_pix"]))


def test_a_gradient_that_is_not_finite_is_refused_too():
    model = build_model(options(grad_clip=1.0))
    before = copy_of(model.net_g)
    hook = model.net_g.shallow.weight.register_hook(lambda gradient: gradient * float("inf"))
    train(model, 1, 1)
    hook.remove()
    assert_equal(copy_of(model.net_g), before, but=("iterations", *STATISTICS))
    assert model.get_current_log()["skipped"] == 1


@pytest.mark.filterwarnings("ignore:Detected call of")  # the scheduler went on without a step
def test_training_stops_after_too_many_in_a_row_and_not_before(log):
    model = build_model(options(max_nonfinite=3))
    train(model, 1, 3, damage=spoil("gt", range(1, 3)))  # two, then a good one
    assert "skipped" in model.get_current_log()
    assert sum("step skipped" in record.message for record in log.records) == 2
    before = copy_of(model.net_g)
    message = r"iteration 6: loss nan and gradient norm .* of net_g .* for 3 steps in a row.*learning rate.*grad_clip"
    with pytest.raises(AetherError, match=message):
        train(model, 4, 9, damage=spoil("gt", range(4, 10)))
    assert_equal(copy_of(model.net_g), before, but=("iterations", *STATISTICS))


@pytest.mark.parametrize("value", [0.5, math.inf])
def test_losses_of_other_classes_are_watched(value, caplog):
    """BasicSR's own classes take a step with NaN, which makes the weights NaN; others may have a guard of their own."""
    losses = {"l_pix": value, "out_d_real": math.nan}
    assert watched_log("SRModel", lambda: losses, stops=True)() is losses
    lost = {**losses, "l_g_total": math.nan}
    with pytest.raises(NonFiniteLossError, match=r"the loss l_g_total is NaN.* SRModel takes such steps.*AetherModel"):
        watched_log("SRModel", lambda: lost, stops=True)()
    assert watched_log("OtherModel", lambda: lost, stops=False)() is lost


def test_a_stock_training_ends_with_its_numbers(tmp_path):
    write_pairs(tmp_path)
    changes = {"train:optim_g:lr": 1e30, "train:total_iter": 30, "logger:save_checkpoint_freq": 30, "val": None}
    opt = tiny_options(tmp_path, **changes)
    del opt["datasets"]["val"]
    write_options(opt, tmp_path / "x.yml")
    result = run_aethernet("train", "-opt", "x.yml", cwd=tmp_path, check=False)
    assert result.returncode == 1
    assert "aethernet train: error: the loss l_pix is NaN" in result.stderr
    assert not list(tmp_path.rglob("*.pth"))


def take_steps(rank: int, folder: str) -> None:
    """One of two processes; it leaves in a file which of three steps it took."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    net = nn.Linear(1, 1)
    guard = StepGuard("net_g", torch.optim.SGD(net.parameters(), 0.1), grad_clip=None, max_nonfinite=3)
    taken = []
    for damaged in (None, 1, 0):
        loss = net(torch.ones(1, 1)).sum()
        loss.backward()
        taken.append(guard.step(loss * float("nan") if rank == damaged else loss, 1))
    distributed.destroy_process_group()
    torch.save(taken, f"{folder}/{rank}.pth")


def test_ranks_decide_alike(tmp_path):
    start_ranks(take_steps, tmp_path)
    assert [torch.load(tmp_path / f"{rank}.pth") for rank in range(2)] == [[True, False, False]] * 2


# The norm's freezing


def test_several_gpus_in_one_process_are_refused(monkeypatch):
    monkeypatch.setattr(models.SRModel, "model_to_device", lambda self, net: nn.DataParallel(net))
    with pytest.raises(OptionError, match=r"lose the norm statistics.*num_gpu: 1, or start one process for each GPU"):
        build_model(options())


def test_freezing_is_logged_and_can_be_set_for_a_run(log):
    model = build_model(options(norm_freeze_iter=3, ema_decay=0.9))
    assert model.net_g.config.norm_freeze_iter == model.net_g_ema.config.norm_freeze_iter == 3
    train(model, 1, 2)
    norms = [module for module in model.net_g.modules() if isinstance(module, DeploymentNorm)]
    assert not any(norm.frozen for norm in norms)
    train(model, 3, 5)
    assert all(norm.frozen for norm in norms)
    assert [r.message for r in log.records if "frozen" in r.message] == [
        "Iteration 3: the norm statistics are frozen from now on."
    ]


def test_statistics_that_would_never_freeze_are_warned_about(log):
    build_model(options(network={"norm_freeze_iter": 150_000}, total_iter=1000))
    assert "norm_freeze_iter 150000, total_iter 1000" in log.text
    assert "About 300 is a good norm_freeze_iter" in log.text


# Files


def test_saved_files_load_as_plain_tensors_and_rebuild_the_networks(path, tmp_path):
    model = build_model(options(path=path, ema_decay=0.9))
    train(model, 1, 2)
    model.save(epoch=0, current_iter=2)
    model.save(epoch=-1, current_iter=-1)
    file = tmp_path / "models" / "net_g_2.pth"
    assert list(torch.load(file, weights_only=True)) == ["params", "params_ema"]
    assert_equal(dict(read_checkpoint(file, "params").state_dict), copy_of(model.net_g))
    assert_equal(dict(read_checkpoint(file).state_dict), copy_of(model.net_g_ema))
    state = torch.load(tmp_path / "training_states" / "2.state", weights_only=True)
    assert (state["epoch"], state["iter"], len(state["optimizers"]), len(state["schedulers"])) == (0, 2, 1, 1)
    written = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*") if each.is_file())
    assert written == ["models/net_g_2.pth", "models/net_g_latest.pth", "training_states/2.state"]


@pytest.mark.parametrize("failing", ["net_g_2.pth", "2.state"])
def test_a_failing_write_raises_and_keeps_the_former_file(path, tmp_path, monkeypatch, failing):
    model = build_model(options(path=path))
    model.save(epoch=0, current_iter=2)
    file = next(tmp_path.rglob(failing))
    former = file.read_bytes()
    train(model, 1, 1)
    write = Path.write_bytes

    def fail_half_way(target, content):
        if target.suffix == file.suffix:
            write(target, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(target, content)

    monkeypatch.setattr(Path, "write_bytes", fail_half_way)
    with pytest.raises(OutputError, match=rf"{failing} cannot be written: No space left"):
        model.save(epoch=0, current_iter=2)
    assert file.read_bytes() == former
    assert not [each for each in tmp_path.rglob(".*") if each.is_file()]


def test_training_weights_fine_tune_in_the_fused_stage(path, tmp_path, log):
    model = build_model(options(path=path, ema_decay=0.9))
    train(model, 1, 8)
    model.save(epoch=0, current_iter=8)
    pretrained = {**path, "pretrain_network_g": str(tmp_path / "models" / "net_g_8.pth")}
    log.clear()
    fused = build_model(options(path=pretrained, network={"stage": "fused"}, ema_decay=0.9))
    assert "Current net - loaded net" not in log.text
    assert "(stage train), entry params_ema" in log.text
    lq = PICTURES.val[0][0]
    for name in ("net_g", "net_g_ema"):
        with torch.no_grad():
            expected, actual = getattr(model, name).eval()(lq), getattr(fused, name).eval()(lq)
        # Folding computes in float64 and rounds once: a few units of float32 through a handful of layers.
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
    before = copy_of(fused.net_g)
    train(fused, 1, 1)
    assert not torch.equal(copy_of(fused.net_g)["shallow.weight"], before["shallow.weight"])
    fused.save(epoch=0, current_iter=1)
    later = {**path, "pretrain_network_g": str(tmp_path / "models" / "net_g_1.pth")}
    with pytest.raises(StageError, match="stage 'fused' cannot go back"):
        build_model(options(path=later))


@pytest.mark.parametrize("entry", ["params", "params_ema", None])
def test_a_file_without_the_named_entry_gives_what_it_has(entry, tmp_path):
    weights = copy_of(build_model(options()).net_g)
    file = tmp_path / ("net.pth" if entry else "net.safetensors")
    torch.save({entry: weights}, file) if entry else safetensors.torch.save_file(weights, file)
    model = build_model(options(path={"pretrain_network_g": str(file)}, ema_decay=0.9))
    assert_equal(copy_of(model.net_g), weights)
    assert_equal(copy_of(model.net_g_ema), weights)


def test_packaged_weights_load_by_name(path):
    """In every tree: an option file that names them may be used with BasicSR's own train.py as well."""
    network = {"type": "aether_tiny", "scale": 2}
    opt = options(path={**path, "pretrain_network_g": "aether_tiny_x2"}, ema_decay=0.9)
    model = build_model({**opt, "network_g": network})
    expected = read_checkpoint("aether_tiny_x2").state_dict
    for net in (model.net_g, model.net_g_ema):
        assert_equal(copy_of(net), expected)


def test_wrong_files_are_told_apart(tmp_path):
    file = tmp_path / "net.pth"
    own, other = (copy_of(build_model(options(network={"scale": scale})).net_g) for scale in (2, 3))
    for content, message in (
        (None, "is not a file"),
        ({name: value for name, value in own.items() if name != "shallow.bias"}, r"is not whole: .*shallow\.bias"),
        (other, "scale: 3 in the weights, 2 here"),
    ):
        if content is not None:
            torch.save({"params": content}, file)
        with pytest.raises(CheckpointError, match=message):
            build_model(options(path={"pretrain_network_g": str(file)}))


def test_without_strict_the_tensors_that_fit_are_taken(tmp_path, log):
    file = tmp_path / "net.pth"
    weights = copy_of(build_model(options(network={"scale": 3})).net_g)
    torch.save({"params": weights}, file)
    model = build_model(options(path={"pretrain_network_g": str(file), "strict_load_g": False}))
    assert_equal({"": model.net_g.reconstruction.weight}, {"": weights["reconstruction.weight"]})
    assert model.net_g.config.scale == 2
    assert "45 of 47 tensors fit, the others keep their initial values (scale: 3 in the weights, 2 here)" in log.text


def test_other_networks_are_loaded_as_in_basicsr_and_averaged_with_their_buffers(tmp_path):
    stock = {"type": "SRVGGNetCompact", "num_feat": 8, "num_conv": 1, "upscale": 2}
    opt = options(ema_decay=0.9)
    opt["network_g"] = stock
    model = build_model(opt)
    model.net_g.register_buffer("seen", torch.ones(2))
    model.net_g_ema.register_buffer("seen", torch.zeros(2))
    train(model, 1, 2)
    assert torch.equal(model.net_g_ema.seen, torch.ones(2))
    torch.save({"params": copy_of(model.net_g)}, tmp_path / "net.pth")
    del model.net_g.seen
    model.load_network(model.net_g, str(tmp_path / "net.pth"), strict=False)


# The GAN model


def test_one_gan_iteration_updates_both_networks_and_logs_the_stock_names():
    model = build_model(gan_options(ema_decay=0.9, amp="bf16", grad_clip=1.0))
    generator, discriminator = copy_of(model.net_g), copy_of(model.net_d)
    train(model, 1, 1)
    assert not torch.equal(copy_of(model.net_g)["shallow.weight"], generator["shallow.weight"])
    assert not torch.equal(copy_of(model.net_d)["conv0.weight"], discriminator["conv0.weight"])
    stock = ["l_g_pix", "l_g_gan", "l_d_real", "out_d_real", "l_d_fake", "out_d_fake"]
    assert list(model.get_current_log()) == [*stock, "grad_norm", "grad_norm_d"]
    assert all(parameter.requires_grad for parameter in model.net_d.parameters())


def test_gan_losses_equal_those_of_the_stock_model():
    logs = []
    for model_type in ("SRGANModel", "AetherGANModel"):
        torch.manual_seed(0)
        model = build_model({**gan_options(), "model_type": model_type})
        train(model, 1, 3)
        logs.append(model.get_current_log())
    for name, value in logs[0].items():
        assert logs[1][name] == pytest.approx(value, rel=1e-4), name


def test_fidelity_losses_equal_those_of_the_stock_model():
    weights = []
    for model_type in ("SRModel", "AetherModel"):
        torch.manual_seed(0)
        model = build_model(
            options(model_type, ema_decay=0.9, **({} if model_type == "SRModel" else {"ema_warmup": False}))
        )
        train(model, 1, 8)
        weights.append((copy_of(model.net_g), copy_of(model.net_g_ema)))
    assert_equal(weights[1][0], weights[0][0])
    for name, value in weights[0][1].items():
        if not name.endswith("iterations"):
            torch.testing.assert_close(weights[1][1][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Detected call of")  # the scheduler went on without a step
def test_discriminator_starts_alone_and_the_generator_steps_every_second_time():
    model = build_model(gan_options(net_d_init_iters=2, net_d_iters=2))
    generator = copy_of(model.net_g)
    train(model, 1, 3)
    assert_equal(copy_of(model.net_g), generator, but=("iterations", *STATISTICS))
    assert "l_g_gan" not in model.get_current_log()
    train(model, 4, 4)
    assert "l_g_gan" in model.get_current_log()
    assert not torch.equal(copy_of(model.net_g)["shallow.weight"], generator["shallow.weight"])


def test_gan_guards_each_network():
    model = build_model(gan_options(ema_decay=0.9))
    train(model, 1, 2)
    networks = (model.net_g, model.net_g_ema, model.net_d)
    before = [copy_of(network) for network in networks]
    train(model, 3, 3, damage=spoil("lq", range(3, 4)))
    # The spectral norm's vectors follow the weights in every forward pass; they do not see the pictures.
    for network, former in zip(networks, before, strict=True):
        assert_equal(copy_of(network), former, but=("iterations", "weight_u", "weight_v", "_u", "_v"))
    assert (model.get_current_log()["skipped"], model.get_current_log()["skipped_d"]) == (1, 1)

    hook = model.net_d.conv0.bias.register_hook(lambda gradient: gradient * float("nan"))
    train(model, 4, 4)
    hook.remove()
    assert not torch.equal(copy_of(model.net_g)["shallow.weight"], before[0]["shallow.weight"])
    assert torch.equal(model.net_d.conv0.weight, before[2]["conv0.weight"])
    assert (model.get_current_log()["skipped"], model.get_current_log()["skipped_d"]) == (1, 2)


def test_gan_files_hold_the_discriminator_and_load_again(path, tmp_path):
    model = build_model({**gan_options(), "path": path})
    model.save(epoch=0, current_iter=1)
    assert (tmp_path / "models" / "net_d_1.pth").is_file()
    again = build_model({**gan_options(), "path": {"pretrain_network_d": str(tmp_path / "models" / "net_d_1.pth")}})
    assert_equal(copy_of(again.net_d), copy_of(model.net_d))


def test_gan_without_gan_loss_is_refused():
    opt = gan_options()
    del opt["train"]["gan_opt"]
    with pytest.raises(OptionError, match="needs train: gan_opt"):
        build_model(opt)
