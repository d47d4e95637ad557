"""`aethernet upscale`: where results go and what they are called, what is said, and nothing is ever overwritten unasked."""

import errno
import io
import json
import os
import sys
import threading
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from helpers.training import start_aethernet
from helpers.upscaling import SCALE, contents, upscale_command, write_network, write_picture_file
from PIL import Image

from aethernet import cli
from aethernet.data.picture.picture import Picture
from aethernet.data.picture.reading import read_picture
from aethernet.errors import DataError, UsageError
from aethernet.upscale import Saving, Upscaler
from aethernet.upscale.folders import find, plan_tasks, upscale_files
from aethernet.upscale.inputs import Input
from aethernet.upscale.outputs import Task, plan_outputs

NOTHING = ""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model") / "net.safetensors")


@pytest.fixture
def upscale(model, tmp_path, monkeypatch, capsys):
    """The command in `tmp_path`; gives the exit code and what it said."""
    command = upscale_command(tmp_path, model, monkeypatch)

    def run(*args: object) -> tuple[int, str]:
        code = command(*args)
        captured = capsys.readouterr()
        assert captured.out == NOTHING
        return code, captured.err

    return run


def planned(inputs, out=None, scale=4, **options) -> list[Task]:
    return plan_tasks(find([str(each) for each in inputs], out), scale, out, **options)


def targets(inputs, out=None, scale=4, **options) -> dict[str, str]:
    return {task.source.as_posix(): task.target.as_posix() for task in planned(inputs, out, scale, **options)}


def write(*names: str, size: tuple[int, int] = (4, 3)) -> None:
    for seed, name in enumerate(names):
        write_picture_file(Path(name), seed, size)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# where results go


def test_the_result_of_a_file_lies_beside_it():
    write("photo.jpg", "in/IMG.JPG", "other.jpeg", "old.bmp")
    assert targets(["photo.jpg", "in/IMG.JPG", "other.jpeg", "old.bmp"]) == {
        "photo.jpg": "photo_x4.jpg",
        "in/IMG.JPG": "in/IMG_x4.JPG",
        "other.jpeg": "other_x4.jpeg",
        "old.bmp": "old_x4.png",
    }
    assert targets(["photo.jpg"], suffix="_large") == {"photo.jpg": "photo_large.jpg"}
    assert targets(["photo.jpg"], saving=Saving("png"), suffix="") == {"photo.jpg": "photo.png"}


def test_the_results_of_a_folder_lie_in_one_beside_it_in_the_same_places():
    write("in/a.png", "in/b/c.jpg", "in/b/d/e.webp")
    wanted = {"in/a.png": "in_x4/a.png", "in/b/c.jpg": "in_x4/b/c.jpg", "in/b/d/e.webp": "in_x4/b/d/e.webp"}
    assert targets(["in"]) == targets(["in/"]) == targets(["./in"]) == wanted
    assert targets(["in"], "out") == {name: name.replace("in/", "out/", 1) for name in wanted}
    assert targets(["in"], "out", suffix="_big")["in/b/c.jpg"] == "out/b/c_big.jpg"


def test_the_folder_where_one_stands_has_a_name(tmp_path, monkeypatch):
    write("in/a.png")
    monkeypatch.chdir("in")
    assert targets(["."]) == {"a.png": (tmp_path / "in_x4/a.png").as_posix()}
    with pytest.raises(UsageError, match="the results of / need a place"):
        plan_outputs([Input(Path("/a.png"), Path("a.png"), Path("/"), True)], [None], 4)


def test_several_folders_keep_their_names_in_another_one():
    write("in/a.png", "more/a.png", "single.png")
    assert targets(["in", "more", "single.png"], "out") == {
        "in/a.png": "out/in/a.png",
        "more/a.png": "out/more/a.png",
        "single.png": "out/single.png",
    }


