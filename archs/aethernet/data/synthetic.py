"""Pictures drawn from a seed: unlimited training data without any download.

A picture is a "dead leaves" scene: shapes with power-law sizes cover one another, which gives the edges, the
occlusions and the 1/f spectrum of natural images (Lee, Mumford and Huang, "Occlusion models for natural images",
2001). Shapes carry gradients, 1/f textures and gratings. Some pictures are pages of text, many have text or thin
lines on top. All is drawn at twice the size and area-averaged, so edges are anti-aliased as a camera's are.
"""

import string
from collections.abc import Sequence

import numpy as np

from aethernet.data.opencv import opencv
from aethernet.data.surfaces import SUPERSAMPLING, colour_of, new_palette, ramp, surface
from aethernet.errors import UsageError

cv2 = opencv("drawing synthetic pictures")

COVERAGE = 0.7  # how often the small leaves together cover the picture, on average
SMALLEST_RADIUS = 1.5  # pixels of the finished picture
SUBPIXEL_BITS = 4  # OpenCV takes coordinates in 1/16 pixel
FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_COMPLEX_SMALL,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
    cv2.FONT_HERSHEY_SCRIPT_COMPLEX,
)
CHARACTERS = np.array(list(string.ascii_lowercase * 4 + string.ascii_uppercase + string.digits * 2 + ".,:;!?()%&+-=/"))


def synthetic_picture(index: int, size: int, seed: int = 0) -> np.ndarray:
    """Draws picture number `index` of the endless series `seed`.

    Args:
        index: number of the picture, >= 0.
        size: height and width in pixels, >= 8. Another size gives another picture, not a crop.
        seed: number of the series, >= 0.

    Returns:
        (size, size, 3) RGB uint8. The same arguments give the same bits; another release of OpenCV may draw text
        differently.

    Raises:
        UsageError: an argument out of its range.
    """
    if index < 0 or seed < 0 or size < 8:
        raise UsageError(f"index {index}, size {size}, seed {seed}: size must be >= 8, the others >= 0")
    rng = np.random.default_rng((seed, index))
    palette = new_palette(rng)
    draw = _page if rng.random() < 0.1 else _scene
    canvas = draw(rng, size * SUPERSAMPLING, palette)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)


