"""Small networks and pictures as files to be exported, verified and released, and a report that was not measured."""

from pathlib import Path

import numpy as np
import torch

import aethernet
from aethernet import aether_custom
from aethernet.bench.timing import Timing
from aethernet.conditions import measurement_conditions
from aethernet.data.calibration import CalibrationInputs
from aethernet.data.pictures import write_png
from aethernet.export.half_range import HalfReport, LayerRange
from aethernet.release import products
from aethernet.release.crops import CropCollector
from aethernet.release.records import EngineLine, FileRecord, Mean, Report, SpeedRecord
from aethernet.release.settings import Settings
from aethernet.release.tensorrt import engine_lines
from aethernet.verify.agreement import Agreement
from aethernet.verify.gate import ONNXRUNTIME, Check
from helpers.extras import missing
from helpers.networks import PLAIN

HAS_NCNN = not missing(*products.NCNN_PACKAGES)
PRODUCTS = tuple(
    product for product in products.BUNDLE if product is not products.INT8 and (HAS_NCNN or not product.is_ncnn)
)
"""The files of a network that was calibrated, or fine-tuned, here."""
HALF = HalfReport(
    [LayerRange("shallow", "Conv2d", 2.0, 0.5, 0.0), LayerRange("stages.0.<1>", "Conv2d", 16.0, 0.25, 0.0)], 3
)
PICTURES = ("set/<one>", "set/two", "set/three")


def write_pictures(folder: Path) -> None:
    """Three pictures of coarse squares."""
    random = np.random.default_rng(0)
    for index in range(3):
        coarse = random.integers(60, 190, (6, 5 + index, 3)).repeat(6, axis=0).repeat(6, axis=1)
        write_png(folder / f"{index}.png", coarse.astype(np.uint8))


def write_networks(root: Path) -> None:
    """`float.pth`, the same on int8 grids and converted, `other.pth` of other weights, and `pictures`."""
    write_pictures(root / "pictures")
    torch.manual_seed(0)
    network = aether_custom(2, **PLAIN).eval()
    aethernet.write_checkpoint(root / "float.pth", network)
    aethernet.write_checkpoint(root / "other.pth", aether_custom(2, **PLAIN).eval())
    aethernet.calibrate(network, CalibrationInputs([root / "pictures"], 2, 3, 3))
    aethernet.write_checkpoint(root / "qat.pth", network)
    aethernet.write_checkpoint(root / "int8.pth", network.convert_to_quantized())


def agreement(drops: tuple[float, ...], error: float = 0.01, decibel: float = 50.0) -> Agreement:
    worst = int(np.argmax(drops))
    drop = float(np.mean(drops))
    return Agreement(30.0 - drop, 0.9, drop, decibel, error, PICTURES[worst], drops[worst], drops)


def sample_report(failed: tuple[products.Product, ...] = (), name: str = "net_x2", **changes) -> Report:
    """Every product; those of `failed` did not pass."""
    files = []
    for number, product in enumerate(PRODUCTS):
        figures = (
            agreement((0.0, 0.0, 0.0), 0.0, float("inf")) if number == 0 else agreement((0.01 * number, -0.02, 0.03))
        )
        passed = product not in failed
        checks = [Check(runtime, figures, 4, 5, passed) for runtime in product.runtimes]
        remarks = [product.remark] if product.remark else []
        files.append(FileRecord(f"{name}{product.suffix}", product.precision, product.purpose, 1000 * (number + 1),
                                f"{number:064x}", "a budget", checks, remarks, passed, weights=f"{name}{product.suffix[:-6]}.bin" if product.is_ncnn else "",
                                weights_sha256=f"{number + 100:064x}" if product.is_ncnn else ""))  # fmt: skip
    kept = [product for product in PRODUCTS if product not in failed]
    speed = [
        SpeedRecord(f"{name}{product.suffix}", ONNXRUNTIME, product.precision, Timing(10.0 - n, 9.0, 11.0, 1 - n / 10, 7))
        for n, product in enumerate((products.FP32, products.FP16, products.INT8_ORT)) if product in kept
    ]  # fmt: skip
    lines: list[EngineLine] = engine_lines(name, kept, 3, Settings().shapes)
    conditions = measurement_conditions(
        threads=1, precision="as the files", size="whole pictures", command="aethernet release x"
    )
    fields = {
        "name": name, "title": "aether_custom x2 (stage train)", "variant": "custom", "scale": 2, "in_channels": 3,
        "parameters": 1234, "receptive_radius": 8, "passed": not failed, "network": Mean(30.0, 0.9),
        "bicubic": Mean(28.0, 0.85), "pictures": PICTURES, "max_drop": 0.1, "int8": "Calibrated & <not> fine-tuned.",
        "files": files, "speed": speed, "half": HALF, "input_size": (16, 24), "tensorrt": lines, "notes": ["A note."],
        "conditions": conditions, "speed_conditions": conditions,
    }  # fmt: skip
    return Report(**fields | changes)


def sample_crops(side: int = 200, kinds: tuple[str, ...] = ("network", "bicubic", "int8")):
    """A crop of each picture, every kind with a colour of its own."""
    collector = CropCollector()
    random = np.random.default_rng(0)
    for title in PICTURES:
        hr = random.integers(0, 256, (side, side + 8, 3), dtype=np.uint8)
        collector(title, hr, {kind: np.roll(hr, 60 * (n + 1), axis=2) // (n + 1) for n, kind in enumerate(kinds)})
    return collector.chosen([])
