"""The training recipes: every number of an option file that depends on the variant or on the stage.

What all files share stands in the templates. The numbers start from published ones:

- SAFMN (Sun et al., ICCV 2023), option file of the x4 network: DF2K sub-images, 64 patches of 64x64 low-resolution
  pixels, Adam at 1e-3 with betas 0.9 and 0.99, one cosine over 500 000 iterations, L1 + 0.05 FFT loss, EMA 0.999.
- PLKSR (Lee et al., 2024), option file of the x4 network: 64 patches of 96x96, Adam at 2e-4 halved five times,
  450 000 iterations, L1.
- SwinIR (Liang et al., ICCVW 2021), BasicSR's option file, for the size of `large`: 32 patches of 48x48, Adam at 2e-4,
  500 000 iterations.
- Real-ESRGAN (Wang et al., ICCVW 2021), BasicSR's option files for x2 and x4: from the fidelity network, 48 patches
  of 256x256 high-resolution pixels, Adam at a constant 1e-4 for both networks, 400 000 iterations, L1 + perceptual
  (VGG19, five layers before their ReLU) + 0.1 GAN, U-Net discriminator with spectral normalisation, EMA 0.999. The
  degradations of `real` are those of its option files.
- RCAN-it (Lin et al., 2022): networks of this kind underfit, so longer training helps and regularisation harms.
  Hence no weight decay and no stochastic depth.

The learning rates are start values. That of `tiny`, Muon at 2e-2, comes from short trainings of its five plain blocks
with several optimisers and rates (docs/arena/optimizer.yml; docs/architecture.md has the outcome); a long run with large
batches may ask for less. Those of the larger variants follow SAFMN's and SwinIR's and are not measured yet.
"""

import dataclasses
import math
from dataclasses import dataclass

from aethernet.checks import is_folder_name, is_number, one_of, whole_number
from aethernet.errors import OptionError
from aethernet.network.config import COLOR_ORDERS

VARIANT_NAMES = ("tiny", "small", "medium", "large")
SCALES = (2, 3, 4)
REAL = {"real": "train", "real_gan": "gan", "real_qat": "qat"}
"""Folders of trainings that degrade their inputs themselves, and the stage whose recipe they follow."""

STAGES = ("train", "gan", "qat", "test", "distill", *REAL)
"""The folders below `options/`: training for fidelity, GAN or quantisation-aware training from there, measuring, training for
fidelity with a teacher, and `REAL`."""

LARGER = {"tiny": "small", "small": "medium", "medium": "large"}
"""Whose fidelity network teaches a variant by default."""

KEPT = {"distill": ("tiny",)}
"""Variants whose files are kept below `options/`; those of the other stages are kept for all."""

OTF = {"trainner/otf_fidelity": "train", "trainner/otf_gan": "gan"}
"""Those for traiNNer-redux that degrade their inputs on the fly."""

OTHER_TRAINERS = {
    **{"trainner/fidelity": "train", "trainner/gan": "gan", "trainner/qat": "qat"},
    **OTF,
    **{"neosr": "train", "neosr/gan": "gan", "neosr/qat": "qat"},
}
"""Folders for traiNNer-redux and neosr, and the stage whose recipe they follow."""

KEPT_OF_OTHERS = ("neosr",)
"""Whose files are kept below `options/` as well; the rest is rendered on demand."""

STEPS = {**REAL, **OTHER_TRAINERS}

DEGRADATIONS = ("full", "photo")
"""How inputs are degraded: as published with Real-ESRGAN, or slightly, as `aethernet.data.photo` does it."""

FIXED = {
    **dict.fromkeys(("gan", "real_gan"), ("optimizer",)),  # both networks follow AdamW
    **dict.fromkeys(OTHER_TRAINERS, ("optimizer",)),  # they have no Muon
    **dict.fromkeys(("neosr", "neosr/gan", "neosr/qat"), ("optimizer", "grad_clip")),  # it clips at a norm of 1
}
"""Fields of a recipe that a stage's files cannot vary."""