def _scene(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    """Leaves from far to near, the far ones sometimes out of focus, then lines, light and text. uint8."""
    canvas: np.ndarray = np.empty((side, side, 3), np.uint8)
    canvas[:] = surface(rng, side, side, colour_of(rng, palette), palette)
    smallest = SUPERSAMPLING * SMALLEST_RADIUS * 4.0 ** rng.random()
    count = 6 + int(COVERAGE * rng.uniform(0.3, 1.6) * (side / smallest) ** 2 / 40)
    radii = _power_law(rng, count, smallest, 0.4 * side)
    radii[:6] = side * rng.uniform(0.15, 0.5, 6)
    radii = radii[np.argsort(-radii * rng.lognormal(0.0, 1.0, count))]  # mostly large ones behind small ones
    outlines = [_outline(rng) for _ in range(8)]
    in_focus = int(count * rng.uniform(0.05, 0.6)) if rng.random() < 0.35 else 0
    for number, radius in enumerate(radii):
        if in_focus and number == in_focus:
            canvas = cv2.GaussianBlur(canvas, (0, 0), SUPERSAMPLING * rng.uniform(0.7, 3.0))
        _leaf(rng, canvas, outlines[rng.integers(8)] * radius, palette)
    if rng.random() < 0.4:
        _lines(rng, canvas, palette)
    if rng.random() < 0.5:  # light falls off to one side
        canvas = (canvas * ramp(rng, side, side, rng.uniform(0.4, 0.9), 1.0)[:, :, None]).astype(np.uint8)
    for _ in range(rng.integers(1, 4) if rng.random() < 0.3 else 0):
        height = SUPERSAMPLING * rng.uniform(7, max(8.0, 0.3 * side / SUPERSAMPLING))
        position = rng.uniform(0.0, 0.8, 2) * side
        _text(rng, canvas, position, height, rng.normal(0, 25), colour_of(rng, palette))
    return canvas


def _page(rng: np.random.Generator, side: int, palette: np.ndarray) -> np.ndarray:
    """Lines of text on plain paper, dark on light or light on dark, with boxes, as pages and screens show. uint8."""
    paper, ink = colour_of(rng, palette) * 0.2 + 204, colour_of(rng, palette) * 0.35
    if rng.random() < 0.3:
        paper, ink = ink, paper
    canvas = np.empty((side, side, 3), np.uint8)
    canvas[:] = paper
    for _ in range(rng.integers(0, 5)):
        top, left, height, width = (rng.uniform(0, 0.9, 4) * side).astype(int)
        box, colour = canvas[top : top + height, left : left + width], colour_of(rng, palette)
        box[:] = (
            surface(rng, box.shape[0], box.shape[1], colour, palette) if box.size and rng.random() < 0.4 else colour
        )
    height = SUPERSAMPLING * rng.uniform(7, 22)
    angle = rng.normal(0, 3) if rng.random() < 0.5 else 0.0
    style = (int(rng.choice(FONTS)), max(1, round(height * rng.uniform(0.04, 0.14))))
    row = rng.uniform(0, height)
    while row < side:
        _text(rng, canvas, (rng.uniform(-2, 0.2) * height, row), height, angle, ink, style, length=side)
        row += height * rng.uniform(1.4, 1.7)
    return canvas


def _leaf(rng: np.random.Generator, canvas: np.ndarray, outline: np.ndarray, palette: np.ndarray) -> None:
    """Lays one shape, given by its corner points (n, 2) around the origin, somewhere on the canvas."""
    place, turn = rng.uniform(0, len(canvas), 2), rng.uniform(-0.6, 0.6)
    points = outline @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + place
    low = np.maximum(np.floor(points.min(axis=0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 2, len(canvas))
    width, height = (high - low).tolist()
    if width < 2 or height < 2:
        return
    behind = canvas[int(place[1]), int(place[0])]
    colour = behind + (colour_of(rng, palette) - behind) * np.float32(rng.beta(1.0, 1.2))  # neighbours are alike
    corners = np.round((points - low) * (1 << SUBPIXEL_BITS)).astype(np.int32)
    region = canvas[low[1] : high[1], low[0] : high[0]]
    if min(width, height) < 12 * SUPERSAMPLING and rng.random() < 0.7:  # plain, and drawn on the spot
        region = np.ascontiguousarray(region)
        cv2.fillPoly(region, [corners], colour.tolist(), cv2.LINE_AA, SUBPIXEL_BITS)
        canvas[low[1] : high[1], low[0] : high[0]] = region
        return
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    _blend(region, surface(rng, height, width, colour, palette), mask)


def _blend(region: np.ndarray, surface: np.ndarray, mask: np.ndarray) -> None:
    """Lays `surface` (H, W, 3) or one colour (3,) over `region`, in place, where `mask` (H, W) uint8 is opaque."""
    difference = surface - region
    difference *= np.multiply(mask, np.float32(1 / 255))[:, :, None]
    difference += region
    region[:] = difference


def _draw(canvas: np.ndarray, colour: np.ndarray, mask: np.ndarray) -> None:
    """As `_blend`, limited to the rectangle that the mask touches."""
    left, top, width, height = cv2.boundingRect(mask)
    part = slice(top, top + height), slice(left, left + width)
    _blend(canvas[part], colour, mask[part])


def _outline(rng: np.random.Generator) -> np.ndarray:
    """Corner points (n, 2) of a shape of radius about 1 around the origin: ellipse, blob, polygon, star or bar."""
    kind = rng.random()
    if kind < 0.45:  # ellipses and blobs
        angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
        radius = np.ones(32)
        if kind > 0.15:
            for waves in range(2, 6):
                radius += rng.normal(0, 0.3 / waves) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    elif kind < 0.7:  # convex and other polygons
        count = rng.integers(3, 8)
        angle = (np.arange(count) + rng.uniform(0, 0.8, count)) * (2 * np.pi / count)
        radius = rng.uniform(0.7, 1.2, count)
    elif kind < 0.75:  # stars
        count = 2 * rng.integers(3, 8)
        angle = np.arange(count) * (2 * np.pi / count)
        radius = np.where(np.arange(count) % 2, rng.uniform(0.3, 0.7), 1.2)
    else:  # rectangles, the narrow ones being bars
        angle = np.arctan2([1, 1, -1, -1], [1, -1, -1, 1])
        radius = np.full(4, 1.3)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    points[:, 1] *= rng.uniform(0.08, 1.0) if kind > 0.75 else rng.uniform(0.3, 1.0)
    turn = rng.uniform(0, np.pi)
    return points @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])


def _lines(rng: np.random.Generator, canvas: np.ndarray, palette: np.ndarray) -> None:
    """Thin curves in bundles: wires, hair, whiskers, twigs."""
    side = len(canvas)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    start, middle, end = rng.uniform(-0.2, 1.2, (3, 2)) * side
    spread = rng.uniform(0.02, 0.4) * side
    time = np.linspace(0, 1, 20)[:, None]
    for _ in range(rng.integers(1, 12)):
        a, b, c = (point + rng.normal(0, spread, 2) for point in (start, middle, end))
        curve = (1 - time) ** 2 * a + 2 * time * (1 - time) * b + time**2 * c
        corners = np.round(curve * (1 << SUBPIXEL_BITS)).astype(np.int32)
        cv2.polylines(mask, [corners], False, 255, int(rng.integers(1, 6)), cv2.LINE_AA, SUBPIXEL_BITS)
    _draw(canvas, colour_of(rng, palette), mask)


def _text(
    rng: np.random.Generator,
    canvas: np.ndarray,
    position: Sequence[float] | np.ndarray,
    height: float,
    angle: float,
    colour: np.ndarray,
    style: tuple[int, int] | None = None,
    length: float | None = None,
) -> None:
    """Writes random words. `position` is (x, y) of the line's start, `height` that of a capital in pixels, `angle`
    in degrees, `style` an OpenCV font and its thickness, `length` about the line's width in pixels.
    """
    characters = rng.choice(CHARACTERS, int((length or rng.uniform(2, 12) * height) / (0.6 * height)) + 1)
    characters[rng.random(len(characters)) < 0.16] = " "
    font, thickness = style or (int(rng.choice(FONTS)), max(1, round(height * rng.uniform(0.04, 0.14))))
    mask: np.ndarray = np.zeros(canvas.shape[:2], np.uint8)
    origin = (round(position[0]), round(position[1] + height))
    cv2.putText(mask, "".join(characters), origin, font, height / 22, 255, thickness, cv2.LINE_AA)
    if angle:
        turn = cv2.getRotationMatrix2D((float(position[0]), float(position[1])), angle, 1.0)
        mask = cv2.warpAffine(mask, turn, mask.shape[::-1])
    _draw(canvas, colour, mask)


def _power_law(rng: np.random.Generator, count: int, low: float, high: float) -> np.ndarray:
    """`count` radii between low and high with density r^-3, which makes the scene look alike at every zoom."""
    return (low**-2 - rng.random(count) * (low**-2 - high**-2)) ** -0.5