def test_patterns_keep_what_stands_below_their_fixed_part():
    write("in/a.png", "in/b/c.png", "in/b/d.jpg", "in[1].png")
    assert targets(["in/**/*.png"], "out") == {"in/a.png": "out/a.png", "in/b/c.png": "out/b/c.png"}
    assert targets(["in/*/d.*"]) == {"in/b/d.jpg": "in/b/d_x4.jpg"}
    assert targets(["in[1].png"]) == {"in[1].png": "in[1]_x4.png"}, "a file of that name is no pattern"
    with pytest.raises(DataError, match=r"no file matches in/\*\.webp"):
        targets(["in/*.webp"])


def test_a_single_picture_may_go_to_a_file():
    write("a.jpg", "b.jpg", "folder/a.png")
    assert targets(["a.jpg"], "other/b.png") == {"a.jpg": "other/b.png"}
    assert planned(["a.jpg"], "b.webp")[0].format == "webp"
    for inputs in (["a.jpg", "b.jpg"], ["folder"]):
        with pytest.raises(UsageError, match=r"give a folder"):
            targets(inputs, "one.png")
    with pytest.raises(UsageError, match=r"\.bmp is not written: give one of \.png"):
        targets(["a.jpg"], "b.bmp")
    with pytest.raises(UsageError, match="leave one of them out"):
        targets(["a.jpg"], "b.png", saving=Saving("webp"))
    with pytest.raises(UsageError, match="leave --suffix out"):
        targets(["a.jpg"], "b.png", suffix="_big")
    Path("folder.png").mkdir()
    assert targets(["a.jpg"], "folder.png") == {"a.jpg": "folder.png/a.jpg"}


def test_an_ending_that_is_not_written_is_no_folder():
    """Unless a folder is called so, or a / stands behind it, or several pictures need one."""
    write("a.jpg", "in/b.jpg", "v1.0/c.jpg")
    for out in ("b.xyz", "b.jpgg", "out/v1.1", "b.bmp", "b.psd"):
        with pytest.raises(UsageError, match=rf"{out}: .* is not written: give one of \.png .*, or a folder with /"):
            targets(["a.jpg"], out)
    assert targets(["a.jpg"], "v1.0") == {"a.jpg": "v1.0/a.jpg"}
    assert targets(["a.jpg"], "v1.1/") == {"a.jpg": "v1.1/a.jpg"}
    assert targets(["a.jpg"], "v1.jpg/") == {"a.jpg": "v1.jpg/a.jpg"}
    assert targets(["in"], "v1.1") == {"in/b.jpg": "v1.1/b.jpg"}
    assert targets(["a.jpg", "in/b.jpg"], "v1.1") == {"a.jpg": "v1.1/a.jpg", "in/b.jpg": "v1.1/b.jpg"}


def test_a_quality_that_nothing_has_is_told(upscale):
    write("a.png", "in/b.png", "in/c.jpg")
    for args in (("a.png", "--format", "png"), ("a.png", "-o", "b.png"), ("in", "-o", "out", "--format", "tiff")):
        code, said = upscale(*args, "--quality", 90)
        assert code == 1 and "quality is for JPEG, WebP, AVIF, and" in said and "has none: leave it out" in said
    assert set(contents(Path())) == {"a.png", "in/b.png", "in/c.jpg"}
    code, said = upscale("in", "--quality", 90)
    assert code == 0 and "b.png: PNG has no quality to choose" in said and "c.jpg:" not in said


def test_names_that_are_too_long_are_told_before_work_starts(upscale, monkeypatch):
    """Or their files would be refused when they are renamed, after all of it."""
    fits, long = "f" * 248, "é" * 125
    write(f"in/{fits}.png", f"in/{long}.png")
    with monkeypatch.context() as patch:
        patch.setattr(Upscaler, "read", None)
        code, said = upscale("in", "--suffix", "_x2")
    assert code == 1 and "the name of its result would have 257 bytes, and 255 are allowed there" in said
    code, said = upscale("in", "--suffix", "_x2")
    assert code == 1 and list(contents(Path("in_x2"))) == [f"{fits}_x2.png"]
    assert upscale("in")[0] == 0 and upscale("a" * 300)[0] == 1 and upscale("in", "-o", "a" * 300)[0] == 1


