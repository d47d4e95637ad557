"""Frames of a video through the network, two at the same time: in their order, each once, as one by one."""

import threading
from pathlib import Path

import numpy as np
import pytest
from helpers.upscaling import write_network

from aethernet.errors import EngineError
from aethernet.upscale import Upscaler

pytest.importorskip("av")
films = pytest.importorskip("helpers.films")

from aethernet.upscale.video import Coding, upscale_film  # noqa: E402
from aethernet.upscale.video.colours import Layout  # noqa: E402
from aethernet.upscale.video.decode import Sampled  # noqa: E402
from aethernet.upscale.video.enlarger import Decoded, Enlarged, Enlarger, Tally  # noqa: E402

LONG = 60.0
"""Seconds that are never waited for, unless the test fails."""


def decoded(number: int, level: int) -> Decoded:
    planes = [np.full((2, 3), level, np.uint8)]
    frame = Sampled(number, planes, Layout("grey"), 1, True)
    return Decoded(number, frame, np.full((1, 2, 3), level, np.float32))


class Lane:
    """An upscaler of one colour to twice its sides, which begins with a call of `begun`."""

    def __init__(self, begun):
        self._begun = begun

    def planes(self, rgb):
        self._begun(int(rgb[0, 0, 0]))
        return rgb.repeat(2, 1).repeat(2, 2)


class Abreast:
    def __init__(self, *lanes):
        self.lanes = lanes

    def abreast(self, pixels):
        assert pixels == 6
        return list(self.lanes)


def through(begun, items):
    tally = Tally()
    return list(Enlarger(Abreast(Lane(begun), Lane(begun)), (6, 4), tally).through(items)), tally


def test_two_at_a_time_come_out_in_their_order():
    """The first one ends behind the second one, which would wait for ever if they were not computed at the same time."""
    second_began, seen = threading.Event(), []

    def begun(level):
        seen.append(level)
        if level == 1:
            assert second_began.wait(LONG)
        if level == 2:
            second_began.set()

    items = [
        "begin",
        decoded(10, 1),
        decoded(11, 2),
        decoded(12, 2),
        "end",
        "begin",
        decoded(13, 3),
        decoded(14, 1),
        "end",
    ]
    results, tally = through(begun, iter(items))
    kinds = [item if isinstance(item, str) else (item.time, int(item.rgb[0, 0, 0]), item.rgb.shape) for item in results]
    shape = (1, 4, 6)
    wanted = [
        "begin",
        (10, 1, shape),
        (11, 2, shape),
        (12, 2, shape),
        "end",
        "begin",
        (13, 3, shape),
        (14, 1, shape),
        "end",
    ]
    assert kinds == wanted
    assert sorted(seen) == [1, 1, 2, 3] and tally.duplicates == 1, (
        "the one that equals its former is not computed again"
    )


def test_no_more_is_taken_than_is_worked_on_but_one():
    """Memory is that of a few frames, however fast they are decoded."""
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield decoded(number, number)

    lanes = [Lane(lambda level: None) for _ in range(2)]
    stream = Enlarger(Abreast(*lanes), (6, 4), Tally()).through(items())
    for number in range(50):
        item = next(stream)
        assert isinstance(item, Enlarged) and item.time == number and len(taken) <= number + 3
    assert next(stream, None) is None


def test_a_failure_of_one_is_told_and_ends_the_others():
    def begun(level):
        if level == 2:
            raise EngineError("it broke off")

    before = threading.active_count()
    with pytest.raises(EngineError, match="broke off"):
        through(begun, (decoded(number, number) for number in range(1, 9)))
    assert threading.active_count() == before


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield write_network(tmp_path_factory.mktemp("model") / "net.safetensors")


def test_they_share_threads_and_memory(model):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    pixels = 32 * 24
    for threads, wanted in ((1, [1]), (2, [1, 1]), (5, [2, 3])):
        upscaler = Upscaler(model, "onnxruntime", threads=threads)
        found = upscaler.abreast(pixels)
        options = [each.choice.session.session.get_session_options().intra_op_num_threads for each in found]
        assert options == wanted
    picture = np.random.default_rng(0).random((3, 24, 32), dtype=np.float32)
    assert all(np.array_equal(each.planes(picture), upscaler.planes(picture)) for each in found)
    assert Upscaler(model, "torch").abreast(pixels)[1:] == [], "PyTorch's threads are the process's own"
    short = Upscaler(model, "onnxruntime", threads=2, memory=1)
    assert short.abreast(pixels) == [short]


def test_a_film_is_the_same_as_frame_by_frame(model, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    frames = films.noise((32, 24), "yuv420p", 11)
    frames[4] = frames[3]
    films.write_film(tmp_path / "in.mkv", frames=frames, codec="ffv1")
    for threads in (1, 2):
        upscaler = Upscaler(model, "onnxruntime", threads=threads)
        target: Path = tmp_path / f"{threads}.mkv"
        result = upscale_film(upscaler, tmp_path / "in.mkv", target, coding=Coding("ffv1", segment=3))
        assert (result.frames, result.tally.duplicates) == (11, 1)
    one, two = (films.read_film(tmp_path / f"{threads}.mkv") for threads in (1, 2))
    assert one["times"] == two["times"]
    for mine, its in zip(one["frames"], two["frames"], strict=True):
        assert all(map(np.array_equal, mine, its))
