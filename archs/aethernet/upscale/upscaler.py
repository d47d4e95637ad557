"""`Upscaler`: a model that enlarges pictures, as arrays, as files, or row by row."""

import contextlib
import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import torch

from aethernet.checks import is_whole, samples_problem
from aethernet.data.picture.animation_writing import write_animation
from aethernet.data.picture.bleed import bleed
from aethernet.data.picture.formats import Output, check_quality, output_format, unused_quality
from aethernet.data.picture.picture import Animation, Frame, Picture
from aethernet.data.picture.rows import FileRows
from aethernet.data.picture.strips import Strips
from aethernet.data.picture.strips_writing import write_strips
from aethernet.data.picture.writing import write_picture
from aethernet.errors import DataError, EngineOutOfMemory, OutputError, UnusableOutputError, UsageError
from aethernet.files import name_problem
from aethernet.machine import cores
from aethernet.progress import Progress
from aethernet.runtimes.models import Model
from aethernet.runtimes.session import Session
from aethernet.upscale.engine import AUTO, Choice, choose_engine, with_fp32, with_threads
from aethernet.upscale.enlarge import BLACK, NOT_BLACK, Report, enlarge
from aethernet.upscale.halo import Halo, find_halo
from aethernet.upscale.known import find_model
from aethernet.upscale.large import check_encoder, read_within, result_fits, source_of, with_opaque
from aethernet.upscale.memory import SHARE, available_memory, bytes_per_pixel, free_memory
from aethernet.upscale.outputs import format_of, result_name
from aethernet.upscale.planes import to_planes
from aethernet.upscale.sources import ArraySource, Padded, Source
from aethernet.upscale.windows import Windows, with_pixels
from aethernet.wording import how_many

BEYOND = 0.5
"""How far from [0, 1] floats may be: the result is clipped, so that more would be lost without a word."""
KINDS = (np.uint8, np.uint16, np.float32)


@dataclass(frozen=True)
class Saving:
    """How results are written: see `write_picture`."""

    format: str = "same"
    quality: int | None = None
    depth: int | Literal["same"] = "same"