def test_a_suffix_is_no_path():
    write("a.png")
    with pytest.raises(UsageError, match="part of a file's name"):
        targets(["a.png"], suffix="/../b")


# no name twice


def test_two_pictures_never_share_a_name():
    write("in/a.png", "in/a.jpg", "in/a.webp", "in/b.jpg", "in/b.tiff", "in/b_jpg.png")
    found = targets(["in"], "out", saving=Saving("png"))
    assert found["in/a.png"] == "out/a.png", "who keeps the ending keeps the name"
    assert found["in/a.jpg"] == "out/a_jpg.png" and found["in/a.webp"] == "out/a_webp.png"
    assert found["in/b.jpg"] == "out/b.png" and found["in/b.tiff"] == "out/b_tiff.png"
    assert found["in/b_jpg.png"] == "out/b_jpg.png"
    beside = targets(["in/a.png", "in/a.jpg"], saving=Saving("png"))
    assert beside == {"in/a.png": "in/a_x4.png", "in/a.jpg": "in/a_jpg_x4.png"}


def test_names_that_differ_in_capitals_or_accents_only_are_the_same():
    """On file systems of Windows and macOS."""
    composed, apart = unicodedata.normalize("NFC", "é.png"), unicodedata.normalize("NFD", "é.png")
    write("in/one/A.png", "in/one/a.PNG", f"in/two/{composed}", f"in/two/{apart}")
    if len(contents(Path("in"))) < 4:
        pytest.skip("so is this one")
    found = list(targets(["in"], "out").values())
    assert len({unicodedata.normalize("NFC", name).casefold() for name in found}) == 4


@pytest.mark.parametrize("seed", range(30))
def test_any_names_get_names_of_their_own(seed):
    generator = np.random.default_rng(seed)
    stems, endings = ["a", "A", "a_jpg", "a_png", "a_jpg_2"], ["png", "jpg", "JPG", "webp"]
    for _ in range(12):
        name = f"{generator.choice(stems)}.{generator.choice(endings)}"
        write(f"in/{generator.choice(['', 'b', 'B'])}/{name}")
    for out in (None, "out"):
        found = targets(["in", "in"], out, saving=Saving(str(generator.choice(["same", "png", "jpg"]))))
        assert len(found) == len(contents(Path("in")))
        assert len({name.casefold() for name in found.values()}) == len(found)


def test_a_picture_given_twice_is_taken_once():
    write("in/a.png")
    assert len(planned(["in/a.png", "in/a.png", "./in/a.png"])) == 1
    assert len(planned(["in", "in"], "out")) == 1


def test_results_are_no_inputs():
    """So that `*.jpg` can be given again."""
    write("a.jpg", "a_x4.jpg", "b.jpg", "a_x4_x4.jpg")
    assert targets(sorted(Path().glob("*.jpg"))) == {"a.jpg": "a_x4.jpg", "b.jpg": "b_x4.jpg"}
    write("a_x4_compare.png", "a_x4_jpg_compare.png", "b_x4.webp", "b_compare.png", "c_compare.png")
    assert targets(["*"]) == {"a.jpg": "a_x4.jpg", "b.jpg": "b_x4.jpg", "c_compare.png": "c_compare_x4.png"}
    assert targets(["a_x4.jpg"]) == {"a_x4.jpg": "a_x4_x4.jpg"}, "alone, it is a picture like others"
    assert targets(["a.jpg", "a_x4.jpg"], suffix="_x2") == {"a.jpg": "a_x2.jpg", "a_x4.jpg": "a_x4_x2.jpg"}
    write("done/a.png", "done/a_compare.png", "done/a_x4.png")
    assert targets(["done"], "more") == {f"done/{name}": f"more/{name}" for name in ("a.png", "a_x4.png")}
    write("in/a.png", "in/out/a.png")
    assert targets(["in"], "in/out") == {"in/a.png": "in/out/a.png"}
    assert targets(["in/**/*.png"], "in/out") == {"in/a.png": "in/out/a.png"}


