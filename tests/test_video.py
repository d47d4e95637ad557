"""Video: every stream, time and tag of the source comes out; killed runs go on; what cannot be enlarged is refused in words."""

import itertools
import json
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.upscaling import contents, upscale_command, write_network

from aethernet import aether_custom
from aethernet.checkpoint.checkpoint import write_checkpoint
from aethernet.errors import DataError, OutputError, UsageError
from aethernet.upscale import Upscaler
from aethernet.upscale.processes import Process

av = pytest.importorskip("av")
films = pytest.importorskip("helpers.films")

from aethernet.upscale.video import Coding, upscale_film  # noqa: E402
from aethernet.upscale.video.colours import Layout, from_rgb, layout_of, to_rgb  # noqa: E402
from aethernet.upscale.video.decode import FrameReader, frame_at  # noqa: E402
from aethernet.upscale.video.matroska import CRC, SEEK, SEEK_HEAD, SEEK_POSITION, SEGMENT, VOID, elements  # noqa: E402
from aethernet.upscale.video.muxing import decode_times  # noqa: E402
from aethernet.upscale.video.probe import probe  # noqa: E402
from aethernet.upscale.video.timeline import Timeline, scan  # noqa: E402

MATRICES = {"601": 6, "709": 1, "2020": 9}
BARS = {
    "601": [
        (180, 128, 128),
        (162, 44, 142),
        (131, 156, 44),
        (112, 72, 58),
        (84, 184, 198),
        (65, 100, 212),
        (35, 212, 114),
    ],
    "709": [
        (180, 128, 128),
        (168, 44, 136),
        (145, 147, 44),
        (133, 63, 52),
        (63, 193, 204),
        (51, 109, 212),
        (28, 212, 120),
    ],
}
"""Of 75 %, in 8 bits from 16 to 235, as SMPTE RP 219 and ITU-R BT.1729 have them."""
COLOURS = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model") / "net.safetensors")


@pytest.fixture(scope="module")
def upscaler(model):
    return Upscaler(model, "torch")


def identity(folder: Path, scale: int) -> Upscaler:
    """A network that gives the picture, each pixel as `scale` by `scale`."""
    network = aether_custom(scale, width=4, depths=(1,), kernel_size=3, block="plain")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    write_checkpoint(folder / "identity.safetensors", network.eval())
    return Upscaler(folder / "identity.safetensors", "torch")


# colours


