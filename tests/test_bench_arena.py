"""The arena: a recipe means what it says, trainings are kept and resumed, the record holds what was measured."""

import dataclasses
import importlib.util
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from helpers.extras import needs, needs_basicsr
from helpers.training import environment, run_aethernet, write_pairs

from aethernet.arena import pace, trainer
from aethernet.arena.arena import run_arena
from aethernet.arena.curves import curve_of
from aethernet.arena.options import file_text, training_options
from aethernet.arena.recipe import Speed, read_recipe
from aethernet.arena.records import ArenaReport, NetworkResult, Quality, RunResult, arena_markdown
from aethernet.arena.training import Training
from aethernet.arena.values import merged
from aethernet.cli import main
from aethernet.conditions import measurement_conditions
from aethernet.errors import AetherError, DataError, OptionError, OutputError, ProcessError, UsageError
from aethernet.integrations.basicsr import compat

pytestmark = needs_basicsr

if importlib.util.find_spec("basicsr") is not None:
    compat.apply()
    from basicsr.archs import build_network
    from basicsr.losses import build_loss

    from aethernet.integrations.basicsr.training import losses
    from aethernet.integrations.registry import register_architectures

    register_architectures()
    losses.register()

DOCS = Path(__file__).parents[1] / "docs"
OURS = {"type": "aether_custom", "width": 8, "depths": [1], "kernel_size": 3}
PEER = {"network": "basicsr.archs.srvgg_arch:SRVGGNetCompact(num_feat=8, num_conv=1, upscale=2)"}
RECIPE = {
    "name": "small",
    "scale": 2,
    "data": {"train": ["gt"], "val": "val/gt", "test": ["val/gt", "more/gt"]},
    "recipe": {"iterations": 4, "batch": 2, "lq_size": 8, "workers": 0, "val_points": 2},
    "threads": 1,
    "networks": {"ours": OURS, "peer": PEER},
    "speed": {"size": "8x8", "engines": ["eager"], "rounds": 2},
}


def write_data(place: Path) -> None:
    for name, count in ((".", 4), ("val", 2), ("more", 1)):
        write_pairs(place / name, count=count)


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    return tmp_path


def write_recipe(place: Path, changes: dict | None = None, name: str = "recipe.yml") -> Path:
    path = place / name
    path.write_text(yaml.safe_dump(merged(RECIPE, changes or {}), sort_keys=False), encoding="utf-8")
    return path


def read(place: Path, changes: dict | None = None):
    return read_recipe(write_recipe(place, changes))


def train_by_fork(*arguments: str, folder: Path, log: Path, environment: object, watch) -> None:
    """Stands in for a new process, whose imports would take seconds."""
    result = run_aethernet(*arguments, cwd=folder, check=False)
    for line in result.stdout.splitlines(keepends=True):
        watch(line)
    if result.returncode:
        raise ProcessError(f"exit {result.returncode}\n{result.stderr}")


@pytest.fixture
def forked(monkeypatch):
    monkeypatch.setattr(trainer, "run_command", train_by_fork)


@pytest.fixture(scope="module")
def arena(tmp_path_factory):
    """The recipe above, trained once; returns its folder and the report."""
    place = tmp_path_factory.mktemp("arena")
    write_data(place)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "run_command", train_by_fork)
        report = run_arena(read_recipe(write_recipe(place)), place / "out")
    return place, report


# The recipe


def test_a_recipe_has_defaults_and_entries_of_its_own(place):
    changes = {
        "recipe": {"lr": "2e-3", "loss": "MSELoss", "options": {"train": {"ema_warmup": False, "amp": "bf16"}}},
        "networks": {"ours": {"recipe": {"lr": 0.004, "seconds": 9, "options": {"train": {"amp": None}}}}},
    }
    recipe = read(place, changes)
    ours, peer = recipe.networks
    assert recipe.seeds == (0,)
    assert (peer.training.lr, peer.training.iterations, peer.training.loss) == (2e-3, 4, {"type": "MSELoss"})
    assert (ours.training.lr, ours.training.iterations, ours.training.seconds) == (4e-3, None, 9)
    assert ours.training.options == {"train": {"ema_warmup": False, "amp": None}}
    assert ours.training.batch == 2
    assert ours.spec == "aether_custom(width=8, depths=[1], kernel_size=3)"
    assert peer.model("a.pth") == f"{PEER['network']}@a.pth"