def test_a_source_is_never_overwritten():
    write("in/a.png", "in/a.jpg", "out/a.png")
    for inputs, out in ((["in/a.png"], "in"), (["in"], "in"), (["in/a.png"], "in/a.png")):
        with pytest.raises(UsageError, match=r"in/a\.\w+ would be overwritten by its own result"):
            targets(inputs, out, force=True)
    with pytest.raises(UsageError, match=r"would overwrite out/a\.png, which is given as well"):
        targets(["in/a.png", "out/a.png"], "out", force=True)
    os.symlink("in", "link")
    with pytest.raises(UsageError, match="would be overwritten by its own result"):
        targets(["in/a.png"], "link", force=True)


# what there is to enlarge


def test_folders_give_pictures_and_nothing_hidden():
    write("in/a.png", "in/.b.png", "in/.c/d.png", "in/e/f.JPEG", "out/.hidden.png")
    Path("in/Thumbs.db").write_bytes(b"x")
    Path("in/readme.txt").write_text("x")
    assert set(targets(["in"])) == {"in/a.png", "in/e/f.JPEG"}
    assert set(targets(["out/.hidden.png"])) == {"out/.hidden.png"}, "unless it is named"
    for empty in ("none", "out"):
        Path(empty).mkdir(exist_ok=True)
        with pytest.raises(DataError, match=rf"no picture below {empty}; known endings: \.apng"):
            targets([empty])


def test_links_are_followed_and_no_folder_is_searched_twice():
    write("in/a.png", "in/real/b.png", "elsewhere/c.png")
    os.symlink(Path("elsewhere").resolve(), "in/linked")
    os.symlink("..", "in/real/loop")
    os.symlink("real", "in/again")
    os.symlink("a.png", "in/also.png")
    os.symlink("nowhere.png", "in/dead.png")
    os.symlink("itself.png", "in/itself.png")
    assert set(targets(["in"])) == {
        "in/a.png", "in/real/b.png", "in/linked/c.png", "in/also.png", "in/dead.png", "in/itself.png"
    }  # fmt: skip


# the command


def test_it_makes_what_the_upscaler_makes(upscale, model):
    write("a.png", "in/b/c.jpg", size=(23, 17))
    code, said = upscale("a.png", "in")
    assert code == 0
    assert f"{model.name} in PyTorch on cpu, fp32: as asked for" in said
    upscaler = Upscaler(model, "torch")
    for source, target in (("a.png", "a_x2.png"), ("in/b/c.jpg", "in_x2/b/c.jpg")):
        opened, result = read_picture(source), read_picture(target)
        assert isinstance(opened, Picture) and isinstance(result, Picture)
        made = upscaler.picture(opened).color
        if target.endswith("png"):
            np.testing.assert_array_equal(result.color, made)
        else:
            assert result.color.shape == made.shape == (SCALE * 17, SCALE * 23, 3)
    assert "2 pictures: 2 enlarged" in said


def test_what_exists_stays(upscale):
    """A file that is named is an error, those of folders are passed over."""
    write("a.png", "in/b.png", "in/c.png", "a_x2.png", "in_x2/b.png")
    before = contents(Path())
    code, said = upscale("a.png")
    assert code == 1 and "a_x2.png exists: give another place, or --force to overwrite it" in said
    code, said = upscale("in")
    assert code == 0 and "2 pictures: 1 enlarged, 1 there already" in said
    assert {name: content for name, content in contents(Path()).items() if name in before} == before
    assert upscale("in", "--force")[0] == upscale("a.png", "--force")[0] == 0
    now = contents(Path())
    assert [name for name in before if now[name] != before[name]] == ["a_x2.png", "in_x2/b.png"]