def bars(matrix: int, full: bool, depth: int, size: tuple[int, int]) -> list[np.ndarray]:
    """Eight bars of 75 % above the same in another order and black, in 4:2:0."""
    width, height = size
    rgb = np.zeros((3, height, width), np.float32)
    edges = np.linspace(0, width, 8).astype(int)
    for number, colour in enumerate(COLOURS):
        rgb[:, :, edges[number] : edges[number + 1]] = 0.75 * np.array(colour, np.float32)[:, None, None]
    rgb[:, height // 2 :] = rgb[::-1, : height - height // 2, ::-1]
    return from_rgb(rgb, Layout("yuv", (True, True), depth), matrix, full)


@pytest.mark.parametrize("name", BARS)
def test_bars_of_the_standards_are_the_colours_that_they_mean(name):
    codes = np.array(BARS[name], np.uint8).T.reshape(3, 1, 7)
    rgb = to_rgb(list(codes), Layout("yuv"), MATRICES[name], False)
    wanted = 0.75 * np.array(COLOURS, np.float32).T.reshape(3, 1, 7)
    assert np.abs(rgb - wanted).max() < 1.5 / 219  # the codes are rounded: half a level of each of three
    assert np.array_equal(from_rgb(wanted, Layout("yuv"), MATRICES[name], False), list(codes))


@pytest.mark.parametrize(("matrix", "full", "depth"), list(itertools.product((6, 1, 9), (False, True), (8, 10))))
def test_colours_come_back(matrix, full, depth):
    """Any values at all, at edges too, and odd sizes: within one level, for nothing is clipped between."""
    layout = Layout("yuv", (True, True), depth)
    generator = np.random.default_rng(depth)
    for height, width in ((24, 32), (24, 33)):
        shapes = [layout.plane_shape(plane, height, width) for plane in range(3)]
        planes = [generator.integers(0, 2**depth, shape).astype(layout.dtype) for shape in shapes]
        back = from_rgb(to_rgb(planes, layout, matrix, full), layout, matrix, full, inverse=True)
        worst = max(int(np.abs(mine.astype(int) - its).max()) for mine, its in zip(planes, back, strict=True))
        assert worst <= 1


@pytest.mark.parametrize(
    "name", ["yuv422p", "yuv440p", "yuv444p10le", "gbrp", "gbrp12le", "gray", "gray10le", "yuv420p16le"]
)
def test_every_layout_comes_back(name):
    layout = layout_of(name)
    shapes = [layout.plane_shape(plane, 12, 10) for plane in range(layout.channels)]
    planes = [np.random.default_rng(0).integers(0, 2**layout.depth, shape).astype(layout.dtype) for shape in shapes]
    back = from_rgb(to_rgb(planes, layout, 1, True), layout, 1, True, inverse=True)
    for mine, its in zip(planes, back, strict=True):
        assert np.abs(mine.astype(int) - its).max() <= 1


@pytest.mark.parametrize(("matrix", "full", "depth"), list(itertools.product((6, 1, 9), (False, True), (8, 10))))
@pytest.mark.parametrize("scale", [1, 2])
def test_an_identity_network_changes_no_bar(matrix, full, depth, scale, tmp_path):
    """Through the whole of it, without loss in the codec: within one level everywhere; at x2 outside of the bars' edges."""
    planes = bars(matrix, full, depth, (28, 16))
    format = Layout("yuv", (True, True), depth).name
    tags = (matrix, matrix, matrix if matrix != 9 else 14, 2 if full else 1)
    films.write_film(tmp_path / "in.mkv", size=(28, 16), codec="ffv1", format=format, frames=[planes], tags=tags)
    upscale_film(identity(tmp_path, scale), tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding("ffv1"))
    out = films.read_film(tmp_path / "out.mkv")
    assert out["format"] == format and out["tags"] == tags
    for number, (mine, its) in enumerate(zip(planes, out["frames"][0], strict=True)):
        wanted = mine.repeat(scale, 0).repeat(scale, 1).astype(int)
        off = np.abs(wanted - its) > 1
        if scale > 1 and number:
            flat = np.ones(wanted.shape, bool)
            for axis in (0, 1):
                jump = np.diff(wanted, axis=axis) != 0
                for shift in (-1, 0, 1, 2):
                    flat &= ~np.roll(np.pad(jump, [(0, int(axis == each)) for each in (0, 1)]), shift, axis)
            off &= flat
            assert flat.any()
        assert not off.any()


def test_windows_change_no_frame(model, upscaler):
    """Nor do frames of one channel need another network; and nothing is clipped in either way."""
    picture = np.random.default_rng(0).uniform(-0.2, 1.2, (3, 40, 50)).astype(np.float32)
    whole = upscaler.planes(picture)
    assert whole.min() < 0 and whole.max() > 1
    parts = Upscaler(model, "torch", tile=24)
    assert np.array_equal(parts.planes(picture), whole) and parts.report.plan.count > 1
    assert upscaler.planes(picture[:1]).shape == (1, 80, 100)


# what is kept

KINDS = {
    "everything in Matroska": (".mkv", {"steps": (3600, 2970, 7200, 1530), "aspect": Fraction(4, 3), "turned": True, "audio": 2,
                                        "subtitles": ("subrip", "ass"), "chapters": True, "attachment": bytes(range(200))}),
    "everything in MP4": (".mp4", {"steps": (3600, 3003, 7200, 1501), "aspect": Fraction(4, 3), "turned": True, "audio": 2,
                                   "subtitles": ("mov_text",), "chapters": True}),
    "10 bit HDR": (".mkv", {"format": "yuv420p10le", "tags": (9, 9, 16, 1)}),
    "full range of SD": (".mov", {"tags": (6, 6, 6, 2)}),
    "4:4:4": (".mkv", {"format": "yuv444p"}),
    "grey": (".mkv", {"format": "gray"}),
    "RGB": (".mkv", {"codec": "libx265", "format": "gbrp", "tags": (0, 1, 13, 2)}),
}  # fmt: skip


@pytest.mark.parametrize(
    ("codec", "ending", "aspect"),
    [("ffv1", ".mkv", Fraction(16, 15)), ("av1", ".mkv", Fraction(3, 2)), ("vp9", ".webm", Fraction(40, 33)),
     ("av1", ".mp4", Fraction(16, 15)), ("prores", ".mov", Fraction(4, 3)), ("hevc", ".mp4", Fraction(64, 45))],
)  # fmt: skip
def test_samples_keep_their_aspect_in_every_codec(codec, ending, aspect, upscaler, tmp_path):
    """Of which FFmpeg writes some into Matroska only, and the file stays as FFmpeg reads it."""
    films.write_film(tmp_path / "in.mkv", 3, aspect=aspect, chapters=True, attachment=b"x" if ending == ".mkv" else b"")
    upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / f"out{ending}", coding=Coding(codec))
    out = films.read_film(tmp_path / f"out{ending}")
    assert out["aspect"] == aspect and len(out["times"]) == 3 and len(out["chapters"]) == 2
    assert out["metadata"]["title"] == "A film"
    if ending == ".mkv":
        data = (tmp_path / "out.mkv").read_bytes()
        (segment,) = (each for each in elements(data, 0, len(data)) if each.id == SEGMENT)
        masters = [each for each in elements(data, segment.content, segment.end) if each.id != VOID]
        for master in masters:  # the checksum of each holds
            first = next(elements(data, master.content, master.end))
            assert first.id == CRC and zlib.crc32(data[first.end : master.end]) == int.from_bytes(
                data[first.content : first.end], "little"
            )
        starts = {each.start - segment.content for each in masters}
        (head,) = (each for each in masters if each.id == SEEK_HEAD)
        for seek in (each for each in elements(data, head.content, head.end) if each.id == SEEK):
            (place,) = (each for each in elements(data, seek.content, seek.end) if each.id == SEEK_POSITION)
            assert int.from_bytes(data[place.content : place.end], "big") in starts