def test_iterations_of_the_command_replace_those_of_the_recipe(place):
    path = write_recipe(place)
    assert [network.training.iterations for network in read_recipe(path).networks] == [4, 4]
    assert [network.training.iterations for network in read_recipe(path, iterations=9).networks] == [9, 9]
    assert read_recipe(path, iterations=9).training.iterations == 9
    with pytest.raises(OptionError, match="--iterations"):
        read_recipe(path, iterations=0)


def test_folders_start_at_the_file_or_at_a_root(place):
    (place / "recipes").mkdir()
    path = place / "recipes" / "a.yml"
    path.write_text(yaml.safe_dump(RECIPE, sort_keys=False), encoding="utf-8")
    assert read_recipe(path, data_root=place).data.val == place / "val" / "gt"
    with pytest.raises(OptionError, match=r"data: train: .*recipes.gt is not a folder; correct it, or .* --data"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipes": {}}, "there is no entry 'recipes'; did you mean 'recipe'"),
        ({"recipe": {"iteration": 5}}, "recipe: there is no entry 'iteration'; did you mean 'iterations'"),
        ({"recipe": {"seconds": 5}}, "recipe: give iterations or seconds, not both"),
        ({"recipe": {"iterations": None}}, "recipe: neither iterations nor seconds are left"),
        ({"recipe": {"iterations": 1.5}}, "recipe: iterations: must be a whole number or ~, not 1.5"),
        ({"recipe": {"iterations": 0}}, "recipe: iterations: must be a whole number >= 1, not 0"),
        ({"recipe": {"batch": True}}, "recipe: batch: must be a whole number, not True"),
        ({"recipe": {"lr": "fast"}}, "recipe: lr: must be a number, not 'fast'"),
        ({"recipe": {"lr": 0}}, r"recipe: lr: must be a number > 0\.0, not 0"),
        ({"recipe": {"lr": float("inf")}}, "recipe: lr: must be a number < 1000000000.0, not inf"),
        ({"recipe": {"betas": [0.9, -1]}}, r"recipe: betas: must be a number >= 0\.0, not -1"),
        ({"recipe": {"ema_decay": 1}}, r"recipe: ema_decay: must be a number < 1\.0, not 1"),
        ({"recipe": {"loss": {"weight": 1}}}, "recipe: loss: type: must be a text, not None"),
        ({"recipe": 3}, "recipe: must be a section"),
        ({"data": {"val": None}}, "data: val: is missing"),
        ({"data": {"tests": "a"}}, "data: there is no entry 'tests'; did you mean 'test'"),
        ({"speed": {"size": 128}}, "speed: size: must be of the form HEIGHTxWIDTH, such as 128x128, not 128"),
        ({"speed": {"engines": 3}}, "speed: engines: must be a text, not 3"),
        ({"seeds": [-1]}, "seeds: must be a whole number >= 0, not -1"),
        ({"name": "a/b"}, "name: 'a/b' cannot name a folder"),
        ({"networks": {"debug": OURS}}, "networks: 'debug' cannot name a folder"),
        ({"networks": None}, "networks: is missing"),
        ({"networks": {"ours": {"network": "x"}}}, "networks: ours: needs either type"),
        ({"networks": {"new": {"width": 8}}}, "networks: new: needs either type"),
        ({"networks": {"new": {"type": "aether_tin"}}}, "networks: new: type: .*did you mean 'aether_tiny'"),
        ({"networks": {"new": {"type": "EDSR"}}}, "network: 'package.module:Class"),
        ({"networks": {"new": {"type": "aether_tiny", "wid": 8}}}, "networks: new: .*wid"),
        ({"networks": {"new": {"type": "aether_tiny", "scale": 3}}}, "aether_tiny.* upscales by 3, the recipe by 2"),
        ({"networks": {"peer": {"upscale": 2}}}, "networks: peer: there is no entry 'upscale'"),
        ({"networks": {"new": {"network": "basicsr.archs.srvgg_arch:Foo()"}}}, "networks: new: .*has no class"),
    ],
)
def test_recipes_that_are_refused(place, changes, message):
    with pytest.raises(AetherError, match=message):
        read(place, changes)


def test_a_recipe_that_is_not_there(place):
    with pytest.raises(OptionError, match=r"absent\.yml does not exist"):
        read_recipe(place / "absent.yml")
    (place / "broken.yml").write_text("a: [", encoding="utf-8")
    with pytest.raises(OptionError, match="is not plain YAML"):
        read_recipe(place / "broken.yml")