def test_one_bad_file_never_stops_the_others(upscale):
    write("in/a.png", "in/z.png")
    Path("in/empty.png").touch()
    Path("in/half.png").write_bytes(Path("in/a.png").read_bytes()[:90])
    Path("in/text.jpg").write_text("no picture")
    os.symlink("nowhere", "in/dead.png")
    code, said = upscale("in")
    assert code == 1
    assert set(contents(Path("in_x2"))) == {"a.png", "z.png"}
    lines = said.splitlines()
    assert "6 pictures: 2 enlarged, 4 failed" in lines[-5]
    for line, problem in zip(
        sorted(lines[-4:]),
        ("dead.png: cannot be read: No such file", "empty.png: the file is empty", "half.png: the file is cut off", "text.jpg: not a picture"),
        strict=True,
    ):  # fmt: skip
        assert line.startswith(f"aethernet upscale: in/{problem}")


def test_a_single_bad_file_is_an_error(upscale):
    Path("a.png").touch()
    code, said = upscale("a.png")
    assert code == 1 and said.splitlines()[-1] == "aethernet upscale: error: a.png: the file is empty"
    assert set(contents(Path())) == {"a.png"}


def test_what_does_not_exist_is_told_before_a_network_is_loaded(upscale, monkeypatch):
    write("a.png")
    code, said = upscale("a.png", "missing.png")
    assert code == 1 and said.splitlines()[-1].endswith("error: missing.png: cannot be read: No such file or directory")
    assert Path("a_x2.png").exists()
    monkeypatch.setattr("aethernet.upscale.known.find_model", None)
    for given, problem in (
        ("missing.png", "missing.png: cannot be read: No such file or directory"),
        ("no*thing.png", "no file matches no*thing.png"),
        ("a.png/b.png", "a.png/b.png: cannot be read: Not a directory"),
    ):
        assert upscale(given) == (1, f"aethernet upscale: error: {problem}\n")
        assert upscale(given, "-o", "-") == (1, f"aethernet upscale: error: {problem}\n")


def test_a_folder_that_cannot_be_read_is_named(upscale, monkeypatch):
    write("in/a.png", "in/closed/b.png")
    scan = os.scandir

    def closed(folder):
        if Path(folder).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(os, "scandir", closed)
    code, said = upscale("in")
    assert code == 1 and said.splitlines()[-1].endswith("error: in/closed: cannot be read: Permission denied")
    assert set(contents(Path("in_x2"))) == {"a.png"}


def test_pictures_of_odd_sizes(upscale):
    for width, height in ((1, 1), (1, 20_000), (20_000, 1)):
        name = f"{width}x{height}.png"
        write_picture_file(Path("in", name), size=(width, height))
        assert upscale("in")[0] == 0
        assert Image.open(Path("in_x2", name)).size == (SCALE * width, SCALE * height)


def test_a_pipe_may_be_an_input(upscale):
    """As a shell's `<(...)`: its beginning can be read once."""
    write("a.png")
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(Path("a.png").read_bytes()))
    writer.start()
    code, _ = upscale("pipe", "-o", "b.png")
    writer.join()
    assert code == 0 and Image.open("b.png").size == (SCALE * 4, SCALE * 3)


def test_places_where_nothing_can_be_written_are_named(upscale):
    write("a.png", "in/b.png")
    Path("taken").touch()
    for args in (("a.png", "-o", "taken/deep"), ("in", "-o", "taken"), ("a.png", "-o", "taken/b.png")):
        code, said = upscale(*args)
        assert (
            code == 1
            and "taken" in said.splitlines()[-1]
            and "is no folder: give another place" in said.splitlines()[-1]
        ), said


