"""Animated files: every frame whole, with its time, through reading and writing; other formats are refused or named."""

import io

import numpy as np
import pytest
from helpers import picture_files as make
from PIL import Image, ImageSequence, features

from aethernet.data.picture.animation_writing import durations, write_animation
from aethernet.data.picture.picture import Animation, Frame, Picture
from aethernet.data.picture.reading import read_picture
from aethernet.errors import DataError

TIMES = [100, 40, 250, 40]
FORMATS = ["GIF", "WEBP", "PNG", *(["AVIF"] if "avif" in features.get_supported() else [])]


def drawings(alpha=False):
    """A square that moves over a coloured ground, or over nothing; few colours, so that GIF holds them."""
    for number in range(4):
        img = np.zeros((24, 32, 4), np.uint8)
        if not alpha:
            img[:] = (20, 90, 160, 255)
            img[:8] = (200, 200, 40, 255)
        img[6:16, 3 + 6 * number : 13 + 6 * number] = (230, 60, 60, 255)
        yield Image.fromarray(img if alpha else np.ascontiguousarray(img[:, :, :3]))


def animated(kind, alpha=False, **how):
    frames = list(drawings(alpha))
    lossless = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}, "GIF": {"disposal": 2}}
    how = {"save_all": True, "append_images": frames[1:], "duration": TIMES, **lossless.get(kind, {}), **how}
    return make.encoded(frames[0], kind, **how)


def shown(picture):
    """(H, W, 4) with what cannot be seen made black."""
    alpha = np.full(picture.color.shape[:2], 255, np.uint8) if picture.alpha is None else picture.alpha
    return np.dstack([np.where(alpha[:, :, None] > 0, picture.color, 0), alpha])


def timeline(data):
    """(start in ms, frame as (H, W, 4)) of Pillow's own reading; frames that equal the one before are one with it."""
    start, found = 0, []
    with Image.open(io.BytesIO(data)) as image:
        for frame in ImageSequence.Iterator(image):
            rgba = np.asarray(frame.convert("RGBA"))
            rgba = np.where(rgba[:, :, 3:] > 0, rgba, 0)
            if not found or not np.array_equal(found[-1][1], rgba):
                found.append((start, rgba))
            start += image.info.get("duration", 0)
    return [*found, (start, None)]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("alpha", [False, True])
def test_frames_are_whole_and_timed(kind, alpha):
    animation = read_picture(animated(kind, alpha))
    assert isinstance(animation, Animation)
    assert (animation.size, animation.frames, animation.format) == ((32, 24), 4, kind)
    frames = list(animation)
    assert [frame.milliseconds for frame in frames] == TIMES
    assert all((frame.picture.alpha is not None) == alpha for frame in frames)
    tolerance = 8 if kind == "AVIF" else 0  # its quality of 100 is not without loss
    for frame, drawing in zip(frames, drawings(alpha), strict=True):
        expected = np.asarray(drawing.convert("RGBA"))
        visible = expected[:, :, 3] > 0
        assert np.abs(shown(frame.picture).astype(int) - expected)[visible].max() <= tolerance
    again = [shown(frame.picture) for frame in animation]
    assert all(np.array_equal(shown(frame.picture), other) for frame, other in zip(frames, again, strict=True))


def test_frames_that_hold_only_what_changed():
    """A GIF as encoders write it: a part of the picture, laid over what was there, or over what was there before that."""
    animation = read_picture(animated("GIF", disposal=0))
    for frame, drawing in zip(animation, drawings(), strict=True):
        np.testing.assert_array_equal(frame.picture.color, np.asarray(drawing))


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("alpha", [False, True])
def test_animations_are_enlarged_and_written_with_their_times(source, target, alpha):
    animation = read_picture(animated(source, alpha))
    double = (
        Frame(
            Picture(
                frame.picture.color.repeat(2, 0).repeat(2, 1),
                None if frame.picture.alpha is None else frame.picture.alpha.repeat(2, 0).repeat(2, 1),
            ),
            frame.milliseconds,
        )
        for frame in animation
    )
    file = io.BytesIO()
    write_animation(file, animation, double, format=target.lower(), quality=100)
    found = timeline(file.getvalue())
    assert [start for start, _ in found] == [0, 100, 140, 390, 430]
    tolerance = 12 if "AVIF" in (source, target) else 0
    for (_, frame), drawing in zip(found, drawings(alpha)):  # noqa: B905 - the last is the end
        expected = np.asarray(drawing.convert("RGBA").resize((64, 48), Image.Resampling.NEAREST))
        inside = np.ones(expected.shape[:2], bool) if not tolerance else expected[:, :, 3] > 0
        assert np.abs(frame.astype(int) - np.where(expected[:, :, 3:] > 0, expected, 0))[inside].max() <= tolerance


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
@pytest.mark.parametrize("plays", [0, 1, 3])
def test_how_often_it_plays(kind, plays):
    loop = {"GIF": {0: {"loop": 0}, 1: {}, 3: {"loop": 2}}[plays]}.get(kind, {"loop": plays})
    animation = read_picture(animated(kind, **loop))
    assert animation.plays == plays
    for form in ("gif", "webp", "png"):
        file = io.BytesIO()
        write_animation(file, animation, animation, format=form)
        assert read_picture(file.getvalue()).plays == plays


def test_a_png_whose_first_picture_is_no_frame():
    animation = read_picture(animated("PNG", default_image=True, duration=TIMES[1:]))
    assert animation.frames == 3
    first = next(iter(animation))
    np.testing.assert_array_equal(first.picture.color, np.asarray(list(drawings())[1]))
    assert first.milliseconds == TIMES[1]


def test_profiles_travel_with_animations():
    animation = read_picture(animated("WEBP", icc_profile=make.DISPLAY_P3))
    for form in ("webp", "png", "same"):
        file = io.BytesIO()
        assert write_animation(file, animation, animation, format=form) == ()
        assert read_picture(file.getvalue()).metadata.icc == make.DISPLAY_P3
    assert write_animation(io.BytesIO(), animation, animation, format="gif") == ("icc left out: GIF does not hold it",)


def test_times_do_not_drift():
    """33.3 ms in GIF's steps of 10: now 30, now 40, and never more than half a step away."""
    times = durations([1000 / 30] * 300, 10)
    assert set(times) <= {30, 40}
    assert np.abs(np.cumsum(times) - np.arange(1, 301) * 1000 / 30).max() <= 5 + 1e-6
    assert durations([0, 0, 5], 1) == [0, 0, 5]


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    animation = read_picture(animated("GIF"))
    with pytest.raises(DataError, match="at least one frame"):
        write_animation(tmp_path / "a.gif", animation, [])
    sizes = [Frame(Picture(np.zeros((4, side, 3), np.uint8)), 10) for side in (4, 5)]
    with pytest.raises(DataError, match="all must be of one size"):
        write_animation(tmp_path / "a.gif", animation, sizes)
    with pytest.raises(DataError, match="JPEG holds no animation"):
        write_animation(tmp_path / "a.gif", animation, animation, format="jpg")
    assert not list(tmp_path.iterdir())


def test_a_damaged_frame_is_named():
    data = bytearray(animated("GIF"))
    broken = None
    for place in range(len(data) - 1, 0, -1):
        data_cut = bytes(data[:place])
        try:
            animation = read_picture(data_cut)
            list(animation)
        except DataError as error:
            broken = str(error)
            if broken.startswith("frame "):
                break
    assert broken.startswith("frame "), broken
    assert "is damaged: " in broken