def test_light_levels_of_hdr10_are_kept(upscaler, tmp_path):
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    light = {"x265-params": f"log-level=none:hdr10=1:repeat-headers=1:master-display={display}:max-cll=1000,400"}
    options = {"codec": "libx265", "format": "yuv420p10le", "tags": (9, 9, 16, 1), "options": light}
    films.write_film(tmp_path / "in.mkv", 3, **options)
    upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv")
    source, out = films.read_film(tmp_path / "in.mkv")["side data"], films.read_film(tmp_path / "out.mkv")["side data"]
    for key in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert source[key] == out[key]
    result = upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "a.mkv", coding=Coding("ffv1"))
    assert any("light levels" in note for note in result.notes)


def test_what_would_stop_the_work_later_is_seen_before(upscaler, tmp_path, monkeypatch):
    films.write_film(tmp_path / "a.ts", 20, (32, 24), options={"g": "2"})
    films.write_film(tmp_path / "b.ts", 20, (16, 16), options={"g": "2"})
    (tmp_path / "in.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    monkeypatch.setattr(upscaler, "planes", lambda picture: pytest.fail("it was begun"))
    with pytest.raises(DataError, match="change from 32x24 to 16x16"):
        upscale_film(upscaler, tmp_path / "in.ts", tmp_path / "out.mkv")


@pytest.mark.parametrize("kind", KINDS)
def test_everything_is_kept(kind, upscaler, tmp_path):
    ending, options = KINDS[kind]
    films.write_film(tmp_path / f"in{ending}", 13, **options)
    result = upscale_film(upscaler, tmp_path / f"in{ending}", tmp_path / f"out{ending}", coding=Coding(segment=5))
    source, out = (films.read_film(tmp_path / f"{name}{ending}") for name in ("in", "out"))
    assert result.frames == len(out["times"]) == 13
    for key in ("times", "chapters", "metadata", "format", "aspect", "rotation", "index"):
        assert out[key] == source[key], key
    first = 1 if kind == "grey" else 0  # which has no matrix
    assert out["tags"][first:] == source["tags"][first:]
    assert out["size"] == (64, 48)
    film = source["index"]
    assert {index: packets for index, packets in out["packets"].items() if index != film} == {
        index: packets for index, packets in source["packets"].items() if index != film
    }
    kinds = [[(each[0], *each[2:]) for each in every["streams"]] for every in (source, out)]
    assert kinds[0] == kinds[1]
    assert {path.name for path in tmp_path.iterdir()} == {f"in{ending}", f"out{ending}"}


@pytest.mark.parametrize(("source", "target"), [(".mp4", ".mkv"), (".mkv", ".mp4"), (".ts", ".mov")])
def test_times_are_kept_from_one_format_to_another(source, target, upscaler, tmp_path):
    """As finely as the formats have them, also of sound that begins before the pictures."""
    films.write_film(tmp_path / f"in{source}", 8, steps=(3600, 3003), audio=1)
    upscale_film(upscaler, tmp_path / f"in{source}", tmp_path / f"out{target}")
    before, after = films.read_film(tmp_path / f"in{source}"), films.read_film(tmp_path / f"out{target}")
    sounds = [[packet[0] for packet in film["packets"][1]] for film in (before, after)]
    for mine, its in ((before["times"], after["times"]), sounds):
        assert max(abs(a - b) for a, b in zip(mine, its, strict=True)) <= Fraction(1, 2000)


def test_frames_are_what_the_network_makes_of_each(upscaler, tmp_path):
    """In their order, each once: compared with the same network on the frames one by one."""
    films.write_film(tmp_path / "in.mkv", 9, codec="ffv1", format="yuv444p")
    upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding("ffv1", segment=4))
    source, out = films.read_film(tmp_path / "in.mkv"), films.read_film(tmp_path / "out.mkv")
    layout = layout_of("yuv444p")
    for frame, enlarged in zip(source["frames"], out["frames"], strict=True):
        rgb = upscaler.planes(to_rgb(frame, layout, 1, False))
        for mine, its in zip(from_rgb(rgb, layout, 1, False), enlarged, strict=True):
            assert np.array_equal(mine, its)


def test_equal_frames_are_computed_once(upscaler, tmp_path, monkeypatch):
    frame, other = films.noise((32, 24), "yuv420p", 2)
    films.write_film(tmp_path / "in.mkv", codec="ffv1", frames=[frame, frame, frame, other, other, frame])
    calls, planes = [], upscaler.planes
    monkeypatch.setattr(upscaler, "planes", lambda picture: calls.append(1) or planes(picture))
    result = upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding("ffv1", segment=2))
    assert len(calls) == 3 and result.tally.duplicates == 3
    out = films.read_film(tmp_path / "out.mkv")["frames"]
    assert all(np.array_equal(out[0][0], out[place][0]) for place in (1, 2, 5))
    assert not np.array_equal(out[0][0], out[3][0])


def test_covers_are_no_film(upscaler, tmp_path):
    """In Matroska they are attachments."""
    films.write_film(tmp_path / "film.mkv", 3, options={"bf": "0"})
    with av.open(str(tmp_path / "film.mkv")) as source, av.open(str(tmp_path / "in.mkv"), "w") as out:
        film = out.add_stream_from_template(source.streams[0], opaque=True)
        cover = (Path(__file__).parent / "../docs/sample.png").resolve().read_bytes()
        out.add_attachment("cover.png", "image/png", cover)
        for packet in source.demux():
            if packet.size:
                packet.stream = film
                out.mux(packet)
    upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as out:
        covers = [bytes(packet) for packet in out.demux(out.streams[1]) if packet.size]
    assert covers == [cover]