def test_formats_that_cannot_hold_a_result_are_refused_before_work_starts(upscale):
    write_picture_file(Path("in/wide.png"), size=(9000, 1))
    write_picture_file(Path("in/clear.png"), mode="RGBA")
    write("in/a.png")
    code, said = upscale("in", "--format", "webp")
    assert code == 1 and "wide.png: WebP holds at most 16,383 pixels a side" in said
    assert set(contents(Path("in_x2"))) == {"clear.webp", "a.webp"}
    code, said = upscale("in", "--format", "jpg", "-o", "jpg")
    assert code == 1 and "clear.png: JPEG holds no transparency: use png" in said
    assert set(contents(Path("jpg"))) == {"wide.jpg", "a.jpg"}


def test_a_replaced_format_is_told_once(upscale):
    write("in/a.bmp", "in/b.bmp", "in/c.png")
    code, said = upscale("in")
    assert code == 0 and set(contents(Path("in_x2"))) == {"a.png", "b.png", "c.png"}
    assert said.count("a.bmp: BMP is not written, the result is a PNG") == 1
    assert "BMP is not written, the result is a PNG: 2 pictures" in said and "b.bmp:" not in said


def test_depth_quality_and_windows(upscale):
    write("a.png", size=(64, 48))
    assert upscale("a.png", "--depth", 16, "--tile", 20, "-o", "deep.png")[0] == 0
    deep = read_picture("deep.png")
    assert isinstance(deep, Picture) and deep.color.dtype == np.uint16
    assert upscale("a.png", "-o", "low.jpg", "--quality", 5)[0] == upscale("a.png", "-o", "high.jpg")[0] == 0
    assert Path("low.jpg").stat().st_size < Path("high.jpg").stat().st_size / 2
    code, said = upscale("a.png", "-o", "whole.png")
    assert code == 0 and "overlap" not in said
    code, said = upscale("a.png", "-o", "tiled.png", "--tile", 20)
    assert code == 0 and "a.png: windows of " in said and "% more to compute than the picture" in said
    tiled, whole = (np.asarray(Image.open(name)).astype(int) for name in ("tiled.png", "whole.png"))
    assert abs(tiled - whole).max() <= 1, "float32 sums of other lengths may round to the other side"
    code, said = upscale("a.png", "-o", "narrow.png", "--tile", 20, "--halo", 1)
    assert code == 0 and "windows overlap by 1 pixel on each side, as given" in said


def test_quiet_says_nothing_but_what_failed(upscale):
    write("in/a.bmp")
    assert upscale("in", "--quiet") == (0, NOTHING)
    Path("in/empty.png").touch()
    assert upscale("in", "--quiet") == (1, "aethernet upscale: error: in/empty.png: the file is empty\n")


def test_records_of_all_pictures(upscale, model):
    write("in/a.png", "in/b.png")
    Path("in/c.png").touch()
    upscale("in/b.png", "-o", "in_x2")
    assert upscale("in", "--json", "run.json")[0] == 1
    record = json.loads(Path("run.json").read_text())
    assert (record["kind"], record["scale"]) == ("upscale", SCALE)
    assert [(each["model"], each["engine"]) for each in record["networks"]] == [(model.name, "torch")]
    assert [each["model"] for each in record["pictures"] if each["outcome"] == "enlarged"] == [model.name]
    assert record["counts"] == {"failed": 1, "present": 1, "enlarged": 1}
    outcomes = {each["source"]: (each["outcome"], each["target"], each["problem"]) for each in record["pictures"]}
    assert outcomes == {
        "in/a.png": ("enlarged", "in_x2/a.png", ""),
        "in/b.png": ("present", "in_x2/b.png", ""),
        "in/c.png": ("failed", "in_x2/c.png", "the file is empty"),
    }
    assert record["megapixels"] == pytest.approx(12e-6)


