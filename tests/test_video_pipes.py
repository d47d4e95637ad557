"""Videos through pipes, folders of frames, and previews: the same frames as from file to file, and nothing half-written."""

import contextlib
import io
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.training import environment
from helpers.upscaling import contents, upscale_command, write_network
from PIL import Image

from aethernet.errors import DataError, OutputError
from aethernet.upscale import Upscaler

av = pytest.importorskip("av")
films = pytest.importorskip("helpers.films")

from aethernet.upscale.video import Assumptions  # noqa: E402
from aethernet.upscale.video.colours import Layout, from_rgb, layout_of, to_rgb  # noqa: E402
from aethernet.upscale.video.pipes import PipeWriter, Stream, raw_stream, read_y4m_header, y4m_frames  # noqa: E402
from aethernet.upscale.video.streaming import stream_frames, turned  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model") / "net.safetensors")


@pytest.fixture
def upscale(model, tmp_path, monkeypatch, capfdbinary):
    """The command in `tmp_path` with a standard input; gives the exit code, what came out and what it said."""
    command = upscale_command(tmp_path, model, monkeypatch)

    def run(*args: object, content: bytes = b"") -> tuple[int, bytes, str]:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
            patch.setattr(sys, "stdout", io.TextIOWrapper(io.FileIO(1, "wb", closefd=False), write_through=True))
            code = command(*args)
            sys.stdout.flush()
        out, said = capfdbinary.readouterr()
        return code, out, said.decode()

    return run


def y4m(frames: list[list[np.ndarray]], chroma: str, extra: str = "") -> bytes:
    height, width = frames[0][0].shape
    head = f"YUV4MPEG2 W{width} H{height} F24000:1001 Ip A4:3 C{chroma}{extra}\n".encode()
    return head + b"".join(b"FRAME\n" + b"".join(plane.tobytes() for plane in frame) for frame in frames)


def read_y4m(content: bytes) -> tuple[Stream, list[list[np.ndarray]]]:
    pipe = io.BytesIO(content)
    stream = read_y4m_header(pipe, Assumptions(matrix="bt709"))
    return stream, [frame.planes for frame in y4m_frames(pipe, stream)]


def enlarged(model, frame, layout, matrix=1, full=False):
    return from_rgb(Upscaler(model, "torch").planes(to_rgb(frame, layout, matrix, full)), layout, matrix, full)


@pytest.mark.parametrize(
    ("chroma", "format"),
    [
        ("420jpeg", "yuv420p"),
        ("420p10", "yuv420p10le"),
        ("422", "yuv422p"),
        ("444p12", "yuv444p12le"),
        ("mono", "gray"),
    ],
)
def test_y4m_comes_out_as_it_goes_in(chroma, format, upscale, model):
    frames = films.noise((32, 24), format, 3)
    code, out, said = upscale("-", "--assume-matrix", "bt709", content=y4m(frames, chroma, " XCOLORRANGE=LIMITED"))
    assert code == 0 and "3 frames computed" in said
    stream, found = read_y4m(out)
    assert (stream.size, stream.rate, stream.aspect, stream.chroma, stream.full) == (
        (64, 48), Fraction(24000, 1001), Fraction(4, 3), chroma, False,
    )  # fmt: skip
    for frame, result in zip(frames, found, strict=True):
        for mine, its in zip(enlarged(model, frame, layout_of(format)), result, strict=True):
            assert np.array_equal(mine, its)


def test_ffmpeg_understands_our_y4m(upscale):
    """And a film goes into a pipe as it goes into a file without loss."""
    films.write_film(Path("in.mkv"), 4, format="yuv420p10le")
    code, out, said = upscale("in.mkv", "-o", "-")
    assert code == 0 and "without sound" in said
    Path("out.y4m").write_bytes(out)
    assert upscale("in.mkv", "-o", "out.mkv", "--codec", "ffv1")[0] == 0
    piped, filed = films.read_film(Path("out.y4m")), films.read_film(Path("out.mkv"))
    assert piped["format"] == filed["format"] == "yuv420p10le" and len(piped["frames"]) == 4
    for mine, its in zip(piped["frames"], filed["frames"], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, its, strict=True))


