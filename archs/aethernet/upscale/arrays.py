"""A model that enlarges arrays: as a whole, row by row, or as planes."""

import contextlib
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from aethernet.checks import is_whole, samples_problem
from aethernet.errors import DataError, EngineOutOfMemory, UnusableOutputError, UsageError
from aethernet.machine import cores
from aethernet.progress import Progress
from aethernet.runtimes.models import Model
from aethernet.runtimes.session import Session
from aethernet.upscale.engine import AUTO, Choice, choose_engine, with_fp32, with_threads
from aethernet.upscale.enlarge import BLACK, NOT_BLACK, Report, enlarge
from aethernet.upscale.halo import Halo, find_halo
from aethernet.upscale.known import find_model
from aethernet.upscale.memory import SHARE, bytes_per_pixel, free_memory
from aethernet.upscale.planes import to_planes
from aethernet.upscale.sources import ArraySource, Padded, Source
from aethernet.upscale.windows import Windows, with_pixels
from aethernet.wording import how_many

BEYOND = 0.5
"""How far from [0, 1] floats may be: the result is clipped, so that more would be lost without a word."""
KINDS = (np.uint8, np.uint16, np.float32)
Own = TypeVar("Own", bound="ArrayUpscaler")


class ArrayUpscaler:
    """What `Upscaler` is for arrays; its arguments stand there."""

    def __init__(
        self,
        model: str | Path | Model | None = None,
        engine: str = AUTO,
        *,
        scale: int | None = None,
        device: str = AUTO,
        precision: str = AUTO,
        tile: int | Literal["auto"] = AUTO,
        halo: int | None = None,
        passes: int = 2,
        threads: int | None = None,
        pixels: int | None = None,
        memory: int | None = None,
    ) -> None:
        if tile != AUTO and not is_whole(tile, 1):
            raise UsageError(f"tile must be {AUTO} or a number of pixels, not {tile!r}")
        if halo is not None and not is_whole(halo, 0):
            raise UsageError(f"halo must be a number of pixels, not {halo!r}")
        if not is_whole(passes, 1):
            raise UsageError(f"passes must be 1 or more, not {passes!r}")
        if memory is not None and not is_whole(memory, 1):
            raise UsageError(f"memory must be a number of bytes, not {memory!r}")
        self.model = model if isinstance(model, Model) else find_model(model, scale)
        self.scale = self.model.scale
        self.choice: Choice = choose_engine(
            self.model, engine, device=device, precision=precision, threads=threads, pixels=pixels
        )
        self.halo: Halo = find_halo(self.model, self.choice.session, halo)
        self.report = Report()
        self.memory = memory
        self._passes = passes
        self._threads = threads or (torch.get_num_threads() if self.choice.session.engine == "torch" else cores())
        self._side = None if tile == AUTO else int(tile)
        if self._side is not None and self._side <= 2 * self.halo.pixels:
            raise UsageError(
                f"tile {self._side} leaves nothing between halos of {how_many(self.halo.pixels, 'pixel')}, which "
                f"{self.model.label} sees: give more than {2 * self.halo.pixels}, or --halo"
            )
        self._bytes_per_pixel = bytes_per_pixel(self.model)
        self._share = SHARE
        self._abreast: list[Any] = []  # of this very class

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Enlarges (H, W) or (H, W, C): grey, grey and alpha, RGB, or RGB and alpha.

        Args:
            picture: uint8, uint16 (0 to 65535), or floats in [0, 1], which become float32.

        Returns:
            (scale H, scale W[, C]) of the same type, rounded half to even and clipped. Grey stays grey.

        Raises:
            DataError: an array of another shape or type, or floats that are not finite or far outside of [0, 1].
            EngineError: the model gives what are not numbers.
        """
        picture = np.asarray(picture)
        if picture.dtype.kind in "uf":  # in the byte order of this machine
            picture = picture.astype(
                np.float32 if picture.dtype.kind == "f" else picture.dtype.newbyteorder("="), copy=False
            )
        if picture.ndim not in (2, 3) or picture.dtype not in KINDS or 0 in picture.shape:
            raise DataError(
                f"an array {picture.shape} of {picture.dtype} is no picture: give (H, W) or (H, W, C), uint8, uint16 or "
                "float32 in [0, 1]"
            )
        if picture.ndim == 3 and picture.shape[2] > 4:
            raise DataError(f"{picture.shape[2]} channels: give 1 (grey), 2 (with alpha), 3 (RGB) or 4 (RGB and alpha)")
        source = picture[:, :, None] if picture.ndim == 2 else picture
        out = self._whole(source)
        return out[:, :, 0] if picture.ndim == 2 else out

    def rows(self, source: Source, progress: Progress | None = None) -> Iterator[np.ndarray]:
        """The enlarged picture in strips (h, scale W, C), from top to bottom; `report` is filled meanwhile."""
        self.report = Report()
        windows, session = self._windows(source), self.choice.session
        yield from enlarge(source, session, windows, self.report, self._safer, progress, self._threads)

    def planes(self, picture: np.ndarray) -> np.ndarray:
        """(C, H, W) float32 -> (C, scale H, scale W) float32: grey or RGB around [0, 1], not clipped; as video needs it.

        Raises:
            EngineError: as in a call.
        """
        self.report = Report()
        source = ArraySource(picture.transpose(1, 2, 0))
        windows, (channels, height, width) = self._windows(source), picture.shape
        plan = windows.plan(height, width)
        if plan.count == 1 and Padded(source, windows).shape == source.shape:
            self.report.plan = plan
            with contextlib.suppress(EngineOutOfMemory, MemoryError, UnusableOutputError):  # the way below knows more
                return self._at_once(source.pixels, channels)
        out, top = np.empty((channels, height * self.scale, width * self.scale), np.float32), 0
        strips = enlarge(
            source, self.choice.session, windows, self.report, self._safer, None, self._threads, clips=False
        )
        for strip in strips:
            out[:, top : top + len(strip)] = strip.transpose(2, 0, 1)
            top += len(strip)
        return out

    def abreast(self: Own, pixels: int) -> list[Own]:
        """Upscalers for pictures of so many pixels that work at the same time, in a thread each: two, which share threads
        and memory, where that is faster; else this one alone.

        The threads of ONNX Runtime wait for each other after every operator, and some operators have one thread only: a
        second picture fills these gaps.
        """
        session, count = self.choice.session, 2
        if session.engine != "onnxruntime" or session.device != "cpu" or self._threads < count:
            return [self]
        window = min(pixels, self._side**2 if self._side else self.choice.preferred_pixels)
        free = free_memory("cpu", self.memory)
        if free is not None and SHARE * free / self._bytes_per_pixel < count * window:
            return [self]
        for number in range(len(self._abreast), count):
            one = copy.copy(self)
            one._threads = (self._threads + number) // count
            one.choice = with_threads(self.model, self.choice, one._threads)
            one._share, one.report, one._abreast = SHARE / count, Report(), []
            self._abreast.append(one)
        return list(self._abreast)

    def _at_once(self, pixels: np.ndarray, channels: int) -> np.ndarray:
        """(H, W, C) in one window, without copies -> (C, scale H, scale W)."""
        batch = to_planes(pixels, self.model.in_channels)
        result = self.choice.session.run(batch)
        low, high = float(result.min()), float(result.max())
        if not (np.isfinite(low) and np.isfinite(high)) or (high < BLACK and batch.max() > NOT_BLACK):
            raise UnusableOutputError("the model gives what is no picture")
        if self.model.in_channels == channels == 3:
            return result[0]
        return result[:, 0] if self.model.in_channels == 1 else result.mean(axis=1)

    def _whole(self, pixels: np.ndarray, progress: Progress | None = None) -> np.ndarray:
        """(H, W, C), enlarged."""
        if pixels.dtype == np.float32 and (problem := samples_problem(pixels.min(), pixels.max(), BEYOND)):
            raise DataError(f"the picture {problem}")
        height, width, channels = pixels.shape
        out, top = None, 0
        for strip in self.rows(ArraySource(pixels), progress):
            if len(strip) == height * self.scale:
                return strip
            if out is None:
                out = np.empty((height * self.scale, width * self.scale, channels), pixels.dtype)
            out[top : top + len(strip)] = strip
            top += len(strip)
        assert out is not None
        return out

    def _windows(self, source: Source) -> Windows:
        height, width, channels = source.shape
        alone = Windows(
            scale=self.scale,
            in_channels=self.model.in_channels,
            halo=self.halo,
            side=self._side,
            size=self.model.size,
            batch=self.model.batch or 1,
            multiple=self.model.multiple,
            least=self.model.least,
            passes=self._passes,
        )
        if self._side is not None or self.model.size is not None:
            return alone
        pictures = channels if self.model.in_channels == 1 else 1 + (channels in (2, 4))
        free = free_memory(self.choice.session.device, self.memory)
        most = None if free is None else max(1, int(self._share * free / self._bytes_per_pixel / pictures))
        return with_pixels(alone, height, width, self.choice.preferred_pixels, most)

    def _safer(self) -> tuple[Session, str] | None:
        """fp32 in the place of a precision that the network does not bear."""
        former, safer = self.choice.precision, with_fp32(self.model, self.choice)
        if safer is None:
            return None
        self.choice = safer
        return safer.session, f"goes on in fp32 instead of {former}"
