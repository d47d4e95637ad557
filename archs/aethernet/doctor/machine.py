"""The processor, and the folder that is worked in."""

import sys
import tempfile
from pathlib import Path

from aethernet import machine
from aethernet.doctor.check import Check
from aethernet.wording import how_many


def check_cpu() -> Check:
    found = f"{machine.cpu().title}, {how_many(machine.cores(), 'core')}"
    if torch := sys.modules.get("torch"):
        found += f"; torch uses {how_many(torch.get_num_threads(), 'thread')}"
    return Check("cpu", "ok", found)


def check_int8(cpu: machine.Cpu) -> Check:
    """What int8 files are worth on a CPU (times: tiny x4 in ONNX Runtime, docs/int8.md)."""
    if not cpu.is_x86 or cpu.features is None:
        return Check("int8", "ok", "nothing is known of int8 on this processor: compare with `aethernet bench speed`")
    if "VNNI" in cpu.features:
        return Check("int8", "ok", "VNNI: int8 files are right and fastest, about 3 times as fast as fp32")
    if "AVX2" in cpu.features:
        found = (
            "no VNNI: our int8 files are right and about 1.8 times as fast as fp32; files with weights on 8 bits go wrong here, "
            "which `aethernet doctor FILE.onnx` tells of a file"
        )
        return Check("int8", "ok", found)
    return Check("int8", "ok", "no AVX2: our int8 files are right, but slower than fp32: take fp32")


def check_folder() -> Check:
    folder = Path.cwd()
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Check("folder", "ok", f"{folder} is writable")
    except OSError as error:
        remedy = "cd to a folder of yours: experiments/ and results/ are written to the current one"
        return Check("folder", "error", f"{folder} is not writable ({error.strerror})", remedy)
