"""Tensors by name out of a `.pth` or `.safetensors`, or an error that says what the file is instead.

Nothing but tensors and plain containers is ever unpickled. What a file says about its own content is checked:
the checksums of the zip archive that a `.pth` is, which torch does not look at (one flipped bit in a weight loads without
a word), and the digest that `checkpoint.write_checkpoint` puts into the header of a `.safetensors`.
"""

import hashlib
import logging
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from aethernet.errors import CheckpointError, one_line

logger = logging.getLogger(__name__)

DIGEST = "tensors_sha256"
"""Name of the header's entry that holds `tensors_digest` of a `.safetensors`."""
AGAIN = "copy or download it again"

ARCHIVE = b"PK"
PICKLES = (ARCHIVE, *(bytes((0x80, protocol)) for protocol in range(2, 6)))
"""How a `.pth` begins: as a zip archive, or, before 2020, as a pickle of one of its protocols."""

BROKEN_ARCHIVE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)
"""What `zipfile` raises for damaged archives (NotImplementedError and UnicodeDecodeError are among these)."""
BROKEN_PICKLE = (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, AssertionError)
"""What `torch.load` raises for a damaged file in the format from before 2020, which has no checksums."""
UNKNOWN_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read_content(path: Path) -> dict:
    """What a weights file holds: tensors by name, or BasicSR's named entries of such.

    Raises:
        CheckpointError: no file, not a weights file, damaged, or Python objects in it.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is not a file but a folder: give the .pth or .safetensors in it")
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file: give the .pth or .safetensors that training wrote")
    with path.open("rb") as file:
        head = file.read(256)
    return _read_safetensors(path, head) if path.suffix == ".safetensors" else _read_pickle(path, head)


def tensors_digest(state_dict: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes of the tensors, which stand on the CPU; their order has no part in it."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state_dict.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_safetensors(path: Path, head: bytes) -> dict[str, Tensor]:
    other = "a .pth under this ending: rename it" if head.startswith(PICKLES) else _what_else(head)
    if other and not _is_safetensors(path, head):  # whose first bytes, a length, may be those of anything
        raise CheckpointError(f"{path} is not a readable safetensors file: it is {other}")
    try:
        state_dict = safetensors.torch.load_file(path)
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file but damaged or cut off ({error}): {AGAIN}"
        ) from error
    if not metadata.get(DIGEST):
        logger.info("%s has no checksum in its header (%s): damage to its weights would not be noticed", path, DIGEST)
    elif metadata[DIGEST] != tensors_digest(state_dict):
        raise CheckpointError(
            f"{path} is damaged: its tensors are not those of the checksum in its header ({DIGEST}). Copy or download it "
            "again; or, if a tool changed them on purpose, have it write no such entry"
        )
    return state_dict


def _read_pickle(path: Path, head: bytes) -> dict:
    if _is_safetensors(path, head):
        raise CheckpointError(f"{path} is a safetensors file: rename it to {path.with_suffix('.safetensors').name}")
    if not head.startswith(PICKLES):
        what = _what_else(head) or f"damaged, or of another kind (its first bytes are {head[:4].hex(' ')}): {AGAIN}"
        raise CheckpointError(f"{path} is not a file of plain tensors: it is {what}")
    is_archive = head.startswith(ARCHIVE)
    if is_archive:
        _check_archive(path)
    try:
        with warnings.catch_warnings():  # about pickles of other tools; what matters is raised
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message advises to load with weights_only=False, which runs whatever the file says.
        found = UNKNOWN_GLOBAL.search(str(error))
        what = f"Python objects ({found[1]})" if found else "Python objects"
        raise CheckpointError(
            f"{path} is not a file of plain tensors: it holds {what}{'' if is_archive else ' or is damaged'}. Objects are "
            "not loaded, because they can run code: save the network's state_dict() alone"
        ) from error
    except BROKEN_PICKLE as error:
        raise CheckpointError(
            f"{path} cannot be read ({one_line(error)}): it is damaged or incomplete, {AGAIN}"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}, not a dictionary of weights: give what training wrote"
        )
    return content


def _check_archive(path: Path) -> None:
    """Raises `CheckpointError` for an archive without its end, or with an entry that its checksum does not fit."""
    try:
        with zipfile.ZipFile(path) as archive:
            # A trainer may have switched the checksums off, for speed; all of them are 0 then.
            has_checksums = any(entry.CRC for entry in archive.infolist())
            entry = archive.testzip() if has_checksums else None
    except BROKEN_ARCHIVE as error:
        raise CheckpointError(f"{path} is damaged or cut off ({error}): {AGAIN}") from error
    if entry is not None:
        raise CheckpointError(f"{path} is damaged: the checksum of its entry {entry} does not fit: {AGAIN}")


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Whether it begins as a safetensors file: the length of a header of JSON, in 8 bytes, and the header."""
    return head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < path.stat().st_size


def _what_else(head: bytes) -> str | None:
    """What a file is that often stands where weights should be, and what to do; None for anything else."""
    text = head.lstrip().lower()
    if not text.strip(b"\0"):
        return f"empty or nothing but zeros, from a copy or download that did not get far: {AGAIN}"
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "a web page saved under this name: download the file itself, not the page that shows it"
    if text.startswith(b"version https://git-lfs"):
        return "a git-LFS pointer, not the file it points to: run `git lfs pull` in its repository, or download it"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        first_line = head.decode("ascii").strip().splitlines()[0][:60]
        return f"a text ({first_line!r}), perhaps a server's message: {AGAIN}"
    return None
