"""Plots of made-up benchmark files: what they show, what is left out and named, and what is refused."""

import importlib.util
import itertools
import json
import re
from pathlib import Path

import cv2
import pytest

from aethernet.cli import main
from aethernet.errors import DataError
from aethernet.plots.comparison import Setting
from aethernet.plots.comparison_files import read_comparison

if importlib.util.find_spec("matplotlib") is None or importlib.util.find_spec("adjustText") is None:
    pytest.skip("the extra `plot` is not installed", allow_module_level=True)

from aethernet.plots import plot, style

CONDITIONS = {"device": "A processor", "cores": 2, "threads": 1, "torch": "2.13", "aethernet": "0.1", "precision": "fp32",
           "size": "input 128x128", "date": "2026-11-24", "command": "aethernet bench arena recipe.yml"}  # fmt: skip
NETWORKS = {"tiny": ("aether_tiny", 99_000, 43.0, 31.0), "Compact": ("spandrel:Compact()", 89_000, 35.0, 30.8),
            "SPAN": ("spandrel:SPAN()", 411_000, 88.0, 31.1), "SAFMN": ("spandrel:SAFMN()", 240_000, 87.0, 31.09)}  # fmt: skip


def arena(iterations: int = 4000, seeds: int = 2, networks=NETWORKS, **changes) -> dict:
    """A file of `bench arena`; PSNR follows `limit - 20 / sqrt(iterations)`."""
    records = []
    for name, (spec, params, ms, limit) in networks.items():
        end = limit - 20 * iterations**-0.5
        runs = []
        for seed in range(seeds):
            steps = [iterations * part // 4 for part in range(1, 5)]
            curve = [{"iteration": n, "seconds": n / 40, "psnr": end - (1 - n / iterations)} for n in steps]
            quality = {name: {"psnr": end - drop + 0.01 * seed, "ssim": 0.9} for name, drop in (("Set5", 0), ("B", 3))}
            runs.append({"seed": seed, "iterations": iterations, "seconds": iterations / 40, "curve": curve,
                         "quality": quality, "weights": "net.pth"})  # fmt: skip
        time = {"threads": 1, "size": "128x128", "median_ms": ms, "p10_ms": ms * 0.97, "p90_ms": ms * 1.03}
        records.append({"name": name, "spec": spec, "training": {}, "params": params, "macs": None, "runs": runs,
                        "trained_params": params, "speed": [{"engine": "eager", **time}, {"engine": "onnxruntime", **time}]})  # fmt: skip
    return {"kind": "arena", "name": "trial", "scale": 4, "sets": ["Set5", "B"], "val": "Set5", "threads": 1, "recipe": {},
            "networks": records, "conditions": CONDITIONS, **changes}  # fmt: skip


def quality_and_speed() -> tuple[dict, dict]:
    """Files of `bench quality` and of `bench speed`; bicubic has no time, `random` has no PSNR."""
    scores = [
        {
            "model": model,
            "scale": 4,
            "set_name": name,
            "path": "RGB",
            "mean": {"name": "mean", "psnr": psnr, "ssim": 0.9},
            "pictures": [],
        }
        for (model, psnr), name in itertools.product((("bicubic", 28.4), ("aether_tiny_x4", 31.0)), ("Set5", "Set14"))
    ]
    rows = [
        {"model": model, "scale": 4, "engine": "eager", "precision": "fp32", "peak_memory": None,
         "timing": {"median_ms": 10.0, "p10_ms": 9.0, "p90_ms": 11.0, "ratio": 1.0, "rounds": 3},
         "complexity": {"parameters": 99_000, "macs": None, "activations": None, "receptive_radius": 8}}
        for model in ("aether_tiny_x4", "random")
    ]  # fmt: skip
    return (
        {"kind": "quality", "scores": scores, "notes": [], "conditions": {**CONDITIONS, "size": "whole pictures"}},
        {"kind": "speed", "rows": rows, "notes": [], "conditions": CONDITIONS},
    )


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def texts(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def words(figure) -> str:
    return " ".join(" ".join(text.get_text() for text in figure.texts).split())


def overlaps(figure) -> list[tuple[str, str]]:
    """Pairs of labels that cover each other."""
    boxes = [(text.get_text(), text.get_window_extent()) for axes in figure.axes for text in axes.texts]
    return [(a, b) for (a, one), (b, other) in itertools.combinations(boxes, 2) if one.overlaps(other)]


def test_quality_against_latency(tmp_path):
    comparison = read_comparison([write(tmp_path / "a.json", arena())])
    assert comparison.sets == ["Set5", "B"]
    figure = plot.quality_latency(comparison, comparison.setting())
    assert [axes.get_title("left") for axes in figure.axes] == ["mean over the sets", "Set5", "B"]
    assert all(axes.get_xscale() == "log" for axes in figure.axes)
    assert {text.split("\n")[0] for text in texts(figure)} == set(NETWORKS)
    assert "tiny\n99.0 k params" in texts(figure)
    assert not overlaps(figure)
    for part in ("A processor", "1 thread of 2 cores", "2026-11-24", "bench arena recipe.yml", "up to 2 seeds"):
        assert part in words(figure)
    colors = {text.get_text().split("\n")[0]: text.get_color() for text in figure.axes[0].texts}
    assert colors.pop("tiny") == style.ACCENT
    assert style.ACCENT not in colors.values()


def test_every_network_looks_different(tmp_path):
    networks = {f"net{number}": (("aether_x", "spandrel:X()")[number % 2], 1000, 1.0, 30.0) for number in range(14)}
    found = style.styles(read_comparison([write(tmp_path / "a.json", arena(networks=networks))]).networks)
    assert len({(look.color, look.marker, look.line) for look in found.values()}) == 14


@pytest.mark.parametrize(
    ("bounds", "ticks"),
    [((21, 900), [50, 100, 200, 500]), ((29, 51), [30, 40, 50]), ((0.9, 2000), [1, 10, 100, 1000])],
)
def test_ticks_are_few_and_round(bounds, ticks):
    assert style.round_numbers(*bounds, most=4) == pytest.approx(ticks)


def test_crowded_labels_stay_apart(tmp_path):
    networks = {f"network {n}": ("spandrel:X()", 10**5, 40 + 0.5 * n, 30 + 0.004 * n) for n in range(9)}
    comparison = read_comparison([write(tmp_path / "a.json", arena(networks=networks))])
    assert not overlaps(plot.quality_latency(comparison, comparison.setting()))
    figure = plot.training_curves(comparison)
    assert len(texts(figure)) == 9
    assert not overlaps(figure)


def test_the_legend_goes_from_the_best_to_the_last(tmp_path):
    figure = plot.training_curves(read_comparison([write(tmp_path / "a.json", arena())]))
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == sorted(NETWORKS, key=lambda name: -NETWORKS[name][3])


def test_training_curves(tmp_path):
    figure = plot.training_curves(read_comparison([write(tmp_path / "a.json", arena())]))
    iterations, seconds = figure.axes
    assert (iterations.get_xlabel(), seconds.get_xlabel()) == ("iteration", "seconds")
    assert iterations.get_ylabel() == "Y-PSNR on Set5, dB"
    assert sorted(text.get_text() for text in seconds.texts) == sorted(NETWORKS)
    assert "A processor" in words(figure)
    assert "Blue: networks given as aether_... (AetherNet)." in words(figure)


def test_longer_trainings_of_other_files(tmp_path):
    """The plots take the longest training of each network."""
    paths = [write(tmp_path / f"{n}.json", arena(n)) for n in (1000, 4000, 2000)]
    only_tiny = {"tiny": NETWORKS["tiny"]}
    paths.append(write(tmp_path / "8000.json", arena(8000, networks=only_tiny)))
    comparison = read_comparison([*paths, paths[0]])
    figure = plot.quality_latency(comparison, comparison.setting())
    assert "tiny\n99.0 k params, 8,000 it." in texts(figure)
    assert "Compact\n89.0 k params, 4,000 it." in texts(figure)
    assert {len(network.runs) for network in comparison.networks} == {6, 8}, "what comes twice is taken once"
    assert {len(network.longest_runs) for network in comparison.networks} == {2}
    assert not overlaps(figure)


@pytest.mark.parametrize("psnr", [28.1, 28.3, 28.4])
def test_bars_of_equal_seeds(tmp_path, psnr):
    """Their mean may lie above or below all of them by a rounding, which is no negative bar."""
    content = arena(seeds=3)
    for run in content["networks"][0]["runs"]:
        run["quality"] = {"Set5": {"psnr": psnr, "ssim": 0.9}}
    comparison = read_comparison([write(tmp_path / "a.json", content)])
    assert plot.quality_latency(comparison, comparison.setting()).axes


def test_seeds_of_nearly_the_same_length_belong_together(tmp_path):
    content = arena(1000)
    content["networks"][0]["runs"][1]["iterations"] = 1060
    tiny = read_comparison([write(tmp_path / "a.json", content)]).networks[0]
    assert [run.iterations for run in tiny.longest_runs] == [1000, 1060]
    content["networks"][0]["runs"][1]["iterations"] = 1300
    (tmp_path / "b.json").write_text(json.dumps(content), encoding="utf-8")
    tiny = read_comparison([tmp_path / "b.json"]).networks[0]
    assert [run.iterations for run in tiny.longest_runs] == [1300]


def test_quality_and_speed_together(tmp_path):
    paths = [write(tmp_path / f"{content['kind']}.json", content) for content in quality_and_speed()]
    comparison = read_comparison(paths)
    assert comparison.setting() == Setting("eager", 1, "128x128")
    figure = plot.quality_latency(comparison, comparison.setting())
    assert texts(figure) == ["aether_tiny_x4\n99.0 k params"]
    assert "Left out, for they have no time in this setting or no PSNR: bicubic, random." in words(figure)


def test_the_setting_can_be_chosen(tmp_path):
    comparison = read_comparison([write(tmp_path / "a.json", arena())])
    assert comparison.setting().engine == "onnxruntime"
    assert comparison.setting(engine="eager").engine == "eager"
    with pytest.raises(DataError, match=r"timed with engine openvino; there is: eager, 1 thread, 128x128; onnxrun"):
        comparison.setting(engine="openvino")


@pytest.mark.parametrize("out", ["plots", "v1.2", "one.png", "one.svg"])
def test_the_command_writes_pictures(tmp_path, capsys, out):
    path = write(tmp_path / "a.json", arena(seeds=1))
    assert main(["bench", "plot", str(path), "-o", str(tmp_path / out)]) == 0
    written = capsys.readouterr().out.splitlines()
    stem = tmp_path / out if out.startswith("one") else tmp_path / out / "trial.png"
    assert [Path(path) for path in written] == [stem, stem.with_stem(f"{stem.stem}_curves")]
    for path in written:
        assert Path(path).stat().st_size > 10_000
        if path.endswith(".png"):
            height, width, _ = cv2.imread(path).shape
            assert min(height, width) > 600


def test_files_of_the_first_days_are_read(tmp_path):
    """They call the conditions `witness`."""
    content = arena()
    content["witness"] = content.pop("conditions")
    assert read_comparison([write(tmp_path / "a.json", content)]).conditions[0].device == "A processor"


def test_an_arena_without_times_has_curves(tmp_path, capsys):
    content = arena()
    for network in content["networks"]:
        network["speed"] = []
    path = write(tmp_path / "a.json", content)
    assert main(["bench", "plot", str(path), "-o", str(tmp_path)]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "trial_curves.png")]
    assert main(["bench", "plot", str(path), "-o", str(tmp_path), "--engine", "eager"]) == 1
    assert "none of them was timed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (("a_int8.onnx", "b.v2.pth"), ["a_int8", "b.v2"]),
        (("a.onnx", "a.param"), ["a.onnx", "a.param"]),
        (("aether_tiny_x4", "spandrel:Compact(upscale=4)"), ["aether_tiny_x4", "spandrel:Compact(upscale=4)"]),
    ],
)
def test_files_are_called_without_their_endings_where_that_tells_them_apart(tmp_path, files, names):
    quality, _ = quality_and_speed()
    score = quality["scores"][0]
    content = {**quality, "scores": [{**score, "model": file} for file in files]}
    assert [network.name for network in read_comparison([write(tmp_path / "a.json", content)]).networks] == names


