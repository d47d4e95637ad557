"""The degradation of models that make their inputs: do data set and model belong together, are its numbers in their ranges?"""

from collections.abc import Iterator, Mapping

from aethernet.integrations.basicsr.preflight import schema
from aethernet.integrations.basicsr.preflight.context import Context, positive
from aethernet.integrations.basicsr.preflight.kinds import is_finite_list
from aethernet.wording import how_many

PLACE = "datasets: train"
DATASET = "RealESRGANDataset"
CROP = 400
"""Pixels of a side that BasicSR cuts out of each picture, or pads it to."""

CHOICES = ("resize_prob", "resize_prob2")
"""Weights of three: larger, smaller, as it is."""
NEEDED = (
    *CHOICES,
    *("gaussian_noise_prob", "gray_noise_prob", "second_blur_prob", "gaussian_noise_prob2", "gray_noise_prob2"),
    *("resize_range", "noise_range", "poisson_scale_range", "jpeg_range"),
    *("resize_range2", "noise_range2", "poisson_scale_range2", "jpeg_range2"),
)
"""What every model that degrades its inputs reads; `expected.DEGRADATION` says what it may be."""
KERNELS = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
SHARPENING = {"RealESRNetModel": ("gt_usm",), "RealESRGANModel": ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm")}
"""By the stock class, whose every option is read by ours too."""


def stock(model_type: str) -> str:
    """The class of BasicSR that a degrading model follows."""
    return "RealESRGANModel" if "GAN" in model_type else "RealESRNetModel"


def degrades(context: Context) -> bool:
    """Whether the model makes its inputs."""
    return context.model_type in schema.DEGRADING_MODELS and bool(context.opt.get("high_order_degradation", True))


def is_degraded(section: Mapping) -> bool:
    """Whether a data set gives originals and kernels, of which a model makes its inputs."""
    return section["type"].removesuffix("_basicsr") == DATASET


def inputs(context: Context) -> Iterator[str]:
    """A data set without low-resolution pictures wants a model that makes them, and such a model wants such a set."""
    section = context.opt["datasets"]["train"]
    kind = section["type"].removesuffix("_basicsr")
    if kind == DATASET and context.model_type in schema.MODELS and not degrades(context):
        yield (
            f"{PLACE}: type: {kind} gives no low-resolution pictures, and {context.model_type} makes none"
            + (" with high_order_degradation: false" if context.model_type in schema.DEGRADING_MODELS else "")
            + ": set model_type: AetherRealModel or AetherRealGANModel, or take a PairedImageDataset"
        )
    elif kind in schema.DATASETS and kind != DATASET and degrades(context):
        yield (
            f"{PLACE}: type: {kind} gives pairs, and {context.model_type} degrades what {DATASET} gives: take that, or set "
            "high_order_degradation: false to train on the pairs as they are"
        )


def settings(context: Context) -> Iterator[str]:
    """Numbers that BasicSR takes from the options while it trains, unchecked."""
    if not degrades(context):
        return
    opt, section = context.opt, context.opt["datasets"]["train"]
    for key in (*NEEDED, *SHARPENING[stock(context.model_type)], "gt_size"):
        if opt.get(key) is None:
            yield f"{key}: is missing at the top level; {context.model_type} degrades its inputs with it"
    for key in CHOICES:
        value = opt.get(key)
        if value is not None and not _are_weights(value, 3):
            yield f"{key}: must be three weights (larger, smaller, as it is) such as [0.2, 0.7, 0.1], not {value!r}"
    yield from _sizes(context)
    if is_degraded(section):
        yield from _kernels(section)
        for key in ("blur_sigma", "blur_sigma2"):
            value = section.get(key)
            if is_finite_list(value, 2) and value[0] == value[1]:
                yield f"{PLACE}: {key}: BasicSR wants two numbers that differ, such as [0.1, 0.11], not {value!r}"
        if (section.get("io_backend") or {}).get("type") == "disk" and section.get("meta_info") is None:
            yield f"{PLACE}: meta_info: is missing; name the list that `aethernet data prepare` writes beside the pictures"


def _sizes(context: Context) -> Iterator[str]:
    opt, scale = context.opt, context.scale or 1
    size, batch = opt.get("gt_size"), positive(opt["datasets"]["train"].get("batch_size_per_gpu"))
    most = CROP - CROP % scale
    if size is not None and (positive(size) is None or size % scale or size > most):
        yield f"gt_size: must be a multiple of the scale {scale} and at most {most} at the top level, not {size!r}"
    queue = opt.get("queue_size", 180)
    if positive(queue) is None or (batch and queue % batch):
        multiple = f" of batch_size_per_gpu {batch}, such as {batch * -(-180 // batch)}" if batch else ""
        yield f"queue_size: must be a multiple{multiple}, not {queue!r}"
    if CROP % scale and not context.model_type.startswith("Aether"):
        yield (
            f"scale: {scale} does not divide the {CROP} pixels that BasicSR cuts its pictures to, and {context.model_type} "
            f"would fail: set model_type: {'AetherRealGANModel' if 'GAN' in context.model_type else 'AetherRealModel'}"
        )


def _kernels(section: Mapping) -> Iterator[str]:
    for suffix in ("", "2"):
        kinds, weights = section.get(f"kernel_list{suffix}"), section.get(f"kernel_prob{suffix}")
        if kinds is None or weights is None:
            continue  # told as a missing key
        if not isinstance(kinds, list) or not kinds or not all(kind in KERNELS for kind in kinds):
            yield f"{PLACE}: kernel_list{suffix}: must be a list of {', '.join(KERNELS)} or some of them, not {kinds!r}"
        elif not _are_weights(weights, len(kinds)):
            yield f"{PLACE}: kernel_prob{suffix}: must be {how_many(len(kinds), 'weight')}, one for each of kernel_list{suffix}, not {weights!r}"


def _are_weights(value: object, count: int) -> bool:
    return is_finite_list(value, count) and min(value) >= 0 and sum(value) > 0  # type: ignore[call-overload, type-var]