@pytest.mark.parametrize(("kind", "dtype"), [("rgb24", np.uint8), ("rgb48", np.dtype("<u2"))])
def test_raw_rgb(kind, dtype, upscale, model):
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (2, 10, 20, 3)).astype(dtype)
    code, out, _ = upscale("-", "--raw", f"{kind}:20x10@5", content=pixels.tobytes())
    assert code == 0
    found = np.frombuffer(out, dtype).reshape(2, 20, 40, 3)
    for frame, result in zip(pixels, found, strict=True):
        assert np.array_equal(Upscaler(model, "torch")(frame), result)
    code, out, _ = upscale("-", "--raw", f"{kind}:20x10@5", "--pipe-format", "y4m", content=pixels.tobytes())
    stream, frames = read_y4m(out)
    assert code == 0 and stream.rate == 5 and len(frames) == 2
    assert stream.layout == Layout("yuv", depth=8 if kind == "rgb24" else 16)


def test_a_pipe_into_a_file(upscale):
    frames = films.noise((32, 24), "yuv420p", 5)
    content = y4m(frames, "420mpeg2", " XCOLORRANGE=FULL")
    assert upscale("-", "-o", "out.mkv", "--assume-matrix", "bt709", content=content)[0] == 0
    out = films.read_film(Path("out.mkv"))
    assert len(out["times"]) == 5 and out["tags"][0] == 1 and out["tags"][3] == 2 and out["aspect"] == Fraction(4, 3)
    assert out["times"][4] == Fraction(167, 1000)
    code, _, said = upscale("-", "-o", "out.mkv", content=content)
    assert code == 1 and "out.mkv exists" in said


def test_a_pipe_that_ends_early_leaves_no_file(upscale):
    content = y4m(films.noise((32, 24), "yuv420p", 3), "420")
    code, _, said = upscale("-", "-o", "out.mkv", content=content[:-100])
    assert code == 1 and "ends in the middle of frame 2" in said
    assert contents(Path()) == {}


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"YUV4MPEG2 W32 H24 F25:1 It C420\n", "is interlaced"),
        (b"YUV4MPEG2 W32 H24 F25:1 Ip C411\n", "chroma 411"),
        (b"YUV4MPEG2 W32 F25:1\n", "header is damaged"),
        (b"YUV4MPEG2 W32 H24 F25:0\n", "header is damaged"),
        (b"YUV4MPEG2 W900000 H900000 F25:1\n", "frames of 900000x900000"),
        (b"YUV4MPEG2 W32 H24 F25:1 Ip C420\nNONE", "damaged behind frame 0"),
        (b"YUV4MPEG2 W32 H24 F25:1 Ip C420\n", "no frame"),
    ],
)
def test_bad_streams_are_named(head, words, upscale):
    code, _, said = upscale("-", "-o", "out.mkv", content=head)
    assert code == 1 and words in said
    assert contents(Path()) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-", "--raw", "rgb24:0x4"], "is not of the form"),
        (["-", "--raw", "rgb24:4x4", "--crf", "3"], "--crf is for files"),
        (["-", "--raw", "rgb24:4x4", "--json", "a.json"], "--json is for files"),
        (["in.mkv", "-o", "-", "--codec", "h264"], "--codec is for files"),
        (["in.mkv", "-o", "frames/f.png"], "is no video that is written"),
        (["in.mkv", "-o", "frames/%s.png"], "no pattern of frames"),
        (["in.mkv", "-o", "frames/%06d.bmp"], "is not written"),
        (["in.mkv", "--rate", "25"], "--rate is for folders of frames"),
        (["in.mkv", "--preview", "1", "-o", "a.jpg"], "give a file .png"),
        (["frames", "-o", "a.mkv"], "--rate is needed"),
    ],
)
def test_what_does_not_fit_is_told(arguments, words, upscale):
    films.write_film(Path("in.mkv"), 2)
    Path("frames").mkdir()
    Image.new("RGB", (8, 8)).save("frames/1.png")
    before = contents(Path())
    code, _, said = upscale(*arguments)
    assert code == 1 and words in said, said
    assert contents(Path()) == before