def without(content: dict, *keys: str | int) -> dict:
    """The content without one entry."""
    *parents, last = keys
    section: dict = content
    for key in parents:
        section = section[key]  # type: ignore[index]
    del section[last]  # type: ignore[arg-type]
    return content


def twice(content: dict) -> dict:
    """Two networks of the same name, such as two files net_g_latest.pth."""
    return {**content, "scores": [content["scores"][0], *content["scores"]]}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (["{ no json"], r"0\.json is no JSON file"),
        (["[]"], r"0\.json is of kind None; what can be plotted is arena, quality, speed"),
        ([{"kind": "fusion"}], r"is of kind 'fusion'"),
        (
            [without(arena(), "conditions")],
            r"0\.json is not a complete file of `aethernet bench arena`: Object missing required field `conditions`",
        ),
        ([without(arena(), "networks", 1, "params")], r"missing required field `params` - at `\$\.networks\[1\]`"),
        ([arena(scale="4")], r"Expected `int`, got `str` - at `\$\.scale`"),
        ([arena(), arena(scale=2)], r"1\.json holds networks of x2, others are of x4"),
        (
            [arena(), arena(networks={"tiny": ("aether_small", 1, 1.0, 30.0)})],
            r"'tiny' is aether_small here and aether",
        ),
        ([quality_and_speed()[1]], r"these files hold no PSNR"),
        ([quality_and_speed()[0]], r"none of them was timed: give a file of `bench speed` too"),
        ([arena(networks={})], r"these files hold no PSNR"),
        ([twice(quality_and_speed()[0])], r"0\.json: 'bicubic' comes twice for Set5: give weights files of diff"),
        ([quality_and_speed()[0]] * 2, r"1\.json: 'bicubic' comes twice for Set5"),
        ([arena(), quality_and_speed()[0]], None),
    ],
)
def test_what_is_refused(tmp_path, capsys, contents, message):
    paths = [str(write(tmp_path / f"{number}.json", content)) for number, content in enumerate(contents)]
    code = main(["bench", "plot", *paths, "-o", str(tmp_path / "out")])
    if message is None:
        assert code == 0  # the sets that are common to all
        return
    assert code == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_other_wrong_arguments(tmp_path, capsys):
    path = str(write(tmp_path / "a.json", arena()))
    cases = {
        (str(tmp_path / "absent.json"),): r"absent\.json cannot be read: No such file",
        (path, "-o", str(tmp_path / "a.jpg")): r"written as \.png, \.svg, \.pdf, not as a\.jpg",
    }
    for arguments, message in cases.items():
        assert main(["bench", "plot", *arguments]) == 1
        assert re.search(message, capsys.readouterr().err)