def test_the_last_frame_of_reordered_ones_is_there(upscaler, tmp_path):
    for count in (1, 2, 3, 10, 11):
        films.write_film(tmp_path / "in.mkv", count, options={"bf": "4", "b-pyramid": "normal"})
        upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(segment=4), force=True)
        assert len(films.read_film(tmp_path / "out.mkv")["times"]) == count


def test_packets_are_decoded_before_they_are_shown():
    generator = np.random.default_rng(0)
    for _ in range(50):
        times = np.cumsum(generator.integers(1, 9, 20)).tolist()
        order = [place for block in range(0, 20, 5) for place in block + generator.permutation(5)]
        found = decode_times(times, order)
        assert all(early < late for early, late in itertools.pairwise(found))
        assert all(decoded <= times[number] for decoded, number in zip(found, order, strict=True))


def test_the_height_can_be_given(upscaler, tmp_path):
    films.write_film(tmp_path / "in.mkv", 2, turned=True)
    upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(to_height=48))
    assert films.read_film(tmp_path / "out.mkv")["size"] == (48, 36)  # shown as 36 x 48
    with pytest.raises(UsageError, match="more than the 64 rows that x2 gives"):
        upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "b.mkv", coding=Coding(to_height=65))


def test_odd_sizes_are_made_even_where_the_codec_needs_it(tmp_path):
    films.write_film(tmp_path / "in.mkv", 2, (31, 23), codec="ffv1", format="yuv444p")
    unchanged = identity(tmp_path, 1)
    result = upscale_film(unchanged, tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert any("32x24 in the place of 31x23" in note for note in result.notes)
    assert films.read_film(tmp_path / "out.mkv")["size"] == (32, 24)
    upscale_film(unchanged, tmp_path / "in.mkv", tmp_path / "exact.mkv", coding=Coding("ffv1"))
    assert films.read_film(tmp_path / "exact.mkv")["size"] == (31, 23)


# what is said or refused


@pytest.fixture
def upscale(model, tmp_path, monkeypatch, capsys):
    """The command in `tmp_path`; gives the exit code and what it said."""
    command = upscale_command(tmp_path, model, monkeypatch)

    def run(*args: object) -> tuple[int, str]:
        code = command(*args)
        captured = capsys.readouterr()
        return code, captured.err

    return run


def test_the_command_says_what_it_makes(upscale):
    films.write_film(Path("film.mp4"), 5, audio=1)
    code, said = upscale("film.mp4", "--json", "report.json", "--preset", "ultrafast")
    assert code == 0 and "film_x2.mp4: 5 frames; 5 of them computed" in said
    report = json.loads(Path("report.json").read_bytes())
    assert report["videos"][0]["frames"] == 5 and report["videos"][0]["tally"]["frames"] == 5
    code, said = upscale("film.mp4")
    assert code == 1 and "film_x2.mp4 exists" in said and "--force" in said
    assert upscale("film.mp4", "--force", "--quiet") == (0, "")
    assert upscale("film.mp4", "-o", "folder/")[0] == 0 and Path("folder/film.mp4").exists()


@pytest.mark.parametrize(
    ("name", "out"), [("a:b.mkv", None), ("http:x.mp4", "q:out.mkv"), ("100% f%03d.mkv", "%d 100%.mp4")]
)
def test_names_mean_nothing(name, out, upscale):
    """A colon begins no protocol, and a percent sign no number."""
    films.write_film(Path("plain.mkv"), 2)
    Path("plain.mkv").rename(name)
    code, said = upscale(name, *(["-o", out] if out else []))
    found = Path(out or f"{Path(name).stem}_x2.mkv")
    assert code == 0 and len(films.read_film(found)["times"]) == 2, said
    assert sorted(contents(Path())) == sorted([name, str(found)])


def test_a_folder_of_videos_is_no_folder_of_pictures(upscale):
    Path("films").mkdir()
    films.write_film(Path("films/a.mkv"), 1)
    code, said = upscale("films", "-o", "out/")
    assert code == 1 and "no picture below films, but videos, which are given by name: films/*.mkv" in said


def test_several_films_and_one_that_is_none(upscale):
    for name in ("a.mkv", "b.mkv", "c.mkv"):
        films.write_film(Path(name), 2)
    Path("b.mkv").write_bytes(b"nothing")
    code, said = upscale("*.mkv", "-o", "out/", "--json", "report.json")
    assert code == 1 and said.count("b.mkv: is no video that FFmpeg reads") == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.mkv", "c.mkv"]
    records = json.loads(Path("report.json").read_bytes())["videos"]
    assert [record["outcome"] for record in records] == ["enlarged", "failed", "enlarged"]
    code, said = upscale("*.mp4")
    assert code == 1 and "no file matches *.mp4" in said
    code, said = upscale("a.mkv", "c.mkv", "-o", "one.mkv")
    assert code == 1 and "give a folder" in said


def test_untagged_colours_are_announced_and_can_be_set(upscale):
    films.write_film(Path("in.mkv"), 2, tags=(2, 2, 2, 0))
    code, said = upscale("in.mkv", "-o", "a.mkv")
    assert code == 0 and "taken for BT.601" in said and "--assume-matrix" in said and "--assume-range" in said
    assert films.read_film(Path("a.mkv"))["tags"] == (6, 2, 2, 1)
    code, said = upscale("in.mkv", "-o", "b.mkv", "--assume-matrix", "bt709", "--assume-range", "pc")
    assert code == 0 and "taken for" not in said
    assert films.read_film(Path("b.mkv"))["tags"] == (1, 2, 2, 2)


def test_hdr_is_announced(upscale):
    films.write_film(Path("in.mkv"), 2, format="yuv420p10le", tags=(9, 9, 18, 1))
    code, said = upscale("in.mkv")
    assert code == 0 and "is HDR (HLG)" in said


def test_interlaced_video_is_refused_with_what_to_do(upscale):
    films.write_film(Path("in.mkv"), 4, codec="mpeg2video", options={"flags": "+ildct+ilme", "top": "1"})
    code, said = upscale("in.mkv")
    assert code == 1 and "interlaced" in said and "bwdif" in said and "--assume-progressive" in said
    assert not Path("in_x2.mkv").exists()
    assert upscale("in.mkv", "--assume-progressive")[0] == 0


def test_files_without_a_film_are_refused(upscale):
    for name in ("text.mkv", "empty.mp4"):
        Path(name).write_bytes(b"no video at all" * 5 if name == "text.mkv" else b"")
        code, said = upscale(name)
        assert code == 1 and "is no video that FFmpeg reads" in said, said
    code, said = upscale("missing.mkv")
    assert code == 1 and "there is no such file" in said
    with av.open("sound.mkv", "w") as out:
        sound = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        sound.layout = "mono"
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    code, said = upscale("sound.mkv")
    assert code == 1 and "has no video stream, only audio" in said


def test_one_of_several_films_is_chosen(upscale):
    with av.open("two.mkv", "w") as out:
        both = [out.add_stream("libx264", rate=25) for _ in range(2)]
        for number, stream in enumerate(both):
            stream.width, stream.height = 16 + 16 * number, 16
        for stream in both:
            for time in range(6):
                planes = films.noise((stream.width, 16), "yuv420p", 1, time)[0]
                out.mux(stream.encode(films.video_frame(planes, "yuv420p", time, Fraction(1, 25))))
            out.mux(stream.encode(None))
    code, said = upscale("two.mkv")
    assert code == 1 and "--stream" in said and "0 (h264, 16x16), 1 (h264, 32x16)" in said
    assert upscale("two.mkv", "--stream", 1)[0] == 0
    with av.open("two_x2.mkv") as out:
        assert [(each.width, each.height) for each in out.streams.video] == [(16, 16), (64, 32)]
        shown = sorted(packet.pts for packet in out.demux(out.streams[0]) if packet.size)
    assert shown == [0, 40, 80, 120, 160, 200]
    code, said = upscale("two.mkv", "--stream", 5, "--force")
    assert code == 1 and "those are: 0, 1" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--codec", "h26"], "no such codec, but h265, h264, h263: give h264, hevc, av1"),
        (["--codec", "hevc_nvnc"], "no such codec, but hevc_nvenc,"),
        (["--codec", "quality"], "no such codec: give h264, hevc, av1"),
        (["--codec", "aac"], "encodes audio"),
        (["--crf", "60"], "from 0 (best) to 51 for h264"),
        (["--codec", "ffv1", "--crf", "3"], "no such quality"),
        (["--codec", "mpeg4", "--crf", "3"], "mpeg4 has no such quality"),
        (["--codec", "mpeg4", "--preset", "slow"], "mpeg4 has none"),
        (["--codec", "hevc", "--to-height", "32"], "narrower than 64 pixels"),
        (["--preset", "quick"], "must be one of ultrafast"),
        (["-o", "out.gif"], "is no video that is written: give one of .mkv"),
        (["-o", "out.webm", "--codec", "h264"], "webm cannot hold"),
        (["-o", "out.mp4"], "mp4 cannot hold stream 2 (subtitle, ssa, swe): give a file .mkv, or --drop unfit"),
        (["-o", "out.mkv", "--drop", "9"], "those are: 1, 2"),
        (["--drop", "x"], "neither numbers of streams"),
        (["--quality", "3"], "--quality is for pictures"),
        (["-o", "in.mkv", "--force"], "overwritten by its own result"),
    ],
)
def test_what_does_not_fit_is_told_before_the_work(arguments, words, upscale, capsys):
    films.write_film(Path("in.mkv"), 2, audio=1, subtitles=("ass",))
    before = contents(Path())
    try:
        code, said = upscale("in.mkv", *arguments)
    except SystemExit as error:
        code, said = error.code, capsys.readouterr().err
    assert code in (1, 2) and words in said, said
    assert contents(Path()) == before