def test_a_reader_that_goes_ends_the_work(model):
    class Gone(io.BytesIO):
        def write(self, content):
            raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(OutputError, match="Broken pipe"):
        PipeWriter(Gone(), "y4m", (8, 8), raw_stream("rgb24:4x4"))


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="pipes of a shell")
def test_programs_before_and_behind(model, tmp_path):
    """More than pipes hold; and a reader that has enough, while the other end still waits."""
    content = y4m(films.noise((64, 48), "yuv420p", 40), "420")
    words = [sys.executable, "-m", "aethernet", "upscale", "-", "--model", str(model), "--engine", "torch"]
    done = subprocess.run(words, input=content, capture_output=True, env=environment(), check=True)
    assert len(read_y4m(done.stdout)[1]) == 40
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    process.stdout.close()
    with contextlib.suppress(BrokenPipeError):  # it may have ended already
        process.stdin.write(content[:50_000])
        process.stdin.flush()
    said = process.stderr.read().decode()  # it ends before its input does
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    assert process.wait() == 1 and "the output cannot be written: Broken pipe" in said and "Fatal" not in said


def test_a_source_that_breaks_ends_the_work(model):
    def frames():
        yield from films_of(2)
        raise DataError("damaged")

    def films_of(count):
        pipe = io.BytesIO(y4m(films.noise((8, 8), "yuv420p", count), "420"))
        return y4m_frames(pipe, read_y4m_header(pipe, Assumptions()))

    sink = PipeWriter(io.BytesIO(), "rgb24", (16, 16), raw_stream("rgb24:8x8"))
    with pytest.raises(DataError, match="damaged"):
        stream_frames(frames(), sink, Upscaler(model, "torch"), (16, 16))