def make_folders(root: Path, content: dict) -> None:
    for value in (each for key, each in content["data"].items() if key != "max_damaged"):
        for name in [value] if isinstance(value, str) else value:
            (root / name).mkdir(parents=True, exist_ok=True)


def test_the_documented_recipe_shows_the_defaults(place):
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    content = yaml.safe_load(text.partition("### The recipe")[2].partition("```yaml\n")[2].partition("```")[0])
    assert set(content["recipe"]) == {field.name for field in dataclasses.fields(Training)} - {"seconds"}
    make_folders(place, content)
    content["networks"] = {"tiny": content["networks"]["tiny"]}
    (place / "documented.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    recipe = read_recipe(place / "documented.yml")
    assert recipe.training == Training()
    assert recipe.speed == Speed()


@pytest.mark.parametrize("path", sorted((DOCS / "arena").glob("*.yml")), ids=lambda path: path.stem)
@needs("spandrel")
def test_the_recipes_of_the_documentation_can_be_read(path, place, monkeypatch):
    monkeypatch.chdir(DOCS.parent)  # one of them imports a module of the checkout
    make_folders(place, yaml.safe_load(path.read_text(encoding="utf-8")))
    recipe = read_recipe(path, data_root=place)
    assert recipe.name == path.stem
    assert f"aethernet bench arena docs/arena/{path.name} --data" in path.read_text(encoding="utf-8")
    assert len({network.spec + str(network.training) for network in recipe.networks}) == len(recipe.networks)
    for folder in recipe.data.train:
        write_pairs(folder, count=1)
        (folder / "gt" / "00.png").rename(folder / "00.png")
    for network in recipe.networks:  # BasicSR builds what the recipe says
        opt = training_options(recipe, network, 0, 100)
        build_network(dict(opt["network_g"]))
        build_loss(dict(opt["train"]["pixel_opt"]))(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4))


def test_an_unknown_engine_is_told_before_any_training(place):
    with pytest.raises(UsageError, match="no engine 'onnxruntim'"):
        run_arena(read(place, {"speed": {"engines": ["onnxruntim"]}}), place / "out")
    assert not (place / "out").exists()


def test_the_first_seed_does_not_change_the_pace(place):
    recipes = [read(place, {"seeds": seeds}) for seeds in ([0], [1, 0])]
    first, second = (pace._option_text(recipe.networks[0], recipe) for recipe in recipes)
    assert first == second


# Its options


def test_options_follow_from_the_recipe(place):
    changes = {"recipe": {"iterations": 700, "val_points": 10, "options": {"train": {"grad_clip": None}}}}
    recipe = read(place, changes)
    ours, peer = (training_options(recipe, network, 3, 700) for network in recipe.networks)
    assert ours["network_g"]["norm_freeze_iter"] == 210
    assert ours["manual_seed"] == 3
    assert peer["network_g"] == {"type": "aether_peer", **PEER}
    for opt in (ours, peer):
        assert opt["train"]["scheduler"]["periods"] == [700]
        assert (opt["val"]["val_freq"], opt["logger"]["print_freq"]) == (70, 7)
        assert opt["train"]["grad_clip"] is None
        assert opt["datasets"]["train"]["gt_size"] == 16
        assert opt["datasets"]["train"]["dataset_enlarge_ratio"] == 350  # 700 batches of 2 from 4 pictures
    assert {**ours, "network_g": 0} == {**peer, "network_g": 0}


@pytest.mark.parametrize("iterations", [1, 7, 99, 444, 1234])
def test_a_validation_always_follows_a_line_of_the_log(place, iterations):
    """The curve's iterations are read from that line."""
    recipe = read(place, {"recipe": {"val_points": 10}})
    opt = training_options(recipe, recipe.networks[0], 0, iterations)
    assert opt["val"]["val_freq"] % opt["logger"]["print_freq"] == 0
    assert opt["val"]["val_freq"] == opt["logger"]["save_checkpoint_freq"] <= iterations