def test_streams_that_do_not_fit_can_be_dropped(upscale):
    films.write_film(Path("in.mkv"), 2, audio=2, subtitles=("ass",), attachment=b"x")
    code, said = upscale("in.mkv", "-o", "out.mp4", "--drop", "unfit")
    assert code == 0 and said.count("left out: stream") == 2
    assert [each[0] for each in films.read_film(Path("out.mp4"))["streams"]] == ["video", "audio", "audio"]
    assert upscale("in.mkv", "-o", "out.mkv", "--drop", "1,3")[0] == 0
    assert [each[0] for each in films.read_film(Path("out.mkv"))["streams"]] == ["video", "audio", "attachment"]


def test_pictures_and_videos_are_told_apart(upscale):
    code, said = upscale("a.mkv", "b.png")
    assert code == 1 and "separate commands" in said
    code, said = upscale("b.png", "--crf", 3)
    assert code == 1 and "--crf is for videos" in said


# runs that were interrupted


def interrupted_after(upscaler, monkeypatch, count: int) -> None:
    planes, calls = upscaler.planes, []

    def breaks(picture):
        calls.append(1)
        if len(calls) > count:
            raise KeyboardInterrupt
        return planes(picture)

    monkeypatch.setattr(upscaler, "planes", breaks)


@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_an_interrupted_run_goes_on(codec, upscaler, tmp_path, monkeypatch):
    films.write_film(
        tmp_path / "in.mp4", 30, steps=(3600, 3003), options={"g": "7", "bf": "2", "open-gop": "1"}, audio=1
    )
    coding = Coding(codec, segment=5)
    ending = ".mkv"
    upscale_film(upscaler, tmp_path / "in.mp4", tmp_path / f"whole{ending}", coding=coding)
    computed = 0
    for _ in range(3):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupted_after(upscaler, patch, 9)
            upscale_film(upscaler, tmp_path / "in.mp4", tmp_path / f"out{ending}", coding=coding)
        assert not (tmp_path / f"out{ending}").exists()
        found = len(list((tmp_path / f".out{ending}.parts").glob("0*.mkv")))
        assert found > computed, "it begins anew"
        assert not [path for path in (tmp_path / f".out{ending}.parts").iterdir() if path.name.startswith(".")]
        computed = found
    result = upscale_film(upscaler, tmp_path / "in.mp4", tmp_path / f"out{ending}", coding=coding)
    assert result.tally.frames == 30 - 5 * computed
    if codec == "ffv1":
        assert equal_films(tmp_path / f"out{ending}", tmp_path / f"whole{ending}")
    else:  # of equal planes this small, x264 makes other bytes in one of fifty runs, also in one thread
        out, whole = (films.read_film(tmp_path / f"{name}{ending}") for name in ("out", "whole"))
        assert out["times"] == whole["times"] and out["packets"][1] == whole["packets"][1]
        for mine, its in zip(out["frames"], whole["frames"], strict=True):
            assert np.abs(mine[0].astype(int) - its[0]).mean() < 1
    assert not (tmp_path / f".out{ending}.parts").exists()


