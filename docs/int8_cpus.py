"""PSNR of int8 ONNX files on this CPU and on older x86 CPUs, which QEMU plays (Debian: apt-get install qemu-user).

    python docs/int8_cpus.py SET5_PICTURES FILE.onnx [FILE.onnx ...]

Y channel, whole pictures reduced by MATLAB-like bicubic, a border of `scale` pixels left out. docs/int8.md has the outcome.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.emulated import run_on

from aethernet import machine
from aethernet.data.bicubic import bicubic_downsample, modcrop
from aethernet.export.saturation import saturation
from aethernet.quality.evaluation import as_rgb, from_batch, to_batch
from aethernet.quality.metrics import y_psnr_ssim
from aethernet.quality.sets import PictureFolders
from aethernet.runtimes.onnxruntime import inspect_onnx

if len(sys.argv) < 3:
    sys.exit(__doc__)
pictures, *files = sys.argv[1:]
for file in map(Path, files):
    scale = inspect_onnx(file).scale
    hr = [modcrop(as_rgb(picture), scale) for _, picture in PictureFolders([pictures])]
    inputs = [to_batch(bicubic_downsample(picture, scale), 3) for picture in hr]
    jobs = {number: (file, x) for number, x in enumerate(inputs)}
    print(f"{file.name}: {saturation(file).sentence()}", flush=True)
    for engine in ("onnxruntime", "openvino"):
        for cpu in (None, "Haswell", "Nehalem"):
            with tempfile.TemporaryDirectory() as folder:
                outputs = run_on(cpu, engine, jobs, Path(folder))
            scores = [y_psnr_ssim(from_batch(outputs[n]), hr[n], crop_border=scale)[0] for n in jobs]
            print(f"  {engine:11} {cpu or machine.cpu().title:40} {np.mean(scores):.3f} dB", flush=True)
