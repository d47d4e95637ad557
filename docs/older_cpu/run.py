"""Runs a command as on an older x86-64 CPU, at full speed: the libraries do not see what this CPU has beyond it.

    python docs/older_cpu/run.py avx2 -- .venv-older/bin/python -m pytest -p no:faulthandler -n 2 --dist=loadfile
    python docs/older_cpu/run.py avx512 -- .venv-older/bin/python -m aethernet bench speed FILE.onnx --engines onnxruntime

`avx2` is a CPU without AVX-512, VNNI and AMX (AMD Zen 1 to 3, Intel Haswell to Coffee Lake), `avx512` one with AVX-512 but
without VNNI (Intel Skylake-X). The first run copies .venv to .venv-older, by hard links, and replaces each `cpuid`
instruction in the libraries that compute (`LIBRARIES`) by one that traps; a small preloaded library answers the trap. That
takes some minutes, gcc, objdump and readelf (Debian: apt-get install gcc binutils). /proc/cpuinfo reads accordingly, so that figures
say what they were measured with.

Python's faulthandler would take the trap for a crash, hence the option of pytest.

Arithmetic and time are those of the real instructions, which emulation (int8_cpus.py) does not give; what emulation has and
this has not are CPUs without AVX2.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE, COPY = ROOT / ".venv", ROOT / ".venv-older"
LIBRARIES = ("onnxruntime", "openvino", "torch", "numpy", "cv2", "ncnn", "_openmp", "opencv", "scipy", "av")
CPUID, UD2 = b"\x0f\xa2", b"\x0f\x0b"


def executable_sections(library: Path) -> list[tuple[int, int, int]]:
    """Address, offset in the file and size of each section that holds instructions."""
    listing = subprocess.run(["readelf", "-SW", library], capture_output=True, text=True, check=True).stdout
    pattern = re.compile(r"\]\s+\S+\s+PROGBITS\s+([0-9a-f]+)\s+([0-9a-f]+)\s+([0-9a-f]+)\s+\S+\s+\S*X")
    return [
        tuple(int(number, 16) for number in found.groups())
        for found in map(pattern.search, listing.splitlines())
        if found
    ]


def hide(library: Path) -> int:
    """Replaces the `cpuid` instructions of a library (a new file, for the old one is linked from elsewhere)."""
    content = bytearray(library.read_bytes())
    if not content.startswith(b"\x7fELF") or CPUID not in content:
        return 0
    sections = executable_sections(library)
    command = ["objdump", "-d", "-w", "--no-show-raw-insn", library]
    count = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if not line.rstrip().endswith("\tcpuid"):
                continue
            address = int(line.split(":")[0], 16)
            offset = next(address - start + at for start, at, size in sections if start <= address < start + size)
            assert content[offset : offset + 2] == CPUID, f"{library}: no cpuid at {offset:#x}"
            content[offset : offset + 2] = UD2
            count += 1
    if count:
        mode = library.stat().st_mode
        library.unlink()
        library.write_bytes(content)
        library.chmod(mode)
    return count


def prepare() -> None:
    if not SOURCE.is_dir():
        sys.exit(f"error: {SOURCE} is missing: make venv")
    partial = COPY.with_name(COPY.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(SOURCE, partial, symlinks=True, copy_function=os.link)
    for library in sorted(partial.rglob("*.so*")):
        ours = not library.is_symlink() and library.relative_to(partial).parts[3].startswith(LIBRARIES)
        if ours and (count := hide(library)):
            print(f"{library.name}: {count} instructions", file=sys.stderr, flush=True)
    partial.rename(COPY)


def main() -> None:
    if len(sys.argv) < 4 or sys.argv[1] not in ("avx2", "avx512") or sys.argv[2] != "--":
        sys.exit(__doc__)
    if not COPY.is_dir():
        prepare()
    with tempfile.TemporaryDirectory() as folder:
        shim = Path(folder) / "shim.so"
        source = Path(__file__).with_name("shim.c")
        subprocess.run(["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", shim, source], check=True)
        environment = {**os.environ, "OLDER_CPU": sys.argv[1], "LD_PRELOAD": str(shim)}
        sys.exit(subprocess.run(sys.argv[3:], env=environment, check=False).returncode)


if __name__ == "__main__":
    main()
