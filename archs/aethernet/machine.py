"""This machine: the processor, what it can do, and how many cores of it are ours."""

import contextlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path

FEATURES = {
    "AVX2": {"avx2"},
    "AVX512": {"avx512f"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "BF16": {"avx512_bf16", "amx_bf16"},
    "AMX": {"amx_tile"},
}
"""The instruction sets that decide how fast, and for int8 how right, a convolution is; and the flags that Linux shows."""
TRIM_THRESHOLD, MMAP_MAX = -1, -4  # of mallopt, as malloc.h numbers them
MALLINFO = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
)  # fmt: skip  # as malloc.h has it
PRIMITIVES = "16"  # a small network's operations, and the last size's
X86 = ("x86_64", "amd64", "i386", "i686")


@dataclass(frozen=True)
class Cpu:
    """A processor. `features` are those of `FEATURES`, in their order; None where the system does not tell."""

    model: str
    features: tuple[str, ...] | None
    is_x86: bool

    @property
    def title(self) -> str:
        """The name with the features, such as `AMD EPYC (AVX2 AVX512 VNNI)`."""
        return f"{self.model} ({' '.join(self.features)})" if self.features else self.model


def cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> Cpu:
    """The processor that this process runs on."""
    machine = platform.machine()
    is_x86 = machine.lower() in X86
    if not cpuinfo.is_file():
        return Cpu(platform.processor() or machine, None, is_x86)
    fields: dict[str, str] = {}
    for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = set(fields.get("flags", fields.get("Features", "")).split())
    features = tuple(name for name, names in FEATURES.items() if names & flags)
    return Cpu(fields.get("model name") or fields.get("Model") or machine, features, is_x86)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def kept_memory() -> int:
    """Bytes that were freed and that the C library keeps for what comes next; 0 where it is not glibc."""
    with contextlib.suppress(OSError, AttributeError, ImportError):
        import ctypes

        class Mallinfo(ctypes.Structure):
            _fields_ = [(name, ctypes.c_size_t) for name in MALLINFO]

        mallinfo = ctypes.CDLL("libc.so.6").mallinfo2
        mallinfo.restype = Mallinfo
        return mallinfo().fordblks
    return 0


def forget_former_sizes() -> None:
    """Lets PyTorch's convolutions on a CPU keep what they prepare for the last sizes alone. Before the first of them.

    oneDNN keeps 1024 of these, about six for each size of picture and network, among other memory that then cannot be used
    for large tensors: a folder of 1,500 sizes took 220 MB more at its end than at its beginning, and takes 16 MB so.
    Preparing anew takes some milliseconds a picture.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", PRIMITIVES)


def keep_freed_memory() -> None:
    """Lets this process keep memory that it has freed, for its next tensors. Only where the C library is glibc.

    By default glibc gives large blocks back at once and asks for them anew, whose pages the system then clears one by one:
    PyTorch's eager convolutions on a CPU lose half of their time to that (tiny, 512x512) or two thirds (small). The
    process stays as large as it was at its largest.
    """
    with contextlib.suppress(OSError, AttributeError, ImportError):
        import ctypes

        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(MMAP_MAX, 0)
        libc.mallopt(TRIM_THRESHOLD, 2**31 - 1)