def equal_films(first: Path, second: Path) -> bool:
    mine, its = films.read_film(first), films.read_film(second)
    return (
        mine["times"] == its["times"]
        and mine["packets"] == its["packets"]
        and all(
            np.array_equal(a, b)
            for one, other in zip(mine["frames"], its["frames"], strict=True)
            for a, b in zip(one, other, strict=True)
        )
    )


def test_parts_of_a_run_that_differs_are_not_mixed(upscaler, tmp_path, monkeypatch):
    films.write_film(tmp_path / "in.mkv", 12)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted_after(upscaler, patch, 8)
        upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(crf=20, segment=4))
    with pytest.raises(
        OutputError, match=r"differs in the codec or its settings: give the same settings .* or --force"
    ):
        upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(crf=30, segment=4))
    films.write_film(tmp_path / "in.mkv", 11)
    with pytest.raises(OutputError, match="differs in the input"):
        upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(crf=20, segment=4))
    result = upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(segment=4), force=True)
    assert result.tally.frames == 11


def test_a_damaged_part_is_no_result(upscaler, tmp_path, monkeypatch):
    films.write_film(tmp_path / "in.mkv", 12)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted_after(upscaler, patch, 9)
        upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(segment=4))
    part = tmp_path / ".out.mkv.parts/000000.mkv"
    part.write_bytes(part.read_bytes()[:-200])
    with pytest.raises((OutputError, DataError), match=r"000000.mkv"):
        upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(segment=4))
    assert not (tmp_path / "out.mkv").exists()
    part.unlink()
    assert upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv", coding=Coding(segment=4)).frames == 12


