"""Colours and surfaces for the synthetic pictures: palettes, gradients, 1/f textures and gratings.

All work on an enlarged canvas (`SUPERSAMPLING`) that is shrunk in the end; colours are RGB in [0, 255].
"""

import functools

import numpy as np

SUPERSAMPLING = 2  # canvas pixels for one pixel of the finished picture, along each side
TEXTURE_SIZE = 512


def new_palette(rng: np.random.Generator) -> np.ndarray:
    """24 RGB colours in [0, 255] that belong together: much variety in lightness, some in hue. (24, 3) float32."""
    lightness = np.clip(rng.normal(rng.uniform(70, 160), rng.uniform(30, 75), 24), 4, 250)
    warm = rng.normal(0, 8) + rng.normal(0, rng.gamma(2.0, 12.0), 24)  # most hues of nature lie from orange to blue
    other = rng.normal(0, 3) + rng.normal(0, rng.gamma(2.0, 5.0), 24)
    shade = np.sin(np.pi * lightness / 255) ** 0.5  # black and white have no hue
    chroma = np.stack([-warm + 0.6 * other, 0.8 * warm + other], axis=1) * shade[:, None]
    red = lightness + 1.40 * chroma[:, 1]
    green = lightness - 0.34 * chroma[:, 0] - 0.71 * chroma[:, 1]
    blue = lightness + 1.77 * chroma[:, 0]
    return np.clip(np.stack([red, green, blue], axis=1), 0, 255).astype(np.float32)


def colour_of(rng: np.random.Generator, palette: np.ndarray) -> np.ndarray:
    """One RGB colour of the palette, varied a little. (3,) float32."""
    return np.minimum(palette[rng.integers(len(palette))] * np.float32(rng.uniform(0.85, 1.1)), 255)


def surface(rng: np.random.Generator, height: int, width: int, colour: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """What a shape is made of: a gradient, a 1/f texture or a grating. (height, width, 3) float32 in [0, 255]."""
    kind = rng.random()
    if kind < 0.35:
        blend = ramp(rng, height, width, 0.0, 1.0)
        other = colour + rng.normal(0, 30) + rng.normal(0, 8, 3)
    elif kind < 0.87:
        blend = np.clip(_texture(rng, height, width) * np.float32(rng.uniform(0.1, 0.35)) + np.float32(0.5), 0, 1)
        other = colour * rng.uniform(0.2, 0.8) + rng.uniform(0, 60)
    else:
        blend = _grating(rng, height, width)
        other = colour + (colour_of(rng, palette) - colour) * rng.beta(1.0, 1.2)
    other = np.clip(other, 0, 255).astype(np.float32)
    out = blend[:, :, None] * (other - colour)
    out += colour
    return out


def ramp(rng: np.random.Generator, height: int, width: int, low: float, high: float) -> np.ndarray:
    """A linear gradient in a random direction, (height, width) float32 from `low` to `high`."""
    angle = rng.uniform(0, 2 * np.pi)
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * np.float32(np.sin(angle))
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(np.cos(angle))
    reach = abs(np.sin(angle)) + abs(np.cos(angle))
    return (down + across) * np.float32((high - low) / (2 * reach)) + np.float32((high + low) / 2)


def _grating(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Stripes, rings or checks in [0, 1], down to 2.5 pixels a period in the finished picture."""
    frequency = 2 * np.pi / (SUPERSAMPLING * rng.uniform(2.5, 5.0) ** rng.uniform(1.0, 2.0))
    angle, phase, kind = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi), rng.random()
    down = np.arange(height, dtype=np.float32)[:, None]
    across = np.arange(width, dtype=np.float32)
    along = across * np.float32(np.cos(angle)) + down * np.float32(np.sin(angle))
    if kind < 0.15:
        along = np.hypot(across - width * rng.random(), down - height * rng.random()).astype(np.float32)
    wave = np.sin(along * np.float32(frequency) + np.float32(phase))
    if kind > 0.8:
        wave *= np.sin((down * np.float32(np.cos(angle)) - across * np.float32(np.sin(angle))) * np.float32(frequency))
    sharpness = np.float32(rng.uniform(0.5, 4.0))  # from a sine to a square wave
    return 0.5 + 0.5 * np.clip(wave * sharpness, -1, 1)


def _texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A window, around 0 with deviation 1, into one of a few 1/f noise fields, sometimes drawn out to fibres."""
    field = _noise_fields()[rng.integers(len(_noise_fields()))]
    rows = (np.arange(height) + rng.integers(TEXTURE_SIZE)) % TEXTURE_SIZE
    columns = (np.arange(width) + rng.integers(TEXTURE_SIZE)) % TEXTURE_SIZE
    if rng.random() < 0.3:
        rows = rows // rng.integers(2, 12)
    if rng.random() < 0.5:
        return field[columns][:, rows].T
    return field[rows][:, columns]


@functools.cache
def _noise_fields() -> tuple[np.ndarray, ...]:
    """Periodic noise with power spectra 1 / f^(2 * slope), the same in every process."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(TEXTURE_SIZE)[:, None], np.fft.rfftfreq(TEXTURE_SIZE))
    frequency[0, 0] = np.inf
    fields = []
    for slope in (0.5, 0.8, 1.0, 1.2, 1.5):
        spectrum = np.fft.rfft2(rng.standard_normal((TEXTURE_SIZE, TEXTURE_SIZE))) / frequency**slope
        spectrum[frequency > 0.35] = 0  # nothing finer than the finished picture can nearly show
        field = np.fft.irfft2(spectrum)
        fields.append((field / field.std()).astype(np.float32))
    return tuple(fields)
