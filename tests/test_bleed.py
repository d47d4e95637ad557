"""Colour under transparent pixels: what shows stays, and enlarged edges show no halo on any background."""

import numpy as np
import pytest
from scipy import ndimage

from aethernet.data.picture.bleed import bleed

BACKGROUNDS = {"black": (0, 0, 0), "white": (255, 255, 255), "magenta": (255, 0, 255)}


def disc(size=48, soft=True, under=(0, 255, 0)):
    """An orange disc on transparent green: (H, W, 3) and (H, W), uint8."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    alpha = (255 * (size / 3 - np.hypot(x, y) + 0.5).clip(0, 1)).round().astype(np.uint8)
    if not soft:
        alpha = np.where(alpha > 127, 255, 0).astype(np.uint8)
    color = np.where(alpha[:, :, None] > 0, np.uint8([250, 140, 20]), np.uint8(under))
    return color, alpha


def over(color, alpha, background):
    weight = alpha[:, :, None].astype(float) / 255
    return color * weight + np.array(background) * (1 - weight)


def enlarged(plane, scale=4):
    """By cubic splines, which ring at edges as networks do."""
    zoom = (scale, scale, 1)[: plane.ndim]
    return ndimage.zoom(plane.astype(float), zoom, order=3, mode="nearest", grid_mode=True).clip(0, 255)


def halo(color, alpha, background):
    """How far the enlarged picture, laid over a background, is from the enlarged disc of one colour, in levels."""
    large = enlarged(alpha)
    truth = over(np.broadcast_to(np.array([250.0, 140, 20]), (*large.shape, 3)), large, background)
    return np.abs(over(enlarged(color), large, background) - truth).max()


@pytest.mark.parametrize("name", BACKGROUNDS)
@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("under", [(0, 0, 0), (255, 255, 255), (0, 255, 0)])
def test_no_halo_on_any_background(name, soft, under):
    color, alpha = disc(soft=soft, under=under)
    assert halo(color, alpha, BACKGROUNDS[name]) > 30  # without it
    assert halo(bleed(color, alpha), alpha, BACKGROUNDS[name]) < 1e-9  # one colour everywhere


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (64, 1), (33, 70), (1500, 7)])
def test_visible_pixels_keep_their_colour_and_all_others_get_one(kind, size):
    generator = np.random.default_rng(sum(size))
    most = 1 if kind == "float32" else np.iinfo(kind).max
    color = (generator.random((*size, 3)) * most).astype(kind)
    alpha = (generator.random(size) * most * (generator.random(size) < 0.1)).astype(kind)
    before = color.copy()
    filled = bleed(color, alpha)
    assert filled.dtype == color.dtype and filled.shape == color.shape
    np.testing.assert_array_equal(color, before)
    np.testing.assert_array_equal(filled[alpha > 0], color[alpha > 0])
    if (alpha > 0).any():
        low, high = (getattr(color[alpha > 0], bound)(axis=0) for bound in ("min", "max"))
        slack = 1e-6 if kind == "float32" else 0  # of float32 means; whole levels are rounded
        assert (filled >= low - slack).all() and (filled <= high + slack).all()


def test_near_pixels_get_near_colours():
    """Red on the left, blue on the right: each half of the gap takes after its side."""
    color = np.zeros((32, 64, 3), np.uint8)
    color[:, :16, 0], color[:, 48:, 2] = 200, 200
    alpha = np.zeros((32, 64), np.uint8)
    alpha[:, :16] = alpha[:, 48:] = 255
    filled = bleed(color, alpha)
    assert (filled[:, :32] == [200, 0, 0]).all() and (filled[:, 32:] == [0, 0, 200]).all()


def test_faint_pixels_count_little():
    color = np.uint8([[[200, 0, 0], [0, 200, 0], [9, 9, 9], [9, 9, 9]]])
    alpha = np.uint8([[255, 1, 0, 0]])
    assert bleed(color, alpha)[0, 3].tolist() == [199, 1, 0]


def test_grey_and_nothing_to_do():
    grey = np.uint8([[[7], [0]]])
    assert bleed(grey, np.uint8([[255, 0]])).tolist() == [[[7], [7]]]
    for alpha in (None, np.uint8([[1, 255]]), np.uint8([[0, 0]])):
        assert bleed(grey, alpha) is grey