class Upscaler:
    """A model that enlarges pictures by its scale.

    Args:
        model: packaged weights (`aether_tiny_x4`), a weights file of any stage, an ONNX or ncnn file, or a network of others
            that spandrel loads; or what `find_model` gave. By default the best one in the package for `scale`.
        engine: `auto`, `torch`, `onnxruntime`, `openvino` or `ncnn`.
        scale: 4 by default; a model that is given has its own, and must agree.
        device: `auto`, `cpu`, `cuda`, `cuda:1`.
        precision: of a network in PyTorch: `auto`, `fp32`, `fp16`, `bf16`.
        tile: the side of a window at most, in input pixels, halo included; `auto` chooses by memory and speed. The result
            is the same for every choice, if `halo.exact`.
        halo: the pixels around a window's part that is taken; by default what the model sees.
        passes: over the whole picture before a network with channel attention enlarges it in windows. As many as it has
            attentions make windows exact; two come close (`report.change` says how close).
        threads: of ONNX Runtime, OpenVINO and ncnn; PyTorch has its own (`torch.set_num_threads`).
        pixels: input pixels of the work ahead, if known; `auto` weighs an export with it.
        memory: bytes of main memory that this process is to stay within; by default half of what is free may be added.
            Pictures that do not fit are read, enlarged and written by rows, with the same result.

    Attributes:
        report: what became of the last picture.

    Raises:
        AetherError: the subclass that fits, with what is allowed.

    Example:
        >>> import numpy as np
        >>> from aethernet.upscale import Upscaler
        >>> upscaler = Upscaler("aether_tiny_x2", engine="torch")
        >>> upscaler(np.zeros((20, 30, 3), np.uint8)).shape
        (40, 60, 3)
    """

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

    def abreast(self, pixels: int) -> "list[Upscaler]":
        """Upscalers for pictures of so many pixels that work at the same time, in a thread each: two, which share threads
        and memory, where that is faster; else this one alone.

        The threads of ONNX Runtime wait for each other after every operator, and some operators have one thread only: a
        second picture fills these gaps.
        """
        session, count = self.choice.session, 2
        if session.engine != "onnxruntime" or session.device != "cpu" or self._threads < count:
            return [self]
        free, window = (
            free_memory("cpu", self.memory),
            min(pixels, self._side**2 if self._side else self.choice.preferred_pixels),
        )
        if free is not None and SHARE * free / self._bytes_per_pixel < count * window:
            return [self]
        found = []
        for number in range(count):
            one = copy.copy(self)
            one._threads = (self._threads + number) // count
            one.choice = with_threads(self.model, self.choice, one._threads)
            one._share, one.report = SHARE / count, Report()
            found.append(one)
        return found

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

    def picture(self, picture: Picture, progress: Progress | None = None) -> Picture:
        """Enlarges a picture with its alpha, the colour under transparent pixels filled in first."""
        channels = [bleed(picture.color, picture.alpha)]
        if picture.alpha is not None and picture.is_transparent:
            channels.append(picture.alpha[:, :, None])
        samples = channels[0] if len(channels) == 1 else np.concatenate(channels, axis=2)
        out, colors, alpha = self._whole(samples, progress), picture.color.shape[2], None
        if picture.alpha is not None:
            opaque = np.iinfo(out.dtype).max if out.dtype.kind == "u" else 1
            alpha = out[:, :, colors] if len(channels) > 1 else np.full(out.shape[:2], opaque, out.dtype)
        return replace(picture, color=np.ascontiguousarray(out[:, :, :colors]), alpha=alpha)

    def file(
        self,
        path: str | Path | bytes,
        target: str | Path | IO[bytes] | None = None,
        *,
        saving: Saving | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> list[str]:
        """Enlarges a picture file, or every frame of an animation, and writes it whole or not at all.

        Args:
            path: of the picture, or its content.
            target: a path, or a binary file open for writing; by default beside it, as in `photo_x4.jpg`.
            saving: the format and what belongs to it; by default that of a target's ending, or the source's.
            force: overwrite a target that exists.

        Returns:
            What the user should know, such as what the format could not keep.

        Raises:
            DataError: no usable picture, or a format that cannot hold the result.
            OutputError: the target exists, or cannot be written.
        """
        opened = self.read(path)
        saving = saving or Saving(format=_format_of(target))
        check_quality(saving.quality, saving.format)
        output = self.output(opened, saving)
        if target is None:
            if isinstance(path, bytes):
                raise UsageError("the content of a file has no name: say where the result goes")
            source = Path(path)
            target = source.with_name(result_name(source, output.format, f"_x{self.scale}"))
        if isinstance(target, str | Path):
            check_target(target, force=force)
        notes = [note for note in (output.notice, unused_quality(saving.quality, output.format)) if note]
        saving = replace(saving, format=output.format, depth=output.depth)
        return notes + self.save(self.enlarged(opened, progress), opened, target, saving)

    def read(self, path: str | Path | bytes) -> Picture | Animation | FileRows:
        """A picture file, a path or its content; by rows, where memory is too short for the whole. Raises as `file`."""
        return read_within(path, available_memory(self.memory), free_memory("cpu", self.memory))

    def output(self, opened: Picture | Animation | FileRows, saving: Saving) -> Output:
        """The format that a result will have; raises `DataError` where there is none that can hold it."""
        width, height = (side * self.scale for side in opened.size)
        if isinstance(opened, Animation):
            return output_format(
                (width, height), source=opened.format, frames=opened.frames, format=saving.format, depth=saving.depth
            )
        output = output_format(
            (width, height), source=opened.format, source_depth=opened.depth, alpha=opened.is_transparent,
            format=saving.format, depth=saving.depth,
        )  # fmt: skip
        return check_encoder(
            output,
            (width, height),
            saving.quality,
            opened.metadata,
            saving.format != "same",
            available_memory(self.memory),
        )

    def enlarged(
        self, opened: Picture | Animation | FileRows, progress: Progress | None = None
    ) -> "Picture | Strips | Iterator[Frame]":
        """A picture enlarged; as strips, computed when they are taken, where memory is too short for the result; or the
        frames of an animation one after the other."""
        if isinstance(opened, Animation):
            return self._frames(opened, progress)
        if isinstance(opened, Picture) and result_fits(opened, self.scale, available_memory(self.memory)):
            return self.picture(opened, progress)
        return self.strips(opened, progress)

    def strips(self, opened: Picture | FileRows, progress: Progress | None = None) -> Strips:
        """As `picture`, its rows computed when they are taken."""
        source = source_of(opened)
        height, width, channels = source.shape
        rows, has_alpha = self.rows(source, progress), channels in (2, 4)
        if not has_alpha and (opened.has_alpha if isinstance(opened, FileRows) else opened.alpha is not None):
            rows, channels = with_opaque(rows), channels + 1
        return Strips(
            rows, height * self.scale, width * self.scale, channels, source.dtype,
            has_alpha, opened.depth, opened.format, opened.metadata, opened.notices,
        )  # fmt: skip

    def save(
        self,
        result: "Picture | Strips | Iterator[Frame]",
        opened: Picture | Animation | FileRows,
        target: str | Path | IO[bytes],
        saving: Saving,
    ) -> list[str]:
        """Writes what `enlarged` gave."""
        try:
            if isinstance(opened, Animation):
                assert not isinstance(result, Picture | Strips)
                notes = write_animation(target, opened, result, format=saving.format, quality=saving.quality)
            else:
                assert isinstance(result, Picture | Strips)
                how: dict[str, Any] = {"format": saving.format, "quality": saving.quality, "depth": saving.depth}
                if isinstance(result, Strips):
                    notes = write_strips(target, result, **how)
                else:
                    notes = write_picture(target, result, **how)
        except OSError as error:
            name = target if isinstance(target, str | Path) else "the output"
            raise OutputError(f"{name} cannot be written: {error.strerror or error}") from error
        return list(notes)

    def _frames(self, animation: Animation, progress: Progress | None) -> Iterator[Frame]:
        for number, frame in enumerate(animation, start=1):
            yield Frame(self.picture(frame.picture), frame.milliseconds)
            if progress is not None:
                progress(number, animation.frames, "frames")

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


def check_target(target: str | Path, *, force: bool = False) -> None:
    """Raises `OutputError` for a file that exists, unless by `force`, and for a name that cannot be written."""
    if os.path.exists(target) and not force:
        raise OutputError(f"{target} exists: give another place, or --force to overwrite it")
    if problem := name_problem(Path(target)):
        raise OutputError(f"{target}: {problem}")


def _format_of(target: object) -> str:
    """What the ending of a target asks for; `same` where it has none."""
    return format_of(Path(target)) if isinstance(target, str | Path) and Path(target).suffix else "same"
