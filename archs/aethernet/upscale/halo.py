"""How far a model sees: the frame of a window that cannot be taken."""

from dataclasses import dataclass

import numpy as np

from aethernet.export.form import WHOLE_PICTURE
from aethernet.network.network import AetherNet
from aethernet.runtimes.models import Model
from aethernet.runtimes.session import Session

PROBED = (4, 8, 12, 16, 24, 32, 48, 64)
PROBED_CORE = 16
BEYOND = 16  # around the largest that is tried, or else it would always seem enough
NO_DIFFERENCE = 1e-4
"""A fortieth of a level of 8 bits: what the order of sums can make of equal windows stays below it."""


@dataclass(frozen=True)
class Halo:
    """Pixels around a window's part that is taken.

    Attributes:
        exact: tiles equal the whole picture.
        attention: the network weighs channels by means over the whole picture, which have to be gathered.
        origin: where the number comes from, in words; what is not exact is said here.
    """

    pixels: int
    exact: bool
    attention: bool
    origin: str


def find_halo(model: Model, session: Session, given: int | None = None) -> Halo:
    """The halo of a model: given, known from the network or the file, or else measured on noise."""
    if isinstance(model.network, AetherNet):
        radius, attention = model.network.convolution_radius, model.network.config.channel_attention
        if given is None:
            return Halo(radius, True, attention, "the network's receptive radius")
        return Halo(given, given >= radius, attention, f"as given; the network's receptive radius is {radius}")
    said = model.metadata.get("tile_radius", "")
    if said == WHOLE_PICTURE:
        seen = (
            "the file's channel attention sees the whole picture, so that tiles differ from it: give the weights file"
        )
        return Halo(given or PROBED[-1], False, False, seen)
    if said.isdigit():
        radius = int(said)
        if given is None:
            return Halo(radius, True, False, "the receptive radius that the file states")
        return Halo(given, given >= radius, False, f"as given; the file states a receptive radius of {radius}")
    if given is not None:
        return Halo(given, False, False, "as given")
    return probe_halo(model, session)


def probe_halo(model: Model, session: Session) -> Halo:
    """Measures how far a model of others sees: noise as a whole against its middle, cut out with ever more around it."""
    core, far = (-(-pixels // model.multiple) * model.multiple for pixels in (PROBED_CORE, PROBED[-1] + BEYOND))
    side = core + 2 * far
    if model.size is not None:
        return Halo(PROBED[3], False, False, "a guess, for a file of one size cannot be measured: give --halo")
    noise = np.random.default_rng(0).random((1, model.in_channels, side, side), dtype=np.float32)
    whole, scale, error = session.run(noise), model.scale, float("inf")
    middle = slice(far * scale, (far + core) * scale)
    for halo in PROBED:
        if halo % model.multiple:
            continue
        seen = slice(far - halo, far + core + halo)
        own = slice(halo * scale, (halo + core) * scale)
        part = session.run(noise[:, :, seen, seen])
        error = float(np.abs(part[:, :, own, own] - whole[:, :, middle, middle]).max())
        if error < NO_DIFFERENCE:
            return Halo(halo, False, False, f"measured on noise, where it leaves a difference of {error:.0e}")
    said = f"where even that leaves a difference of {255 * error:.2g} levels" if np.isfinite(error) else "a guess"
    return Halo(PROBED[-1], False, False, f"the largest that is tried on noise, {said}: give --halo")