def test_frames_and_back(upscale, model):
    """A film into pictures, of which those that are missing are made; pictures into a film."""
    films.write_film(Path("in.mp4"), 6)
    assert upscale("in.mp4", "-o", "frames/f%03d.png")[0] == 0
    names = [f"f{number:03d}.png" for number in range(1, 7)]
    whole = contents(Path("frames"))
    assert sorted(whole) == names
    source = films.read_film(Path("in.mp4"))["frames"]
    rgb = Upscaler(model, "torch").planes(to_rgb(source[2], layout_of("yuv420p"), 1, False))
    wanted = np.rint(rgb.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    assert np.array_equal(np.asarray(Image.open("frames/f003.png")), wanted)
    Path("frames/f004.png").unlink()
    code, _, said = upscale("in.mp4", "-o", "frames/f%03d.png")
    assert code == 0 and "1 frames computed" in said and contents(Path("frames")) == whole
    code, _, said = upscale("frames", "-o", "out.mkv", "--rate", "24000/1001")
    assert code == 0 and "RGB becomes BT.709" in said
    out = films.read_film(Path("out.mkv"))
    assert len(out["times"]) == 6 and out["size"] == (128, 96) and out["format"] == "yuv420p" and out["tags"][0] == 1
    Path("frames/f004.png").unlink()
    code, _, said = upscale("frames", "-o", "other.mkv", "--rate", "25")
    assert code == 1 and "frame 4 is missing" in said
    Path("frames/x.png").write_bytes(whole["f001.png"])
    code, _, said = upscale("frames", "-o", "other.mkv", "--rate", "25")
    assert code == 1 and "x.png has no number" in said


def test_deep_frames_have_16_bits(upscale):
    films.write_film(Path("in.mkv"), 1, format="yuv420p10le")
    assert upscale("in.mkv", "-o", "frames/%d.png")[0] == 0
    with av.open("frames/1.png") as picture:
        assert next(picture.decode(video=0)).format.name == "rgb48be"
    code, _, said = upscale("frames", "-o", "out.mkv", "--rate", "25")
    assert code == 0 and films.read_film(Path("out.mkv"))["format"] == "yuv420p10le", said


def test_a_preview_is_the_frame_that_is_shown_then(upscale):
    frames = [[np.full(shape, level, np.uint8) for shape in ((24, 32), (12, 16), (12, 16))] for level in (60, 120, 180)]
    films.write_film(Path("in.mkv"), frames=frames, codec="ffv1", steps=(90000,))
    for time, number in (("0", 0), ("0.9", 0), ("0:01", 1), ("0:00:01.5", 1), ("99", 2)):
        code, _, said = upscale("in.mkv", "--preview", time, "--force")
        assert code == 0 and f"in_preview.png: the frame at {number}.000 s" in said
        assert Image.open("in_preview.png").width > 700
    code, _, said = upscale("in.mkv", "--preview", "0")
    assert code == 1 and "in_preview.png exists" in said


def test_a_preview_counts_from_the_beginning_of_the_file(upscale):
    """As players do: recordings of broadcasts begin hours after 0."""
    frames = [[np.full(shape, level, np.uint8) for shape in ((24, 32), (12, 16), (12, 16))] for level in (60, 120, 180)]
    films.write_film(Path("whole.mp4"), frames=frames, steps=(90000,))
    with av.open("whole.mp4") as whole, av.open("late.ts", "w") as out:
        copy = out.add_stream_from_template(whole.streams[0])
        for packet in whole.demux():
            if packet.dts is not None:
                hours = round(9000 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + hours, packet.dts + hours, copy
                out.mux(packet)
    code, _, said = upscale("late.ts", "--preview", "0:01")
    assert code == 0 and "the frame at 1.000 s" in said, said


def test_a_preview_is_turned_as_players_do_it(upscale):
    frame = [np.full(shape, 128, np.uint8) for shape in ((24, 32), (12, 16), (12, 16))]
    frame[0][:, :8] = 235  # the left side, which a quarter turn to the right puts above
    films.write_film(Path("in.mkv"), frames=[frame], codec="ffv1", turned=True)
    code, _, said = upscale("in.mkv", "--preview", "0", "--quiet")
    assert code == 0, said
    enlarged = np.arange(24.0).reshape(1, 4, 6)
    for matrix, expected in (
        (films.QUARTER_TURN, np.rot90(enlarged[0], -1)), ((-1, 0, 0, 0, -1, 0, 0, 0, 1), enlarged[0, ::-1, ::-1]),
        ((0, -1, 0, 1, 0, 0, 0, 0, 1), np.rot90(enlarged[0])), ((-1, 0, 0, 0, 1, 0, 0, 0, 1), enlarged[0, :, ::-1]), (None, enlarged[0]),
    ):  # fmt: skip
        assert np.array_equal(turned(enlarged, matrix)[0], expected)
    picture = np.asarray(Image.open("in_preview.png").convert("L")).astype(float)
    height = picture.shape[0]
    bright = picture[int(height * 0.2) :].mean(axis=1)
    assert bright[: height // 10].mean() > bright[-height // 10 :].mean() + 30, "the bright side is above"


@pytest.mark.parametrize(
    ("aspect", "is_turned"), [(Fraction(2), False), (Fraction(1, 2), False), (Fraction(2), True), (Fraction(50), False)]
)
def test_a_preview_has_the_shape_that_players_give_it(aspect, is_turned, upscale):
    """Both sides stretched, turned before; what is no shape is taken for square samples."""
    frame = [np.full(shape, 128, np.uint8) for shape in ((24, 24), (12, 12), (12, 12))]
    films.write_film(Path("in.mp4"), frames=[frame], size=(24, 24), aspect=aspect, turned=is_turned)
    code, _, said = upscale("in.mp4", "--preview", "0")
    assert code == 0, said
    grey = np.abs(np.asarray(Image.open("in_preview.png").convert("RGB")).astype(int) - 130).max(axis=2) < 4
    height, width = (int(grey.sum(axis=axis).max()) for axis in (0, 1))  # of bicubic, which leaves it flat
    wanted = float(1 if aspect > 8 else 1 / aspect if is_turned else aspect)
    assert width / height == pytest.approx(wanted, rel=0.05)


@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_frames_that_carry_what_pyav_does_not_know(ending, upscale):
    """EXIF, which cameras and scanners write: PyAV breaks off at its kind, and at all else that the frame carries."""
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Path("frames").mkdir()
    for number in range(2):
        Image.fromarray(np.full((24, 32, 3), 100, np.uint8)).save(f"frames/{number}.{ending}", exif=exif)
    code, _, said = upscale("frames", "-o", "out.mp4", "--rate", "25")
    assert code == 0, said
    out = films.read_film(Path("out.mp4"))
    assert len(out["times"]) == 2 and out["size"] == (64, 48)
    assert abs(out["rotation"]) == 90
