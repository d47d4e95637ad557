"""`Upscaler`: a model that enlarges pictures, as arrays, as files, or row by row."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from aethernet.data.picture.animation_writing import write_animation
from aethernet.data.picture.bleed import bleed
from aethernet.data.picture.formats import Output, check_quality, output_format, unused_quality
from aethernet.data.picture.picture import Animation, Frame, Picture
from aethernet.data.picture.rows import FileRows
from aethernet.data.picture.strips import Strips
from aethernet.data.picture.strips_writing import write_strips
from aethernet.data.picture.writing import write_picture
from aethernet.errors import OutputError, UsageError
from aethernet.files import name_problem
from aethernet.progress import Progress
from aethernet.upscale.arrays import ArrayUpscaler
from aethernet.upscale.large import check_encoder, read_within, result_fits, source_of, with_opaque
from aethernet.upscale.memory import available_memory, free_memory
from aethernet.upscale.outputs import format_of, result_name


@dataclass(frozen=True)
class Saving:
    """How results are written: see `write_picture`."""

    format: str = "same"
    quality: int | None = None
    depth: int | Literal["same"] = "same"


class Upscaler(ArrayUpscaler):
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


def check_target(target: str | Path, *, force: bool = False) -> None:
    """Raises `OutputError` for a file that exists, unless by `force`, and for a name that cannot be written."""
    if os.path.exists(target) and not force:
        raise OutputError(f"{target} exists: give another place, or --force to overwrite it")
    if problem := name_problem(Path(target)):
        raise OutputError(f"{target}: {problem}")


def _format_of(target: object) -> str:
    """What the ending of a target asks for; `same` where it has none."""
    return format_of(Path(target)) if isinstance(target, str | Path) and Path(target).suffix else "same"
