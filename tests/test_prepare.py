"""Preparing a folder: pairs that match, any input, nothing half done, and a second run that goes on."""

import json
import os
import random

import cv2
import numpy as np
import pytest

import aethernet.data.prepare as prepare_module
from aethernet.cli import main
from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.data.lmdb_folder import write_lmdb
from aethernet.data.pictures import read_rgb
from aethernet.data.prepare import prepare_folder
from aethernet.data.subimages import Parameters, cut_pairs
from aethernet.errors import DataError, OutputError, UsageError
from aethernet.integrations.basicsr import compat

SMALL = Parameters(scales=(2, 3), crop_size=48, step=24, min_size=24)


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    img = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)
    return img[:, :, 0] if channels == 1 else img


def save(path, img):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), img)
    return img


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def snapshot(directory):
    return {path: path.stat().st_mtime_ns for path in directory.rglob("*.png")}


@pytest.fixture
def hr_dir(tmp_path):
    save(tmp_path / "hr" / "0001.png", noise(100, 80, seed=1))
    save(tmp_path / "hr" / "0002.png", noise(50, 48, seed=2))
    return tmp_path / "hr"


def test_sub_images_of_hr_and_lr_have_the_same_names_and_places(hr_dir, tmp_path):
    summary = prepare_folder(hr_dir, tmp_path / "out", SMALL)
    # 0001 is 96x78 after the crop to a multiple of 6: windows at 0, 24, 48 down and 0, 24, 30 across.
    expected = [f"0001_s{number:03d}.png" for number in range(1, 10)] + ["0002_s001.png"]
    assert (summary.written, summary.pictures, summary.smallest_side) == (2, 10, 48)
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["HR_sub", "LR_bicubic_sub", "manifest.jsonl", "meta_info_HR_sub.txt"]
    assert summary.listing is not None and summary.listing.read_text().splitlines() == expected
    hr = modcrop(cv2.imread(str(hr_dir / "0001.png")), 6)
    corners = [(top, left) for top in (0, 24, 48) for left in (0, 24, 30)]
    for scale, folder in summary.folders.items():
        assert names(folder) == expected
        whole = bicubic_downsample(hr, scale) if scale else hr
        divisor = scale or 1
        for name, (top, left) in zip(expected, corners, strict=False):
            window = whole[top // divisor : (top + 48) // divisor, left // divisor : (left + 48) // divisor]
            np.testing.assert_array_equal(cv2.imread(str(folder / name)), window)


def test_windows_cover_everything_and_short_sides_are_taken_whole():
    parameters = Parameters(scales=(4,), crop_size=16, step=8)
    pairs = cut_pairs(noise(17, 47), parameters)
    assert [pair[0].shape for pair in pairs] == [(16, 16, 3)] * 5  # across: 0, 8, 16, 24, 28
    assert all(pair[4].shape == (4, 4, 3) for pair in pairs)
    (pair,) = cut_pairs(noise(17, 47), Parameters(scales=(4,), crop_size=480, step=240))
    assert (pair[0].shape, pair[4].shape) == ((16, 44, 3), (4, 11, 3))


def test_whole_pictures(hr_dir, tmp_path):
    summary = prepare_folder(hr_dir, tmp_path / "out", Parameters(scales=(4,), crop_size=None))
    assert {folder.relative_to(tmp_path).as_posix() for folder in summary.folders.values()} == {
        "out/HR",
        "out/LR_bicubic/X4",
    }
    assert names(summary.folders[0]) == names(summary.folders[4]) == ["0001.png", "0002.png"]
    assert cv2.imread(str(summary.folders[4] / "0001.png")).shape == (25, 20, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop_size": 100}, "crop size 100 must be a multiple of 12, .* 2, 3, 4: take 96"),
        ({"step": 50}, "step 50 must be a multiple of 12.*take 48"),
        ({"step": 0}, "step 0 must be"),
        ({"scales": ()}, "one or more whole numbers of at least 1"),
        ({"scales": (0, 2)}, "one or more whole numbers of at least 1"),
    ],
)
def test_parameters_that_fit_no_pair(arguments, message):
    with pytest.raises(UsageError, match=message):
        Parameters(**arguments)