def test_optimisers_get_the_arguments_that_they_have(place):
    sections = []
    for optimizer in ("AdamW", "SGD", {"type": "SGD", "momentum": 0.9, "lr": 0.1}):
        recipe = read(place, {"recipe": {"optimizer": optimizer}})
        sections.append(training_options(recipe, recipe.networks[0], 0, 4)["train"]["optim_g"])
    assert sections[0] == {"type": "AdamW", "lr": 2e-3, "weight_decay": 0.0, "betas": [0.9, 0.99]}
    assert sections[1] == {"type": "SGD", "lr": 2e-3, "weight_decay": 0.0}
    assert sections[2] == {"type": "SGD", "lr": 0.1, "weight_decay": 0.0, "momentum": 0.9}


def test_the_option_file_changes_with_the_structure_and_the_threads(place):
    texts = set()
    for changes in ({}, {"threads": 2}, {"networks": {"ours": {"width": 12}}}, {"recipe": {"lr": 1e-3}}):
        recipe = read(place, changes)
        texts.add(file_text(training_options(recipe, recipe.networks[0], 0, 4), recipe.networks[0], recipe.threads))
    assert len(texts) == 4


# The curve


def log_line(second: float, text: str) -> str:
    return f"2026-01-01 00:00:{second:06.3f}".replace(".", ",") + f" INFO: {text}"


def iteration_line(second: float, iteration: int) -> str:
    return log_line(second, f"[arena..][epoch:  0, iter:{iteration:8,d}, lr:(1.000e-03,)] [eta: 0:00:01, ] l_pix: 1 ")


def validation_lines(second: float, psnr: float) -> list[str]:
    return [log_line(second, "Validation val"), f"\t # psnr: {psnr:.4f}\tBest: {psnr:.4f} @ 10 iter", ""]


def test_a_curve_leaves_out_validation_and_what_was_done_twice():
    first = [
        log_line(0, "Start training from epoch: 0, iter: 0"),
        iteration_line(1, 1000),
        log_line(1.5, "Saving models and training states."),
        *validation_lines(3, 20.5),
        iteration_line(4, 2000),  # done, but not saved
    ]
    second = [
        log_line(10, "Start training from epoch: 0, iter: 1000"),
        iteration_line(12, 2000),
        *validation_lines(13, 21.5),
        iteration_line(14, 2500),
        log_line(15, "End of training. Time consumed: 0:00:05"),
        *validation_lines(17, 22.5),
    ]
    curve = curve_of([first, second], 2600)
    assert [(point.iteration, point.seconds, point.psnr) for point in curve.points] == [
        (1000, 1.0, 20.5),
        (2000, 3.0, 21.5),
        (2600, 5.0, 22.5),
    ]
    assert curve.seconds == pytest.approx(5.0)


def test_a_curve_knows_of_how_many_pictures_it_is():
    lines = [
        log_line(0, "Start training from epoch: 0, iter: 0"),
        iteration_line(1, 4),
        *validation_lines(2, 20.5),
        log_line(2, "val: the figures are of 4 of 5 pictures; damaged and left out: a.png is empty"),
    ]
    assert curve_of([lines * 2], 4).damaged == ["4 of 5 pictures"]
    assert curve_of([lines[:-1]], 4).damaged == []


def test_the_validation_at_the_end_counts_once():
    lines = [
        log_line(0, "Start training from epoch: 0, iter: 0"),
        iteration_line(1, 4),
        *validation_lines(2, 20.5),
        log_line(3, "End of training. Time consumed: 0:00:05"),
        *validation_lines(4, 20.5),
    ]
    curve = curve_of([lines], 4)
    assert [(point.iteration, point.seconds) for point in curve.points] == [(4, 1.0)]
    assert curve.seconds == pytest.approx(1.0)


# The whole


def test_the_record_has_what_a_plot_needs(arena):
    place, _ = arena
    content = json.loads((place / "out" / "arena.json").read_text(encoding="utf-8"))
    assert content.keys() >= {"kind", "name", "scale", "sets", "val", "recipe", "networks", "conditions"}
    assert (content["kind"], content["name"], content["scale"]) == ("arena", "small", 2)
    assert (content["sets"], content["val"]) == (["val/gt", "more/gt"], "val/gt")
    assert content["recipe"]["iterations"] == 4
    assert [network["name"] for network in content["networks"]] == ["ours", "peer"]
    for network in content["networks"]:
        assert network["macs"] > network["params"] > 0
        (latency,) = network["speed"]
        assert (latency["engine"], latency["threads"], latency["size"]) == ("eager", 1, "8x8")
        assert 0 < latency["p10_ms"] <= latency["median_ms"] <= latency["p90_ms"]
        (run,) = network["runs"]
        assert (run["seed"], run["iterations"]) == (0, 4)
        assert [point["iteration"] for point in run["curve"]] == [2, 4]
        assert 0 < run["curve"][0]["seconds"] <= run["curve"][1]["seconds"] <= run["seconds"] + 0.01
        assert run["quality"].keys() == {"val/gt", "more/gt"}
        assert (place / "out" / run["weights"]).is_file()
    assert content["networks"][0]["params"] < content["networks"][0]["trained_params"]


