"""ONNX files run as an older x86 CPU would run them, by QEMU's user emulation (Debian: apt-get install qemu-user)."""

import os
import shutil
import subprocess
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path

import numpy as np
import pytest

QEMU = shutil.which("qemu-x86_64")
needs_qemu = pytest.mark.skipif(QEMU is None, reason="qemu-x86_64 is not installed (apt-get install qemu-user)")

WORKER = """
import sys
import numpy as np

engine, inputs, out, *files = sys.argv[1:]
found = []
for file, x in zip(files, np.load(inputs).values(), strict=True):
    if engine == "onnxruntime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        found.append(session.run(None, {session.get_inputs()[0].name: x})[0])
    else:
        sys.modules["openvino_telemetry"] = None  # it forks on import, which can hang under emulation
        import openvino

        options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        found.append(np.array(openvino.Core().compile_model(file, "CPU", options)([x])[0]))
np.savez(out, *found)
"""


def run_on(
    cpu: str | None, engine: str, jobs: Mapping[Hashable, tuple[Path, np.ndarray]], folder: Path
) -> dict[Hashable, np.ndarray]:
    """The outputs of ONNX files, each with its input, by their names.

    Args:
        cpu: as QEMU names them, such as `Haswell` (AVX2) or `Nehalem` (SSE4); None for the one of this machine.
        engine: `onnxruntime` or `openvino`.
        folder: for what goes in and comes out.
    """
    assert QEMU is not None
    emulator = [] if cpu is None else [QEMU, "-cpu", cpu]
    program, inputs, out = folder / "worker.py", folder / "inputs.npz", folder / "outputs.npz"
    program.write_text(WORKER)
    np.savez(inputs, *(x for _, x in jobs.values()))
    # The interpreter itself, not a link into a virtual environment, whose packages are then named by hand.
    packages = os.pathsep.join(path for path in sys.path if path.endswith(("site-packages", "dist-packages")))
    command = [*emulator, os.path.realpath(sys.executable), str(program), engine, str(inputs), str(out)]
    done = subprocess.run(
        [*command, *(str(path) for path, _ in jobs.values())],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": packages, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(out) as found:
        return dict(zip(jobs, found.values(), strict=True))
