"""Options of trainings that degrade their inputs, for small pictures."""

from pathlib import Path

from helpers.training import tiny_options

QUEUE, BATCH = 6, 2
SETTINGS = {
    "resize_prob": [0.2, 0.7, 0.1],
    "resize_range": [0.5, 1.5],
    "gaussian_noise_prob": 0.5,
    "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3],
    "gray_noise_prob": 0.4,
    "jpeg_range": [30, 95],
    "second_blur_prob": 0.8,
    "resize_prob2": [0.3, 0.4, 0.3],
    "resize_range2": [0.6, 1.2],
    "gaussian_noise_prob2": 0.5,
    "noise_range2": [1, 25],
    "poisson_scale_range2": [0.05, 2.5],
    "gray_noise_prob2": 0.4,
    "jpeg_range2": [30, 95],
    "gt_size": 32,
    "queue_size": QUEUE,
}
"""Real-ESRGAN's, but for resizes and sizes that suit small pictures."""
DATASET = {
    "type": "RealESRGANDataset",
    "blur_kernel_size": 21,
    "kernel_list": ["iso", "aniso"],
    "kernel_prob": [0.6, 0.4],
    "sinc_prob": 0.1,
    "blur_sigma": [0.2, 3],
    "betag_range": [0.5, 4],
    "betap_range": [1, 2],
    "blur_kernel_size2": 21,
    "kernel_list2": ["iso", "aniso"],
    "kernel_prob2": [0.6, 0.4],
    "sinc_prob2": 0.1,
    "blur_sigma2": [0.2, 1.5],
    "betag_range2": [0.5, 4],
    "betap_range2": [1, 2],
    "final_sinc_prob": 0.8,
}


def real_run(directory: Path, model_type: str = "AetherRealModel", **changes) -> dict:
    """A training as a file describes it, with pictures from `write_pairs(directory, size=96)`."""
    names = sorted(path.name for path in (directory / "gt").iterdir())
    (directory / "list.txt").write_text("\n".join(names) + "\n")
    train = tiny_options(directory)["datasets"]["train"]
    train = {key: value for key, value in train.items() if key not in ("dataroot_lq", "gt_size")}
    opt = tiny_options(directory, **{"model_type": model_type, "datasets:train": train, **changes})
    opt["datasets"]["train"] |= {**DATASET, "meta_info": str(directory / "list.txt")}
    return {**opt, **SETTINGS, "gt_usm": False, "resize_range": [0.15, 1.5]}