def test_photographs_and_others_in_one_folder(tmp_path, monkeypatch, capsys):
    """Each result is that of its own network alone; x2 here, whose networks are both small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("aethernet.machine.keep_freed_memory", lambda: None)
    write("in/a.jpg", "in/b.png", "in/c.jpg", size=(16, 12))
    base = ["upscale", "in", "--scale", "2", "--engine", "torch"]
    assert cli.main([*base, "-o", "out", "--json", "run.json"]) == 0
    said = capsys.readouterr().err
    assert "aether_tiny_x2 in PyTorch" in said
    assert "aether_tiny_x2_photo in PyTorch" in said and "for JPEG, or give --model aether_tiny_x2" in said
    for name in ("aether_tiny_x2", "aether_tiny_x2_photo"):
        assert cli.main([*base, "-o", name, "--model", name]) == 0
        assert "for JPEG" not in capsys.readouterr().err
    for photograph, name in (("a.jpg", "_photo"), ("c.jpg", "_photo"), ("b.png", "")):
        expected = Path(f"aether_tiny_x2{name}", photograph).read_bytes()
        assert Path("out", photograph).read_bytes() == expected
        assert Path(f"aether_tiny_x2{'' if name else '_photo'}", photograph).read_bytes() != expected
    records = json.loads(Path("run.json").read_text())
    assert {each["model"] for each in records["networks"]} == {"aether_tiny_x2", "aether_tiny_x2_photo"}
    assert {each["source"]: each["model"] for each in records["pictures"]} == {
        "in/a.jpg": "aether_tiny_x2_photo", "in/b.png": "aether_tiny_x2", "in/c.jpg": "aether_tiny_x2_photo"
    }  # fmt: skip
    # Through a pipe the header decides, too.
    pipe = io.BytesIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(pipe, write_through=True))
        assert cli.main(["upscale", "in/a.jpg", "-o", "-", "--scale", "2", "--engine", "torch"]) == 0
        assert pipe.getvalue() == Path("out/a.jpg").read_bytes()


def test_records_may_go_to_the_standard_output(model, capsys):
    write("a.png")
    assert cli.main(["upscale", "a.png", "--quiet", "--json", "-", "--model", str(model), "--engine", "torch"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["counts"] == {"enlarged": 1} and captured.err == NOTHING
    assert set(contents(Path())) == {"a.png", "a_x2.png"}


def test_nothing_to_do_opens_no_engine(upscale, monkeypatch):
    write("in/a.png")
    assert upscale("in")[0] == 0
    monkeypatch.setattr("aethernet.upscale.arrays.choose_engine", None)
    code, said = upscale("in")
    assert (code, said) == (0, "1 picture: 1 there already\n")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--quality", "0"), "whole number from 1 to 100"), (("--tile", "x"), "whole number of at least 1"),
        (("--halo", "-1"), "halo"), (("--passes", "0"), "at least 1"), (("--depth", "12"), "invalid choice"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(options, complaint, capsys):
    with pytest.raises(SystemExit):
        cli.main(["upscale", "a.png", *options])
    assert complaint in capsys.readouterr().err


def test_an_empty_text_is_not_the_current_folder(upscale, model):
    """A shell's variable without a value is one."""
    write("a.png")
    for args in ((NOTHING,), ("a.png", "-o", NOTHING), ("a.png", "--original", NOTHING), ("a.png", "--json", NOTHING)):
        with pytest.raises(SystemExit, match="2"):
            upscale(*args)
    upscaler = Upscaler(model, "torch")
    for inputs, out in (([NOTHING], None), (["a.png"], NOTHING)):
        with pytest.raises(UsageError, match="is empty"):
            list(upscale_files(upscaler, inputs, out))
    assert upscale("a.png", "--suffix", NOTHING, "--format", "webp")[0] == 0
    assert set(contents(Path())) == {"a.png", "a.webp"}


def test_names_may_begin_with_a_dash(upscale):
    write("-a.png")
    assert upscale("./-a.png")[0] == 0 and Path("-a_x2.png").exists()
    assert cli.main(["upscale", "--quiet", "--model", "aether_tiny_x2", "--force", "--", "-a.png"]) == 0


# pipes