def test_an_opaque_alpha_channel_is_dropped(tmp_path):
    colour = noise(48, 48)
    save(tmp_path / "opaque.png", np.dstack([colour, np.full((48, 48), 255, np.uint8)]))
    img, notices = read_rgb(tmp_path / "opaque.png")
    assert notices == ["opaque alpha channel dropped"]
    np.testing.assert_array_equal(img, colour[:, :, ::-1])


def test_unusable_pictures_are_listed_and_skipped(hr_dir, tmp_path, capsys):
    (hr_dir / "broken.png").write_bytes(b"this is no picture")
    (hr_dir / "empty.jpg").write_bytes(b"")
    (hr_dir / "notes.txt").write_text("not taken for a picture")
    save(hr_dir / "tiny.png", noise(20, 90))
    save(hr_dir / "grey.png", noise(48, 48, 1))
    save(hr_dir / "float.tif", noise(48, 48).astype(np.float32))
    for suffix in (".png", ".jpg"):
        whole = cv2.imencode(suffix, noise(64, 64))[1].tobytes()
        (hr_dir / f"cut{suffix}").write_bytes(whole[: len(whole) // 2])
    arguments = ["--scales", "2", "3", "--crop-size", "48", "--step", "24", "--min-size", "24", "--workers", "1"]
    assert main(["data", "prepare", str(hr_dir), str(tmp_path / "out"), *arguments]) == 0
    out = capsys.readouterr().out
    assert "3 pictures prepared, 0 finished before, 6 unusable" in out
    assert "grey made RGB: 1" in out
    assert "skipped broken.png: not a picture that Pillow or OpenCV can decode" in out
    assert "skipped cut.jpg: the file is cut off" in out
    assert "skipped cut.png: the file is cut off" in out
    assert "skipped empty.jpg: the file is empty" in out
    assert "skipped float.tif: it holds float32 samples" in out
    assert "skipped tiny.png: 90x20 is too small: both sides must reach the minimum size of 24" in out
    assert "notes.txt" not in out
    assert "gt_size can be at most 48" in out
    assert f"dataroot_gt: {tmp_path / 'out' / 'HR_sub'}\n" in out
    assert f"dataroot_lq: {tmp_path / 'out' / 'LR_bicubic_sub' / 'X3'}\n" in out


def test_it_is_an_error_if_no_picture_can_be_used(tmp_path, capsys):
    (tmp_path / "hr").mkdir()
    assert main(["data", "prepare", str(tmp_path / "hr"), str(tmp_path / "out")]) == 1
    assert "no picture below" in capsys.readouterr().err
    (tmp_path / "hr" / "broken.png").write_bytes(b"?")
    assert main(["data", "prepare", str(tmp_path / "hr"), str(tmp_path / "out")]) == 1
    assert "none of 1 picture below" in capsys.readouterr().err
    assert main(["data", "prepare", str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 1
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_sources_of_one_name_do_not_collide(tmp_path):
    pictures = ["a/0001.png", "b/0001.png", "b/0001.bmp", "c d/0001.png", "c_d/0001.png", "B_0001.png", "x.y z.png"]
    for seed, name in enumerate(pictures):
        save(tmp_path / "hr" / name, noise(24, 24, seed=seed))
    summary = prepare_folder(tmp_path / "hr", tmp_path / "out", SMALL)
    outputs = names(summary.folders[0])
    assert len(outputs) == len({name.lower() for name in outputs}) == len(pictures)
    contents = {cv2.imread(str(summary.folders[0] / name)).tobytes() for name in outputs}
    assert contents == {noise(24, 24, seed=seed).tobytes() for seed in range(len(pictures))}
    assert "x_y_z_s001.png" in outputs  # BasicSR ends an LMDB key at the first dot


def test_a_second_run_skips_what_is_finished(hr_dir, tmp_path, capsys):
    prepare_folder(hr_dir, tmp_path / "out", SMALL)
    before = snapshot(tmp_path / "out")
    save(hr_dir / "sub" / "0001.png", noise(24, 24, seed=3))
    summary = prepare_folder(hr_dir, tmp_path / "out", SMALL)
    assert (summary.written, summary.skipped, summary.pictures) == (1, 2, 11)
    after = snapshot(tmp_path / "out")
    assert {path: after[path] for path in before} == before
    arguments = ["--scales", "3", "2", "--crop-size", "48", "--step", "24", "--min-size", "24"]
    assert main(["data", "prepare", str(hr_dir), str(tmp_path / "out"), *arguments]) == 0
    assert "0 pictures prepared, 3 finished before, 0 unusable" in capsys.readouterr().out


def test_a_changed_source_is_done_again_and_its_old_outputs_go(hr_dir, tmp_path):
    prepare_folder(hr_dir, tmp_path / "out", SMALL)
    save(hr_dir / "0001.png", noise(48, 48, seed=9))
    summary = prepare_folder(hr_dir, tmp_path / "out", SMALL)
    assert (summary.written, summary.skipped) == (1, 1)
    for folder in summary.folders.values():
        assert names(folder) == ["0001_s001.png", "0002_s001.png"]
    np.testing.assert_array_equal(cv2.imread(str(summary.folders[0] / "0001_s001.png")), noise(48, 48, seed=9))


def test_missing_outputs_are_made_again(hr_dir, tmp_path):
    folders = prepare_folder(hr_dir, tmp_path / "out", SMALL).folders
    (folders[3] / "0001_s004.png").unlink()
    assert prepare_folder(hr_dir, tmp_path / "out", SMALL).written == 1
    assert (folders[3] / "0001_s004.png").is_file()


def test_other_parameters_into_the_same_folder_are_refused(hr_dir, tmp_path):
    prepare_folder(hr_dir, tmp_path / "out", SMALL)
    before = snapshot(tmp_path / "out")
    with pytest.raises(OutputError, match=r"prepared with other parameters \(step 24 there, 48 now\)"):
        prepare_folder(hr_dir, tmp_path / "out", Parameters(scales=(2, 3), crop_size=48, step=48, min_size=24))
    with pytest.raises(OutputError, match=r"scales \[2, 3\] there, \[2\] now"):
        prepare_folder(hr_dir, tmp_path / "out", Parameters(scales=(2,), crop_size=48, step=24, min_size=24))
    with pytest.raises(OutputError, match="hr_dir"):
        save(tmp_path / "other" / "0001.png", noise(48, 48))
        prepare_folder(tmp_path / "other", tmp_path / "out", SMALL)
    assert snapshot(tmp_path / "out") == before


def test_a_folder_that_is_not_ours_is_refused(hr_dir, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"not empty and holds no manifest.jsonl"):
        prepare_folder(hr_dir, tmp_path / "out", SMALL)
    with pytest.raises(OutputError, match="lies inside"):
        prepare_folder(hr_dir, hr_dir / "out", SMALL)


def test_an_interrupt_leaves_pairs_only_and_the_next_run_goes_on(hr_dir, tmp_path, monkeypatch):
    write_png, calls = prepare_module.write_png, []

    def interrupted(path, img):
        calls.append(path)
        if len(calls) == 12:
            raise KeyboardInterrupt
        write_png(path, img)

    monkeypatch.setattr(prepare_module, "write_png", interrupted)
    (hr_dir / "0000.png").write_bytes((hr_dir / "0002.png").read_bytes())  # done before the interrupt: 3 files
    with pytest.raises(KeyboardInterrupt):
        prepare_folder(hr_dir, tmp_path / "out", SMALL)
    assert [path.name for path in (tmp_path / "out").rglob("*.png")] == ["0000_s001.png"] * 3
    monkeypatch.undo()
    summary = prepare_folder(hr_dir, tmp_path / "out", SMALL)
    assert (summary.written, summary.skipped, summary.pictures) == (2, 1, 11)


def test_the_rest_of_a_killed_run_is_cleared_away(hr_dir, tmp_path):
    folders = prepare_folder(hr_dir, tmp_path / "out", SMALL).folders
    leftover = folders[2] / ".0001_s001.abc.png"
    leftover.write_bytes(b"half")
    manifest = tmp_path / "out" / "manifest.jsonl"
    manifest.write_text(manifest.read_text()[:-20])  # the last record was being written
    summary = prepare_folder(hr_dir, tmp_path / "out", SMALL)
    assert (summary.written, summary.skipped) == (1, 1)
    assert not leftover.exists()
    assert len([json.loads(line) for line in manifest.read_text().splitlines()]) == 3


def test_a_damaged_manifest_is_an_error(hr_dir, tmp_path):
    prepare_folder(hr_dir, tmp_path / "out", SMALL)
    manifest = tmp_path / "out" / "manifest.jsonl"
    manifest.write_text("{" + manifest.read_text())
    with pytest.raises(DataError, match=r"manifest.jsonl, line 1 is damaged"):
        prepare_folder(hr_dir, tmp_path / "out", SMALL)


def test_a_full_disk_stops_the_run_with_a_clear_error(hr_dir, tmp_path, monkeypatch):
    def full(path, img):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare_module, "write_png", full)
    with pytest.raises(OutputError, match=r"cannot write below .*No space left on device"):
        prepare_folder(hr_dir, tmp_path / "out", SMALL)


def test_several_workers_write_the_same_files(hr_dir, tmp_path):
    steps: list[tuple[int, int, str]] = []
    one = prepare_folder(hr_dir, tmp_path / "one", SMALL)
    two = prepare_folder(hr_dir, tmp_path / "two", SMALL, workers=2, progress=lambda *args: steps.append(args))
    assert [(done, total) for done, total, _ in steps] == [(0, 2), (1, 2), (2, 2)]
    assert sorted(source for *_, source in steps[1:]) == names(hr_dir)
    for scale, folder in one.folders.items():
        assert names(folder) == names(two.folders[scale])
        for path in folder.iterdir():
            assert path.read_bytes() == (two.folders[scale] / path.name).read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file modes")
def test_outputs_have_the_mode_that_the_user_set(hr_dir, tmp_path):
    before = os.umask(0o027)
    try:
        folder = prepare_folder(hr_dir, tmp_path / "out", SMALL, workers=4).folders[0]
        assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o640}
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_an_interrupt_of_several_workers_leaves_pairs_only(hr_dir, tmp_path):
    for seed in range(3, 9):
        save(hr_dir / f"{seed:04d}.png", noise(96, 96, seed=seed))

    def interrupt(done, total, source):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_folder(hr_dir, tmp_path / "out", SMALL, workers=2, progress=interrupt)
    hr, *others = (names(folder) for folder in SMALL.folders(tmp_path / "out").values())
    assert hr and all(names == hr for names in others)
    summary = prepare_folder(hr_dir, tmp_path / "out", SMALL, workers=2)
    assert (summary.written, summary.skipped) == (6, 2)


def paired_dataset(gt, lq, scale, backend, **options):
    compat.apply()
    pytest.importorskip("basicsr")
    from basicsr.data.paired_image_dataset import PairedImageDataset

    return PairedImageDataset(
        {
            "dataroot_gt": str(gt),
            "dataroot_lq": str(lq),
            "filename_tmpl": "{}",
            "io_backend": {"type": backend},
            "scale": scale,
            "phase": "val",
            **options,
        }
    )


def test_an_lmdb_that_a_run_leaves_behind_the_folders_is_named(hr_dir, tmp_path, caplog):
    pytest.importorskip("lmdb")
    arguments = ["data", "prepare", str(hr_dir), str(tmp_path / "out"), "--scales", "2", "--crop-size", "48"]
    assert main([*arguments, "--lmdb"]) == 0 and main(arguments) == 0
    assert "without --lmdb" not in caplog.text
    (hr_dir / "0001.png").unlink()
    assert main(arguments) == 0
    assert "not written anew without --lmdb, and of other pictures than the folders now: " in caplog.text
    assert "HR_sub.lmdb" in caplog.text and "LR_bicubic_sub_X2.lmdb" in caplog.text
    caplog.clear()
    assert main([*arguments, "--lmdb"]) == 0 and main(arguments) == 0
    assert "without --lmdb" not in caplog.text


def test_basicsr_reads_folders_and_lmdbs_alike(hr_dir, tmp_path, capsys):
    pytest.importorskip("lmdb")
    out = tmp_path / "out"
    arguments = ["--scales", "2", "3", "--crop-size", "48", "--step", "24", "--lmdb", "--workers", "1"]
    assert main(["data", "prepare", str(hr_dir), str(out), *arguments]) == 0
    printed = capsys.readouterr().out
    assert f"dataroot_lq: {out / 'LR_bicubic_sub_X2.lmdb'}\n" in printed
    assert "type: lmdb" in printed
    assert (out / "HR_sub.lmdb" / "meta_info.txt").read_text().splitlines()[0] == "0001_s001.png (48,48,3) 3"
    for scale in (2, 3):
        disk = paired_dataset(out / "HR_sub", out / "LR_bicubic_sub" / f"X{scale}", scale, "disk")
        lmdb = paired_dataset(out / "HR_sub.lmdb", out / f"LR_bicubic_sub_X{scale}.lmdb", scale, "lmdb")
        assert len(disk) == len(lmdb) == 10
        by_name = {
            os.path.splitext(os.path.basename(item["gt_path"]))[0]: item for item in (disk[i] for i in range(10))
        }
        for index in range(10):
            item = lmdb[index]
            assert (item["gt"] == by_name[item["gt_path"]]["gt"]).all()
            assert (item["lq"] == by_name[item["lq_path"]]["lq"]).all()
            assert item["gt"].shape[1] == item["lq"].shape[1] * scale
    random.seed(0)
    train = paired_dataset(
        out / "HR_sub", out / "LR_bicubic_sub/X2", 2, "disk", phase="train", gt_size=48, use_hflip=True, use_rot=True
    )
    assert train[0]["lq"].shape == (3, 24, 24)


def test_an_lmdb_is_written_anew_only_when_its_pictures_changed(tmp_path):
    pytest.importorskip("lmdb")
    save(tmp_path / "HR" / "a.png", noise(8, 12))
    destination = tmp_path / "HR.lmdb"
    assert write_lmdb(tmp_path / "HR", destination)
    assert not write_lmdb(tmp_path / "HR", destination)
    save(tmp_path / "HR" / "b.png", noise(9, 7))
    assert write_lmdb(tmp_path / "HR", destination)
    assert (destination / "meta_info.txt").read_text() == "a.png (8,12,3) 3\nb.png (9,7,3) 3\n"
    assert names(tmp_path) == ["HR", "HR.lmdb"]


def test_whole_pictures_are_cut_for_each_scale_alone(tmp_path):
    """A picture of 50x47 is measured at x2 as 50x46, at x3 as 48x45."""
    img = save(tmp_path / "hr" / "a.png", noise(50, 47))
    parameters = Parameters(scales=(2, 3, 4), crop_size=None, min_size=24)
    summary = prepare_folder(tmp_path / "hr", tmp_path / "out", parameters)
    np.testing.assert_array_equal(cv2.imread(str(summary.folders[0] / "a.png")), img)
    for scale in (2, 3, 4):
        low = cv2.imread(str(summary.folders[scale] / "a.png"))
        np.testing.assert_array_equal(low, bicubic_downsample(modcrop(img, scale), scale))


@pytest.mark.parametrize("lmdb", [False, True])
def test_pieces_of_pictures_that_are_gone_or_damaged_go(hr_dir, tmp_path, capsys, lmdb):
    save(hr_dir / "0003.png", noise(60, 60, seed=3))
    out = tmp_path / "out"
    arguments = ["data", "prepare", str(hr_dir), str(out), "--scales", "2", "3", "--crop-size", "48", "--step", "24"]
    arguments += ["--min-size", "24", *(["--lmdb"] if lmdb else [])]
    assert main(arguments) == 0
    (hr_dir / "0001.png").unlink()
    (hr_dir / "0003.png").write_bytes(b"damaged")
    capsys.readouterr()
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    for source in ("0001.png", "0003.png"):
        assert f"removed what was made of {source}, which is gone or can no longer be used" in printed
    assert "1 training picture;" in printed
    for folder in SMALL.folders(out).values():
        assert names(folder) == ["0002_s001.png"]
    if lmdb:
        for folder in SMALL.lmdbs(out).values():
            assert len((folder / "meta_info.txt").read_text().splitlines()) == 1
    assert main(arguments) == 0
    assert "removed" not in capsys.readouterr().out
