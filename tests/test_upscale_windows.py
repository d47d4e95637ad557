"""Windows: the plan covers a picture, and what is enlarged in windows equals what is enlarged at once."""

import dataclasses
import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from helpers.networks import randomise

from aethernet import aether_custom, calibrate
from aethernet.errors import EngineOutOfMemory, UnusableOutputError
from aethernet.network.picture_means import PictureMeans
from aethernet.runtimes.pytorch import TorchSession
from aethernet.runtimes.session import Session
from aethernet.upscale.enlarge import Report, enlarge
from aethernet.upscale.halo import Halo
from aethernet.upscale.planes import Rounding
from aethernet.upscale.sources import ArraySource
from aethernet.upscale.tiles import plan_windows
from aethernet.upscale.windows import Windows

SAME = 1e-6
"""In [0, 1]: float32 sums of another order. A missing pixel of halo changes these networks by a thousand times as much."""


def whole_number_of(generator, most):
    return generator.randint(1, most)


@pytest.mark.parametrize("seed", range(300))
def test_windows_cover_a_picture_once_with_their_halos(seed):
    generator = random.Random(seed)
    multiple, halo = generator.choice([1, 1, 2, 4, 8]), generator.randint(0, 40)
    height, width = (multiple * generator.randint(1, 300 // multiple) for _ in range(2))
    side = multiple * generator.randint(1, 200 // multiple)
    limits = generator.choice([{"side": side}, {"pixels": side**2}, {"size": (min(side, height), min(side, width))}])
    try:
        plan = plan_windows(height, width, halo, **limits, multiple=multiple)
    except ValueError:
        assert side <= 4 * (halo + multiple)
        return
    for spans, length, most in ((plan.rows, height, 0), (plan.columns, width, 1)):
        assert spans[0].start == spans[0].first == 0 and spans[-1].stop == spans[-1].last == length
        assert all(left.last == right.first for left, right in itertools.pairwise(spans))
        for span in spans:
            assert span.stop - span.start == plan.window[most]
            assert span.first in (0, *range(span.start + halo, length)) and span.last > span.first
            assert span.last == length or span.stop - span.last >= halo
            assert span.start % multiple == span.stop % multiple == 0
    rows, columns = plan.window
    assert rows * columns <= limits.get("pixels", height * width)
    assert max(rows, columns) <= max(limits.get("side", height), limits.get("side", width)) or plan.count == 1
    assert plan.cost >= 1 and (plan.cost == 1) == (plan.count == 1 or (halo == 0 and plan.cost == 1))


def enlarged(img, session, halo, scale=2, **limits):
    report = Report()
    windows = Windows(scale, 3, Halo(halo, True, bool(attentions(session)), ""), **limits)
    out = np.concatenate(list(enlarge(ArraySource(img), session, windows, report)))
    return out, report


def attentions(session):
    return PictureMeans(session.network).count if isinstance(session, TorchSession) else 0


def noise(height, width, channels, seed, dtype=np.float32):
    img = np.random.default_rng(seed).random((height, width, channels), dtype=np.float32)
    return img if dtype == np.float32 else (img * np.iinfo(dtype).max).astype(dtype)


def plain(**options):
    return randomise(
        aether_custom(2, **{"width": 8, "depths": (2,), "kernel_size": 3, "block": "plain", **options})
    ).eval()


def loud(network):
    """Random weights with which the far end of every window, and every mean, can be seen in the result."""
    network = randomise(network).eval().fuse_model()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parts = name.split(".")
            if name.endswith(".weight") and ("mixer" in parts or "ffn" in parts or "attention" in parts):
                parameter.mul_(6 if "attention" in parts else 2)
            if name.startswith(("transitions", "fusion")) and name.endswith(".weight"):
                parameter.mul_(3)
    return network


@pytest.fixture(scope="module")
def sessions():
    """By name: a session of random weights and its receptive radius."""
    torch.manual_seed(0)
    gated = loud(aether_custom(2, width=8, depths=(1,), kernel_size=5, channel_attention=False, spatial_attention=True))
    integers = calibrate(plain(), [torch.rand(1, 3, 24, 24)]).convert_to_quantized()
    networks = {"plain": plain(), "gated": gated, "int8": integers}
    return {name: (TorchSession(network), network.receptive_radius) for name, network in networks.items()}


@pytest.mark.parametrize(("name", "count"), [("plain", 100), ("gated", 75), ("int8", 25)])
def test_tiled_equals_whole(sessions, name, count):
    session, radius = sessions[name]
    generator = random.Random(name)
    for seed in range(count):
        height, width, channels = (generator.randint(1, 60), generator.randint(1, 60), generator.randint(1, 4))
        pixels = noise(height, width, channels, seed)
        whole, _ = enlarged(pixels, session, radius)
        side = generator.randint(2 * radius + 1, 2 * radius + 30)
        tiled, report = enlarged(pixels, session, radius, side=side)
        difference = np.abs(whole - tiled).max()
        assert difference <= (0 if name == "int8" else SAME), (height, width, channels, side, report.plan)


@pytest.mark.parametrize("name", ["plain", "gated", "int8"])
def test_one_pixel_of_halo_less_does_not_do(sessions, name):
    session, radius = sessions[name]
    pixels = noise(61, 67, 3, 0)
    whole, _ = enlarged(pixels, session, radius)
    tiled, report = enlarged(pixels, session, radius - 1, side=2 * radius + 9)
    assert report.plan.count > 1 and np.abs(whole - tiled).max() > 10 * SAME


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_levels_are_the_rounded_floats(sessions, dtype):
    session, radius = sessions["plain"]
    pixels = noise(23, 31, 4, 1, dtype)
    most = np.iinfo(dtype).max
    whole, _ = enlarged(pixels.astype(np.float32) / np.float32(most), session, radius)
    levels, _ = enlarged(pixels, session, radius, side=2 * radius + 11)
    assert levels.dtype == dtype and np.abs(levels - whole * most).max() <= 0.5 + most * SAME


def test_grey_stays_grey_and_alpha_is_enlarged_like_grey(sessions):
    session, radius = sessions["plain"]
    grey, rgba = noise(20, 20, 1, 2), noise(20, 20, 4, 2)
    with torch.inference_mode():
        rgb = session.network(torch.from_numpy(np.repeat(grey, 3, axis=2).transpose(2, 0, 1)[None])).numpy()[0]
    np.testing.assert_allclose(enlarged(grey, session, radius)[0][..., 0], rgb.mean(axis=0).clip(0, 1), atol=SAME)
    out, _ = enlarged(rgba, session, radius)
    np.testing.assert_allclose(out[..., :3], enlarged(rgba[..., :3], session, radius)[0], atol=SAME)
    np.testing.assert_allclose(out[..., 3:], enlarged(rgba[..., 3:], session, radius)[0], atol=SAME)


def test_a_grey_network_takes_channel_by_channel():
    network = plain(in_channels=1)
    windows = Windows(2, 1, Halo(network.receptive_radius, True, False, ""), side=30)
    pixels = noise(33, 40, 4, 3)
    out = np.concatenate(list(enlarge(ArraySource(pixels), TorchSession(network), windows, Report())))
    for channel in range(4):
        with torch.inference_mode():
            one = network(torch.from_numpy(pixels[None, None, :, :, channel])).numpy()[0, 0].clip(0, 1)
        np.testing.assert_allclose(out[:, :, channel], one, atol=SAME)


def attention_session():
    torch.manual_seed(1)
    network = loud(
        aether_custom(2, width=8, depths=(2, 2), kernel_size=3, channel_attention=True, spatial_attention=False)
    )
    return TorchSession(network), network.convolution_radius


def dark_and_light(height, width):
    pixels = noise(height, width, 3, 5)
    pixels[:, : width // 2] *= 0.1
    return pixels


def test_channel_attention_is_exact_after_as_many_passes_as_there_are():
    session, radius = attention_session()
    pixels = dark_and_light(70, 75)
    whole, _ = enlarged(pixels, session, radius)
    errors = []
    for passes in range(1, 5):
        tiled, report = enlarged(pixels, session, radius, side=2 * radius + 20, passes=passes)
        assert report.plan.count > 1 and report.passes == passes
        errors.append(float(np.abs(whole - tiled).max()))
    assert errors[-1] <= 5 * SAME  # means of sums in another order, four times
    assert errors[0] > 100 * SAME  # or else the passes would prove nothing
    assert report.change is not None and report.change <= 5 * SAME  # the last pass moved nothing


def test_an_attention_without_passes_differs_and_the_network_is_left_as_it_was():
    session, radius = attention_session()
    pixels = dark_and_light(70, 75)
    whole, _ = enlarged(pixels, session, radius)
    windows = Windows(2, 3, Halo(radius, False, False, ""), side=2 * radius + 20)
    tiled = np.concatenate(list(enlarge(ArraySource(pixels), session, windows, Report())))
    assert np.abs(whole - tiled).max() > 100 * SAME
    enlarged(pixels, session, radius, side=2 * radius + 20)
    np.testing.assert_array_equal(enlarged(pixels, session, radius)[0], whole)


class Limited(Session):
    """As another session, but out of memory for windows of more than `most` pixels, from the `first` call on."""

    engine, device = "torch", "cpu"

    def __init__(self, session, most, first=0):
        self.session, self.most, self.first, self.calls = session, most, first, 0

    def run(self, batch):
        self.calls += 1
        if batch.shape[2] * batch.shape[3] > self.most and self.calls > self.first:
            raise EngineOutOfMemory("PyTorch ran out of memory")
        return self.session.run(batch)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_out_of_memory_goes_on_with_smaller_windows_to_the_same_result(sessions, first):
    session, radius = sessions["plain"]
    pixels = noise(100, 90, 3, 6)
    whole, _ = enlarged(pixels, session, radius)
    tiled, report = enlarged(pixels, Limited(session, 900, first), radius, pixels=4000)
    assert np.abs(whole - tiled).max() <= SAME
    assert any("out of memory: goes on with windows of" in note for note in report.notes)
    rows, columns = report.plan.window
    assert rows * columns <= 900


def test_out_of_memory_where_windows_cannot_be_smaller_is_said(sessions):
    session, radius = sessions["plain"]
    with pytest.raises(EngineOutOfMemory, match="smaller windows are not possible"):
        enlarged(noise(100, 90, 3, 6), Limited(session, 10), radius, pixels=4000)


class Faulty(Session):
    """As another session, with one value of a later window replaced."""

    engine, device = "torch", "cuda"

    def __init__(self, session, fault):
        self.session, self.fault, self.calls = session, fault, 0

    def run(self, batch):
        out = self.session.run(batch)
        self.calls += 1
        return self.fault(out) if self.calls > 3 else out


@pytest.mark.parametrize(
    "fault", [lambda out: out * np.nan, lambda out: np.where(out > 0.5, np.inf, out), np.zeros_like, lambda out: -out]
)
def test_numbers_that_are_none_and_black_pictures_are_computed_anew(sessions, fault):
    session, radius = sessions["plain"]
    session = TorchSession(brightened(session.network))
    pixels = noise(100, 90, 3, 7)
    whole, _ = enlarged(pixels, session, radius)
    windows, report = Windows(2, 3, Halo(radius, True, False, ""), side=40), Report()
    strips = enlarge(ArraySource(pixels), Faulty(session, fault), windows, report, lambda: (session, "goes on in fp32"))
    assert np.abs(np.concatenate(list(strips)) - whole).max() <= SAME
    assert [note for note in report.notes if "goes on in fp32" in note]
    with pytest.raises(UnusableOutputError, match=r"not finite numbers|black for a picture that is not black"):
        list(enlarge(ArraySource(pixels), Faulty(session, fault), windows, Report()))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_threads_round_to_the_same_levels(dtype):
    out = noise(150, 40, 3, 3).transpose(2, 0, 1)[None] * np.float32(1.4) - np.float32(0.2)
    whole = 1 if dtype == np.float32 else np.iinfo(dtype).max
    expected = np.clip(np.rint(out * np.float32(whole)) if whole > 1 else out, 0, whole)[0].transpose(1, 2, 0)
    for threads in (1, 2, 5):
        with ThreadPoolExecutor(threads) as pool:
            target = np.empty((150, 40, 3), dtype)
            assert Rounding(3, pool, threads)(out, target) == pytest.approx(out.max())
            assert np.array_equal(target, expected.astype(dtype))
            broken = out.copy()
            broken[0, 1, 149, 39] = np.nan
            with pytest.raises(UnusableOutputError, match="not finite"):
                Rounding(3, pool, threads)(broken, target)


def brightened(network):
    """A copy whose output is positive everywhere."""
    import copy

    network = copy.deepcopy(network)
    network.upsample.last_conv.bias.data += 1.0
    return network


def test_a_black_picture_may_stay_black(sessions):
    session, radius = sessions["plain"]

    class Black(Limited):
        def run(self, batch):
            return np.zeros_like(self.session.run(batch))

    out, _ = enlarged(np.zeros((30, 30, 3), np.uint8), Black(session, 0), radius)
    assert not out.any()


class Strict(Session):
    """A model that takes one size, or multiples of a number, and nothing else."""

    engine, device = "onnxruntime", "cpu"

    def __init__(self, session, size=None, multiple=1):
        self.session, self.size, self.multiple = session, size, multiple

    def run(self, batch):
        assert self.size is None or batch.shape[2:] == self.size
        assert batch.shape[2] % self.multiple == batch.shape[3] % self.multiple == 0
        return self.session.run(batch)


@pytest.mark.parametrize("limits", [{"size": (40, 48)}, {"multiple": 8, "side": 40}, {"multiple": 4, "least": 32}])
@pytest.mark.parametrize(("height", "width"), [(61, 83), (5, 70), (1, 1), (40, 48)])
def test_models_of_one_size_and_of_multiples(sessions, limits, height, width):
    session, radius = sessions["plain"]
    strict = Strict(session, limits.get("size"), limits.get("multiple", 1))
    pixels = noise(height, width, 3, 8)
    out, _ = enlarged(pixels, strict, radius, **limits)
    whole, _ = enlarged(pixels, session, radius)
    assert out.shape == whole.shape == (2 * height, 2 * width, 3)
    inner = (slice(None, max(0, 2 * (height - radius))), slice(None, max(0, 2 * (width - radius))))  # repeated edges
    assert np.abs(out - whole)[inner].max(initial=0) <= SAME


def test_batches_of_windows(sessions):
    session, radius = sessions["plain"]
    pixels = noise(64, 100, 4, 9)
    one, report = enlarged(pixels, session, radius, side=30)
    assert len(report.plan.columns) % 4
    np.testing.assert_allclose(enlarged(pixels, session, radius, side=30, batch=4)[0], one, atol=SAME)


def test_windows_that_leave_nothing_are_refused():
    with pytest.raises(ValueError, match="nothing between halos of 8"):
        plan_windows(100, 100, 8, side=16)
    with pytest.raises(ValueError, match="nothing between halos of 8"):
        plan_windows(100, 100, 8, pixels=100)
    windows = Windows(2, 3, Halo(8, True, False, ""), size=(40, 40))
    with pytest.raises(ValueError, match="one size only"):
        windows.halved(100, 100)
    assert dataclasses.replace(windows, size=None, batch=4).halved(100, 100).batch == 2
