"""ONNX files in ONNX Runtime on one thread of the CPU, as tests look at them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="ONNX export is an extra")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX export is an extra")

PLAIN = {"Add", "Concat", "Conv", "DepthToSpace", "LeakyRelu", "Mul", "Sigmoid", "Sub"}
"""Operators that every runtime has as fast kernels and none as a fallback. PixelShuffle is DepthToSpace, not a
six-dimensional Reshape and Transpose."""


def session(path: Path, optimized: Path | None = None, *, as_written: bool = False) -> Any:
    """The file, opened; the graph that the runtime makes of it goes into the file `optimized`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if optimized:
        options.optimized_model_filepath = str(optimized)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def run(path: Path, x: np.ndarray, **options) -> np.ndarray:
    """What the file makes of one input."""
    return session(path, **options).run(None, {"input": x})[0]


def properties(path: Path) -> dict[str, str]:
    """What the file says of itself."""
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


def decibel(got: np.ndarray, expected: np.ndarray) -> float:
    """How far two pictures in [0, 1] are apart, in dB."""
    return -10 * np.log10(max(np.mean((got - expected) ** 2), 1e-20))