class Stream(io.BytesIO):
    def __init__(self, content: bytes = b"") -> None:
        super().__init__(content)
        self.buffer = self

    def isatty(self) -> bool:
        return False


@pytest.fixture
def pipe(model, monkeypatch, capsys):
    """The command between two pipes; gives the exit code, what came out, and what it said."""
    monkeypatch.setattr("aethernet.machine.keep_freed_memory", lambda: None)

    def run(content: bytes, *args: str) -> tuple[int, bytes, str]:
        out = Stream()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", Stream(content))
            patch.setattr(sys, "stdout", out)
            code = cli.main(["upscale", *args, "--model", str(model), "--engine", "torch"])
        return code, out.getvalue(), capsys.readouterr().err

    return run


def test_pipes_carry_pictures_alone(pipe, upscale):
    write("a.png", size=(23, 17))
    content = Path("a.png").read_bytes()
    upscale("a.png", "-o", "made.png")
    made = Path("made.png").read_bytes()
    assert pipe(content, "-")[:2] == pipe(content, "-", "-o", "-")[:2] == pipe(b"", "a.png", "-o", "-")[:2] == (0, made)
    assert pipe(content, "-", "-o", "b.png")[:2] == (0, b"") and Path("b.png").read_bytes() == made
    code, out, said = pipe(content, "-", "--format", "webp")
    assert code == 0 and Image.open(io.BytesIO(out)).format == "WEBP" and "in PyTorch on cpu" in said


def test_comparisons_lie_beside_results(upscale):
    write("in/a.png", "in/below/b.png", size=(20, 30))
    write("hr/a.png", size=(40, 60))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(
        "in/c.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")]
    )
    code, said = upscale("in", "-o", "out", "--original", "hr")
    assert code == 0 and "no original of it in hr" in said and "no comparison: it is made of still pictures" in said
    assert sorted(contents(Path("out"))) == ["a.png", "a_compare.png", "below/b.png", "below/b_compare.png", "c.gif"]
    before = contents(Path("out"))
    assert upscale("in", "-o", "out", "--compare")[0] == 0 and contents(Path("out")) == before
    write("here/a.png", "here/a.jpg")
    for _ in range(2):
        code, said = upscale("here/*", "--compare", "--format", "png")
        assert code == 0 and len(contents(Path("here"))) == 6, sorted(contents(Path("here")))
    assert "left out: 4 that are results of the others" in said
    assert upscale("in/a.png", "--original", "nowhere")[0] == 1 and not Path("in/a_x2.png").exists()


def test_pipes_refuse_what_has_no_name(pipe, monkeypatch):
    write("a.png")
    content = Path("a.png").read_bytes()
    Path("folder").mkdir()
    for args, complaint in (
        (("-", "a.png"), "give no other input"),
        (("-", "-o", "folder"), "give a file in folder"),
        (("-", "-o", "a.png"), "a.png exists"),
        (("-", "--suffix", "x"), "leave them out"),
        (("-", "--compare"), "leave them out"),
        (("-", "-o", "b.png", "--format", "jpg"), "two formats"),
    ):
        code, out, said = pipe(content, *args)
        assert (code, out) == (1, b"") and complaint in said, said
    assert pipe(b"no picture", "-")[:2] == (1, b"")
    monkeypatch.setattr(Stream, "isatty", lambda self: True)
    assert "would go to the terminal" in pipe(content, "-")[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs pipes of POSIX")
def test_a_pipe_that_is_closed_is_one_line(model, tmp_path):
    write("a.png", size=(200, 200))
    command = ("upscale", "a.png", "-o", "-", "--model", model, "--quiet")
    process = start_aethernet(*command, cwd=tmp_path, logs=tmp_path, prepare=write_to_nobody)
    process.join()
    assert process.exitcode == 1
    assert Path("stderr").read_text() == "aethernet upscale: error: the output cannot be written: Broken pipe\n"


def write_to_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, sys.stdout.fileno())