OPTIMIZERS = ("Muon", "AdamW")
"""Those that the templates know how to describe."""

FREEZE_SHARE = 0.3
"""Part of the training after which the norm statistics are fixed: 0.6 dB (Set5) above never in a short training of gated blocks."""

WARMUP_SHARE = 0.004
"""Part of the training in which the rate of the fidelity stage rises from 0: 2000 of 500 000 iterations."""


VGG19 = "experiments/pretrained_models/vgg19-dcbb9e9d.pth"
"""Where the perceptual loss looks for its weights if no other file is named; BasicSR's own place."""

PERCEPTUAL_MB = 133
"""Part of a recipe's `memory_mb` that VGG19 keeps for the backward pass: the saved tensors of a patch of 256x256."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run of one variant; it holds for every scale.

    Args:
        batch: patches in a step of one GPU.
        total_iter: steps.
        lr: highest learning rate; that of the matrices for Muon.
        optimizer: one of `OPTIMIZERS`.
        memory_mb: what one patch keeps for the backward pass in float32 at x4, networks and VGG19 together; the sum
            of the saved tensors of a forward pass on a CPU (torch 2.13). bf16 needs 0.6 of the network's part.
        lq_size: side of a patch in low-resolution pixels.
        ema_decay: of the weight average.
        adamw_lr: of what Muon leaves to AdamW, and of everything in a trainer without Muon.
        weight_decay: of AdamW.
        grad_clip: largest norm of a network's gradients; None does not clip.
        amp: `bf16`, or None for float32.
    """

    batch: int
    total_iter: int
    lr: float
    memory_mb: int
    optimizer: str = "AdamW"
    adamw_lr: float = 2e-3
    lq_size: int = 64
    ema_decay: float = 0.999
    weight_decay: float = 0
    grad_clip: float | None = 1.0
    amp: str | None = None

    def __post_init__(self) -> None:
        for name in ("batch", "total_iter", "lq_size", "memory_mb"):
            whole_number(name, getattr(self, name), 1, OptionError)
        for name in ("lr", "adamw_lr"):
            value = getattr(self, name)
            if not is_number(value) or not 0 < value < math.inf:
                raise OptionError(f"{name} must be a positive number, not {value!r}")
        if not is_number(self.ema_decay) or not 0 <= self.ema_decay < 1:
            raise OptionError(f"ema_decay must be in [0, 1), where 0 means no average, not {self.ema_decay!r}")
        if not is_number(self.weight_decay) or not 0 <= self.weight_decay < math.inf:
            raise OptionError(f"weight_decay must be a number of at least 0, not {self.weight_decay!r}")
        if self.grad_clip is not None and not (is_number(self.grad_clip) and 0 < self.grad_clip < math.inf):
            raise OptionError(f"grad_clip must be a positive norm such as 1.0, or ~ for none, not {self.grad_clip!r}")
        if self.amp not in (None, "bf16"):
            raise OptionError(f"amp must be bf16, or ~ for float32, not {self.amp!r}")
        one_of("optimizer", self.optimizer, OPTIMIZERS, OptionError)

    def without_muon(self) -> "Recipe":
        """The same training with AdamW for all parameters."""
        return dataclasses.replace(self, optimizer="AdamW", lr=self.adamw_lr) if self.optimizer == "Muon" else self

    @property
    def norm_freeze_iter(self) -> int:
        """Iterations until the norm statistics of a network that starts from scratch are fixed."""
        return round(FREEZE_SHARE * self.total_iter)

    @property
    def warmup_iter(self) -> int:
        return round(WARMUP_SHARE * self.total_iter)

    def gt_size(self, scale: int) -> int:
        """Side of a patch in high-resolution pixels."""
        return self.lq_size * scale


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What a file for BasicSR may choose beside the numbers of its recipe.

    Args:
        name: of the experiment; by default that of stage, variant and scale.
        data: the folder that `aethernet data prepare` wrote, with the training pictures.
        weights: a file, or the name of packaged weights, to start from or to test; by default those that the stage before
            leaves, and none for `train`.
        in_channels: of the network: 3 (RGB), or 1 (grey), for which all data sets give Y; not where inputs are degraded.
        degradation: of the stages in `REAL`: one of `DEGRADATIONS`.
        teacher: of distillation: a file, the name of packaged weights, or spandrel:FILE; by default the next larger variant,
            packaged or as its fidelity training leaves it.
        perceptual: of GAN training: with the perceptual loss, whose VGG19 lies in the usual place (true) or in this file, or
            without it (false).
    """

    name: str | None = None
    data: str = "datasets/DIV2K"
    weights: str | None = None
    in_channels: int = 3
    degradation: str = "full"
    perceptual: bool | str = True
    teacher: str | None = None

    def __post_init__(self) -> None:
        for name, meaning in (
            ("name", "a text"),
            ("data", "a folder"),
            ("weights", "a file or the name of packaged weights"),
            ("teacher", "a file, the name of packaged weights or spandrel:FILE"),
        ):
            value = getattr(self, name)
            if not (isinstance(value, str) and value.strip()) and (value is not None or name == "data"):
                raise OptionError(f"{name} must be {meaning}, not {value!r}")
        if self.name is not None and not is_folder_name(self.name):
            raise OptionError(
                f"name must be the name of a folder, without / and other than . and .., not {self.name!r}"
            )
        one_of("in_channels", self.in_channels, tuple(COLOR_ORDERS), OptionError)
        one_of("degradation", self.degradation, DEGRADATIONS, OptionError)
        if not isinstance(self.perceptual, bool) and not (isinstance(self.perceptual, str) and self.perceptual.strip()):
            raise OptionError(
                f"perceptual must be true, false or the file of VGG19's weights ({VGG19}), not {self.perceptual!r}"
            )


RECIPES: dict[str, dict[str, Recipe]] = {
    "train": {
        "tiny": Recipe(batch=64, total_iter=500_000, lr=2e-2, optimizer="Muon", memory_mb=22),
        "small": Recipe(batch=64, total_iter=500_000, lr=1e-3, memory_mb=300),
        "medium": Recipe(batch=32, total_iter=500_000, lr=5e-4, memory_mb=690),
        "large": Recipe(batch=16, total_iter=500_000, lr=3e-4, memory_mb=1590),
    },
    # As in Real-ESRGAN nothing is clipped: the perceptual loss alone has gradients of another size. Patches are
    # those of the fidelity stage, since memory grows with their area; at x2 they are as large as ESRGAN's (128).
    "gan": {
        "tiny": Recipe(batch=32, total_iter=400_000, lr=1e-4, grad_clip=None, memory_mb=316),
        "small": Recipe(batch=32, total_iter=400_000, lr=1e-4, grad_clip=None, memory_mb=590),
        "medium": Recipe(batch=16, total_iter=400_000, lr=1e-4, grad_clip=None, memory_mb=980),
        "large": Recipe(batch=8, total_iter=400_000, lr=1e-4, grad_clip=None, memory_mb=1880),
    },
    # A short training at a small constant-to-zero rate: the weights only have to settle on their grids.
    "qat": {
        "tiny": Recipe(batch=64, total_iter=5_000, lr=2e-5, memory_mb=44),
        "small": Recipe(batch=64, total_iter=5_000, lr=2e-5, memory_mb=690),
        "medium": Recipe(batch=32, total_iter=5_000, lr=2e-5, memory_mb=1490),
        "large": Recipe(batch=16, total_iter=5_000, lr=2e-5, memory_mb=3440),
    },
}
RECIPES["distill"] = RECIPES["train"]  # the same training; a teacher keeps nothing for the backward pass
"""By stage and variant; `test` trains nothing and has none."""