def test_the_last_validation_is_the_measured_quality(arena):
    """The curve is of the trained form as BasicSR validates it, the quality of the deployed form: the same pixels."""
    _, report = arena
    for network in report.networks:
        run = network.runs[0]
        # Four printed digits; a fused network may round one 8-bit value of 1024 otherwise.
        assert run.curve[-1].psnr == pytest.approx(run.quality["val/gt"].psnr, abs=2e-3)


def test_the_table(arena):
    place, report = arena
    table = arena_markdown(report)
    assert (place / "out" / "arena.md").read_text(encoding="utf-8") == f"# small\n\n{table}\n"
    header, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in header.strip("|").split("|")] == [
        "network", "params", "MACs", "eager ms", "training s", "iterations", "val/gt", "more/gt", "mean PSNR",
    ]  # fmt: skip
    assert len(rows) == 2
    quality = report.networks[0].runs[0].quality
    assert f"{(quality['val/gt'].psnr + quality['more/gt'].psnr) / 2:.2f}" in rows[0]


def test_what_is_finished_is_not_done_again(arena, monkeypatch):
    place, report = arena
    monkeypatch.setattr(trainer, "run_command", lambda *_, **__: pytest.fail("trained again"))
    again = run_arena(read_recipe(place / "recipe.yml"), place / "out", speed=False)
    assert [network.runs for network in again.networks] == [network.runs for network in report.networks]
    assert not (place / "out" / "runs" / "ours_seed0" / "experiments" / "arena" / "training_states").exists()


def test_a_damaged_picture_is_left_out_for_all_networks_also_for_those_that_are_finished(arena, monkeypatch):
    place, report = arena
    monkeypatch.setattr(trainer, "run_command", lambda *_, **__: pytest.fail("trained again"))
    path = place / "val" / "gt" / "00.png"
    content = path.read_bytes()
    path.write_bytes(content[:100])
    try:
        again = run_arena(read_recipe(place / "recipe.yml"), place / "out", speed=False)
        assert again.sets == ["val/gt (1 of 2)", "more/gt"] and len(again.networks) == len(report.networks)
        for network, before in zip(again.networks, report.networks, strict=True):
            now, then = network.runs[0].quality, before.runs[0].quality
            assert now["val/gt (1 of 2)"] != then["val/gt"] and now["more/gt"] == then["more/gt"]
        assert re.search(r"\| +val/gt \(1 of 2\) \|", arena_markdown(again))
        assert "val/gt: 1 of 2 pictures; damaged and left out for all: val/gt/00.png (" in arena_markdown(again)
        strict = read_recipe(write_recipe(place, {"data": {"max_damaged": 0}}, "strict.yml"))
        with pytest.raises(DataError, match=r"none may be left out of the figures \(max_damaged below data\)"):
            run_arena(strict, place / "out", speed=False)
    finally:
        path.write_bytes(content)
    whole = run_arena(read_recipe(place / "recipe.yml"), place / "out", speed=False)
    assert [network.runs for network in whole.networks] == [network.runs for network in report.networks]


def test_the_options_hold_how_many_pictures_may_be_damaged(place):
    for most, expected in ((None, None), (3, 3)):
        recipe = read(place, {"data": {} if most is None else {"max_damaged": most}})
        datasets = training_options(recipe, recipe.networks[0], 0, 4)["datasets"]
        assert {datasets[name].get("max_damaged") for name in ("train", "val")} == {expected}


def test_other_options_for_a_finished_training_are_refused(arena, monkeypatch):
    place, _ = arena
    monkeypatch.setattr(trainer, "run_command", lambda *_, **__: pytest.fail("trained"))
    changed = read_recipe(write_recipe(place, {"networks": {"ours": {"recipe": {"lr": 1.0}}}}, "changed.yml"))
    with pytest.raises(
        OutputError, match=r"ours_seed0 holds .*'lr: 0\.002', now 'lr: 1\.0'.*remove that folder .*--out"
    ):
        run_arena(changed, place / "out")
    others = run_arena(changed, place / "out", only=["peer"], speed=False)
    assert [network.name for network in others.networks] == ["peer"]