def test_frames_that_change_their_size_are_refused(upscaler, tmp_path):
    for name, size in (("a", (32, 24)), ("b", (16, 16))):
        films.write_film(tmp_path / f"{name}.h264", 3, size, container="h264")
    (tmp_path / "in.h264").write_bytes((tmp_path / "a.h264").read_bytes() + (tmp_path / "b.h264").read_bytes())
    with pytest.raises(DataError, match="change from 32x24 to 16x16"):
        upscale_film(upscaler, tmp_path / "in.h264", tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()


def test_times_of_avi_are_those_of_decoding(upscaler, tmp_path):
    """Which are given to the frames in the order in which they are shown."""
    frames = [
        [np.full(shape, 20 + 10 * number, np.uint8) for shape in ((24, 32), (12, 16), (12, 16))] for number in range(20)
    ]
    films.write_film(tmp_path / "in.avi", frames=frames, options={"bf": "3", "g": "8", "crf": "1"})
    result = upscale_film(upscaler, tmp_path / "in.avi", tmp_path / "out.mkv", coding=Coding("ffv1", segment=6))
    out = films.read_film(tmp_path / "out.mkv")
    assert result.frames == len(out["times"]) == 20
    assert {late - early for early, late in itertools.pairwise(out["times"])} == {Fraction(1, 25)}
    brightness = [frame[0].mean() for frame in out["frames"]]
    assert all(late > early for early, late in itertools.pairwise(brightness))


SEEKABLE = {
    "open GOP": (".mkv", {"options": {"x264-params": "open-gop=1:keyint=12:bframes=4:b-adapt=0"}}),
    "intra refresh": (".mkv", {"options": {"x264-params": "intra-refresh=1:keyint=12:bframes=0"}}),
    "TS": (".ts", {"options": {"x264-params": "open-gop=1:keyint=12:bframes=4:b-adapt=0"}}),
    "hidden frames": (".webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "20", "b": "200k"}}),
    "MPEG-2": (".mpg", {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}}),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEEKABLE)
def test_a_run_that_begins_in_the_middle_makes_the_same(kind, upscaler, tmp_path):
    """As one of several processes does, or one that goes on: frames behind a key frame may show what was before it."""
    ending, options = SEEKABLE[kind]
    moving = np.kron(np.random.default_rng(0).integers(40, 200, (24, 60)), np.ones((4, 4))).astype(np.uint8)
    frames = [
        [moving[:48, place : place + 64], *(moving[48:72, place : place + 32],) * 2] for place in range(0, 120, 3)
    ]
    films.write_film(tmp_path / f"in{ending}", size=(64, 48), frames=frames, **options)
    coding = Coding("ffv1", segment=7)
    upscale_film(upscaler, tmp_path / f"in{ending}", tmp_path / "whole.mkv", coding=coding)
    upscale_film(upscaler, tmp_path / f"in{ending}", tmp_path / "out.mkv", coding=coding, process=Process(3, 4))
    assert len(films.read_film(tmp_path / "out.mkv")["times"]) == 40
    assert equal_films(tmp_path / "out.mkv", tmp_path / "whole.mkv")


def test_a_film_that_begins_before_0(upscaler, tmp_path):
    """MP4 cuts off by an edit list, which leaves frames out."""
    films.write_film(tmp_path / "whole.mp4", 30, audio=1, options={"bf": "3", "g": "12"})
    with av.open(str(tmp_path / "whole.mp4")) as whole, av.open(str(tmp_path / "in.mp4"), "w") as out:
        copies = [out.add_stream_from_template(each) for each in whole.streams]
        for packet in whole.demux():
            if packet.dts is not None:
                packet.pts, packet.dts = (
                    time - round(Fraction(1, 2) / packet.time_base) for time in (packet.pts, packet.dts)
                )
                packet.stream = copies[packet.stream_index]
                out.mux(packet)
    source = films.read_film(tmp_path / "in.mp4")
    count = len(source["times"])
    assert count < len(source["packets"][source["index"]]), "some are left out"
    for name in ("out.mp4", "out.mkv"):
        result = upscale_film(upscaler, tmp_path / "in.mp4", tmp_path / name)
        found = films.read_film(tmp_path / name)
        assert result.frames == len(found["times"]) == count
        gaps = [late - early for early, late in zip(source["times"], found["times"], strict=True)]
        assert max(map(abs, gaps)) < Fraction(6, 10000)
        sounds = [film["packets"][1][0][0] for film in (source, found)]
        assert abs(sounds[0] - sounds[1]) < Fraction(6, 10000)


def test_metadata_of_any_name(upscaler, tmp_path):
    """MOV and Matroska have a place for it, as for that of telephones; MP4 has not, which is said."""
    own = {"com.apple.quicktime.make": "Apple", "custom": "y", "description": "x", "artist": "z"}
    films.write_film(tmp_path / "in.mkv", 3, metadata=own)
    for ending in ("mkv", "mov", "mp4"):
        result = upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / f"out.{ending}")
        kept = films.read_film(tmp_path / f"out.{ending}")["metadata"]
        lost = {key for key in own if kept.get(key) != own[key]}
        said = [note for note in result.notes if note.startswith("metadata without a place")]
        assert len(said) == (ending == "mp4") and lost == ({"com.apple.quicktime.make", "custom"} if said else set())
        assert all(key.upper() in said[0].upper() for key in lost)


def test_transparency_beside_the_frames_is_told(upscaler, tmp_path):
    """As WebM has it; the result does not say that it has some."""
    with av.open(str(tmp_path / "in.webm"), "w") as out:
        video = out.add_stream("libvpx-vp9", rate=25, options={"auto-alt-ref": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuva420p"
        out.mux(
            video.encode(
                av.VideoFrame.from_ndarray(np.full((48, 64, 4), 99, np.uint8), "rgba").reformat(format="yuva420p")
            )
        )
        out.mux(video.encode(None))
    result = upscale_film(upscaler, tmp_path / "in.webm", tmp_path / "out.mkv")
    assert "transparency is not kept" in result.notes
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert "alpha_mode" not in {key.lower() for key in container.streams[0].metadata}


def test_films_without_times_are_counted(upscaler, tmp_path):
    """As a bare stream of H.264 is."""
    films.write_film(tmp_path / "in.h264", 9, container="h264")
    result = upscale_film(upscaler, tmp_path / "in.h264", tmp_path / "out.mkv", coding=Coding(segment=4))
    out = films.read_film(tmp_path / "out.mkv")
    assert result.frames == len(out["times"]) == 9
    gaps = {late - early for early, late in itertools.pairwise(out["times"])}
    assert max(gaps) - min(gaps) <= Fraction(1, 1000)


@pytest.mark.parametrize("kind", ["later", "behind the end"])
def test_a_file_that_leads_to_a_wrong_place(kind, tmp_path, monkeypatch):
    """As transport streams do, which have no index: no frame is lost, whole parts neither."""
    films.write_film(tmp_path / "in.ts", 40, options={"bf": "2", "g": "4", "crf": "12"})
    timeline = scan(tmp_path / "in.ts", 0)
    wrong = timeline.times[-1] + 10**6 if kind == "behind the end" else timeline.keys[-2]
    monkeypatch.setattr(Timeline, "before", lambda self, time: wrong)
    film, found = probe(tmp_path / "in.ts"), []
    for segment in reversed(timeline.segments(5)):
        reader = FrameReader(film, timeline)
        frames = list(reader.frames(segment))
        reader.close()
        assert len(frames) == segment.frames and frames[0].time >= (segment.start or 0)
        found = [frame.time for frame in frames] + found
    assert found == list(timeline.times)
    frame = frame_at(film, 1.0)
    assert frame.time * film.time_base - film.begins == 1


# recordings


def shifted(source: Path, target: Path, seconds: float, clock: int = 0) -> None:
    """A copy in MPEG-TS that begins so much later, or so many ticks before its clock of 33 bits turns over."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as out:
        copies = {each.index: out.add_stream_from_template(each) for each in whole.streams}
        for packet in whole.demux():
            if packet.dts is not None:
                later = round((seconds + clock / 90000) / packet.time_base)
                packet.pts, packet.dts = packet.pts + later, packet.dts + later
                packet.stream = copies[packet.stream_index]
                out.mux(packet)


@pytest.mark.parametrize("ending", [".mkv", ".mp4"])
def test_a_clock_that_turns_over_hides_no_frame(ending, upscaler, tmp_path):
    """Broadcasts count to 2^33, and a recording may begin just before: FFmpeg then gives it times below 0."""
    films.write_film(tmp_path / "whole.mp4", 12)
    shifted(tmp_path / "whole.mp4", tmp_path / "in.ts", -1.8, 2**33)
    assert films.read_film(tmp_path / "in.ts")["times"][0] < 0
    upscale_film(upscaler, tmp_path / "in.ts", tmp_path / f"out{ending}")
    mine, its = (films.read_film(tmp_path / name)["times"] for name in ("in.ts", f"out{ending}"))
    assert [time - mine[0] for time in mine] == [time - its[0] for time in its]


def test_recordings_put_one_behind_the_other_are_refused_before_the_work(upscaler, tmp_path):
    """Their second half would flash by, and its sound fit no file."""
    films.write_film(tmp_path / "whole.mp4", 40, audio=1)
    for number in range(2):
        shifted(tmp_path / "whole.mp4", tmp_path / f"{number}.ts", 10.0)
    (tmp_path / "in.ts").write_bytes(b"".join((tmp_path / f"{number}.ts").read_bytes() for number in range(2)))
    with pytest.raises(DataError, match=r"begin anew behind 1\d\.\d+ s.*ffmpeg -i in\.ts -map 0 -c copy joined\.mkv"):
        upscale_film(upscaler, tmp_path / "in.ts", tmp_path / "out.mkv")
    assert not list(tmp_path.glob("*out*"))


def step_back(path: Path, track: int, place: int, milliseconds: int) -> None:
    """Puts a block of a Matroska file earlier: blocks hold their track and their time, of 16 bits."""
    data, cluster, block = bytearray(path.read_bytes()), 0x1F43B675, 0xA3
    (segment,) = (each for each in elements(data, 0, len(data)) if each.id == SEGMENT)
    blocks = [
        each.content + 1
        for outer in elements(data, segment.content, segment.end) if outer.id == cluster
        for each in elements(data, outer.content, outer.end) if each.id == block and data[each.content] == 0x80 | track
    ]  # fmt: skip
    start = blocks[place]
    time = int.from_bytes(data[start : start + 2], "big", signed=True) - milliseconds
    data[start : start + 2] = time.to_bytes(2, "big", signed=True)
    path.write_bytes(data)


def test_sound_whose_times_step_back_is_copied(upscaler, tmp_path):
    """As ffmpeg does it: no format takes such times."""
    films.write_film(tmp_path / "in.mkv", 12, audio=1)
    step_back(tmp_path / "in.mkv", track=2, place=6, milliseconds=60)
    before = films.read_film(tmp_path / "in.mkv")["packets"][1]
    times = [packet[0] for packet in before]
    assert times != sorted(times)
    upscale_film(upscaler, tmp_path / "in.mkv", tmp_path / "out.mkv")
    after = films.read_film(tmp_path / "out.mkv")["packets"][1]
    assert [packet[3] for packet in after] == [packet[3] for packet in before]
    assert [packet[0] for packet in after] == sorted(packet[0] for packet in after)
    assert sum(mine[0] != its[0] for mine, its in zip(before, after, strict=True)) == 1