def test_a_network_that_is_not_there(arena):
    place, _ = arena
    with pytest.raises(OptionError, match="no network 'our' in the recipe; did you mean 'ours'"):
        run_arena(read_recipe(place / "recipe.yml"), place / "out", only=["our"])


def test_one_failure_does_not_stop_the_others(place, forked):
    recipe = read(place, {"networks": {"ours": {"recipe": {"options": {"train": {"no_such_key": 1}}}}}})
    report = run_arena(recipe, place / "out", speed=False)
    assert [network.name for network in report.networks] == ["peer"]
    (failure,) = report.failures
    assert re.match(r"ours, seed 0 failed: exit 1 .*no_such_key: nobody reads this key", failure)
    mended = run_arena(read(place, {"seeds": [0, 1]}), place / "out", only=["ours"], speed=False)
    assert [(network.name, len(network.runs)) for network in mended.networks] == [("ours", 2), ("peer", 1)]
    first, second = mended.networks[0].runs
    assert first.quality != second.quality  # another seed


def test_the_same_time_gives_each_network_its_own_iterations(place, forked, monkeypatch):
    monkeypatch.setattr(pace, "ITERATIONS", 6)
    monkeypatch.setattr(pace, "WARMUP", 2)
    recipe = read(place, {"recipe": {"iterations": None, "seconds": 0.1}})
    report = run_arena(recipe, place / "out", only=["peer"], speed=False)
    measured = json.loads((place / "out" / "pace" / "peer" / "pace.json").read_text(encoding="utf-8"))
    (run,) = report.networks[0].runs
    assert run.iterations == max(1, round(0.1 / measured["seconds_per_iteration"]))
    assert run.curve[-1].iteration == run.iterations


def test_the_command(arena, capsys, monkeypatch):
    place, _ = arena
    monkeypatch.chdir(place)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert main(["bench", "arena", "recipe.yml", "--out", "out", "--no-speed"]) == 0
    output = capsys.readouterr().out
    assert "| ours" in output
    assert str(Path("out") / "arena.json") in output
    assert main(["bench", "arena", "recipe.yml", "--out", "out", "--only", "x"]) == 1


def test_seeds_are_shown_with_their_spread():
    runs = [RunResult(seed, 10, 2.0, [], {"Set5": Quality(30.0 + seed, 0.8)}, "w.pth") for seed in (0, 1)]
    network = NetworkResult("a", "aether_tiny", {}, 10, None, 10, [], runs)
    conditions = measurement_conditions(threads=1, precision="fp32", size="8x8")
    table = arena_markdown(ArenaReport("n", 2, ["Set5"], "Set5", 1, {}, [network], conditions))
    assert "30.50 ± 0.71 / 0.8000 ± 0.0000" in table
    assert "sample standard deviation" in table


def saved(states: Path) -> list[int]:
    """The iterations with a whole training state; one that is being written has a hidden name."""
    return [int(path.stem) for path in states.glob("*.state") if path.stem.isdecimal()]


@pytest.mark.slow
def test_an_interrupted_arena_goes_on(place):
    changes = {"recipe": {"iterations": 400, "val_points": 20}}
    write_recipe(place, {**changes, "networks": {"ours": OURS}})
    command = [sys.executable, "-m", "aethernet", "bench", "arena", "recipe.yml", "--out", "out", "--no-speed"]
    process = subprocess.Popen(command, cwd=place, env=environment(), stderr=subprocess.PIPE, text=True)
    states = place / "out" / "runs" / "ours_seed0" / "experiments" / "arena" / "training_states"
    deadline = time.monotonic() + 600
    while not saved(states) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert saved(states), "no training state within ten minutes"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 130, errors
    reached = max(saved(states))
    subprocess.run(command, cwd=place, env=environment(), check=True)
    log = (place / "out" / "runs" / "ours_seed0" / "log.txt").read_text(encoding="utf-8")
    assert f"Start training from epoch: 0, iter: {reached}" in log
    content = json.loads((place / "out" / "arena.json").read_text(encoding="utf-8"))
    points = content["networks"][0]["runs"][0]["curve"]
    assert [point["iteration"] for point in points] == sorted({point["iteration"] for point in points})
    assert points[-1]["iteration"] == 400
    assert not states.exists()
