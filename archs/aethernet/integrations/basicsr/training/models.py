"""Model classes for BasicSR's MODEL_REGISTRY: what its stock `SRModel` and `SRGANModel` do, and what they lack.

Import this module after `aethernet.integrations.basicsr.compat.apply()`; it imports BasicSR.
"""

from collections import OrderedDict
from contextlib import AbstractContextManager

import torch
from basicsr.losses.loss_util import get_refined_artifact_map
from basicsr.models.sr_model import SRModel
from basicsr.models.srgan_model import SRGANModel
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn

from aethernet.errors import OptionError
from aethernet.integrations import registry
from aethernet.integrations.basicsr.training import calibration, losses
from aethernet.integrations.basicsr.training.distillation import Distillation
from aethernet.integrations.basicsr.training.guard import StepGuard
from aethernet.integrations.basicsr.training.norm_freezing import FreezeWatch, set_freeze_iter
from aethernet.integrations.basicsr.training.optimizers import build_optimizer
from aethernet.integrations.basicsr.training.options import TrainOptions
from aethernet.integrations.basicsr.training.real import DegradedInputs
from aethernet.integrations.basicsr.training.weights import WholeCheckpoints
from aethernet.network.network import AetherNet

LDL_WINDOW = 7
"""Pixels of the side of the surroundings, as in `RealESRGANModel`."""


class AetherModel(WholeCheckpoints, SRModel):
    """Training for fidelity: pixel and perceptual losses. `model_type: AetherModel`.

    Every option of `SRModel` holds. These come on top; the networks below may be any of BasicSR's::

        train:
          optim_g:
            type: AdamW          # Adam, AdamW, NAdam, RAdam or SGD, with the arguments of torch.optim; or Muon
            lr: !!float 1e-3
            weight_decay: 0      # default of torch's class; spares parameters of one dimension
          grad_clip: 1.0         # largest gradient norm of a network; default ~ (no clipping)
          amp: bf16              # mixed precision; default ~ (float32)
          max_nonfinite: 10      # stop after so many steps in a row that were not finite; default 10
          ema_decay: 0.999       # as in SRModel: 0 is off and the default
          ema_warmup: true       # decay min(ema_decay, (1 + n) / (10 + n)) in iteration n; default true
          norm_freeze_iter: ~    # replaces network_g's norm_freeze_iter; default ~ (leave it)
          distill_opt:           # a teacher's outputs are learnt beside the true pictures; default ~ (none)
            teacher: aether_small_x4   # packaged weights, a file, or spandrel:FILE
            weight: 1.0
            loss: L1Loss         # or a section such as {type: CharbonnierLoss, eps: !!float 1e-6}

    A step whose loss or gradient is not finite is skipped, and the weight average with it. The log has
    `grad_norm` (before clipping) and, after the first skipped step, their count `skipped`; with a teacher `l_distill`.
    """

    def init_training_settings(self) -> None:
        self.train_options = TrainOptions.read(self.opt["train"])
        if isinstance(self.net_g, nn.DataParallel):
            raise OptionError(
                "several GPUs in one process lose the norm statistics, which each pass computes on copies: set "
                "num_gpu: 1, or start one process for each GPU (torchrun ... --launcher pytorch)"
            )
        super().init_training_settings()
        net_g = self.get_bare_model(self.net_g)
        if self.train_options.norm_freeze_iter is not None:
            for net in (net_g, self.net_g_ema) if self.ema_decay > 0 else (net_g,):
                set_freeze_iter(net, self.train_options.norm_freeze_iter)
        net_g_ema = self.net_g_ema if self.ema_decay > 0 else None
        calibration.ensure_calibrated(net_g, net_g_ema, self.opt, self.input_of)
        self.distillation = self.build_distillation()
        self.freeze_watch = FreezeWatch(net_g, total_iter=int(self.opt["train"]["total_iter"]))

    def build_distillation(self) -> Distillation | None:
        """The teacher of `train: distill_opt:`, if there is one."""
        options = self.train_options.distill_opt
        if options is None:
            return None
        network = self.get_bare_model(self.net_g)
        channels = network.config.in_channels if isinstance(network, AetherNet) else None
        return Distillation(options, scale=self.opt["scale"], channels=channels, device=self.device)

    def input_of(self, sample: dict) -> Tensor:
        """(1, C, H, W), what the network gets of one sample of the training set."""
        return calibration.given_input(sample, self.opt)

    def target(self, loss: str) -> Tensor:
        """The true picture that a loss compares with: `l1` (pixels), `percep` or `gan`."""
        return self.gt

    def setup_optimizers(self) -> None:
        self.optimizer_g, self.guard_g = self.guarded_optimizer(self.net_g, "g")

    def guarded_optimizer(self, net: nn.Module, letter: str) -> tuple[torch.optim.Optimizer, StepGuard]:
        """The optimiser of `train: optim_{letter}:`, entered into the list of optimisers, and its guard."""
        section = f"optim_{letter}"
        optimizer = build_optimizer(net, section, self.opt["train"].get(section) or {})
        self.optimizers.append(optimizer)
        guard = StepGuard(
            f"net_{letter}",
            optimizer,
            grad_clip=self.train_options.grad_clip,
            max_nonfinite=self.train_options.max_nonfinite,
            suffix="" if letter == "g" else f"_{letter}",
        )
        return optimizer, guard

    def optimize_parameters(self, current_iter: int) -> None:
        self.optimizer_g.zero_grad()
        self.output = self.run_mixed(self.net_g, self.lq)
        losses = self.reference_losses("l_")
        loss = sum(losses.values())
        assert isinstance(loss, Tensor)  # there is at least one
        loss.backward()
        taken = self.guard_g.step(loss, current_iter)
        self.close_iteration(losses, current_iter, average=taken)

    def reference_losses(self, prefix: str) -> "OrderedDict[str, Tensor]":
        """The losses between the output and the true picture or the teacher's, by their names in the log."""
        losses = OrderedDict()
        if self.cri_pix:
            losses[f"{prefix}pix"] = self.cri_pix(self.output, self.target("l1"))
        if self.cri_perceptual:
            perceptual, style = self.cri_perceptual(self.output, self.target("percep"))
            if perceptual is not None:
                losses[f"{prefix}percep"] = perceptual
            if style is not None:
                losses[f"{prefix}style"] = style
        if self.distillation is not None:
            losses[f"{prefix}distill"] = self.distillation.loss(self.lq, self.output)
        return losses

    def run_mixed(self, net: nn.Module, x: Tensor) -> Tensor:
        """The network's output in float32, computed under autocast if `amp` says so."""
        with self.autocast():
            out = net(x)
        return out.float()

    def autocast(self) -> AbstractContextManager:
        enabled = self.train_options.amp == "bf16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def close_iteration(self, losses: "OrderedDict[str, Tensor]", current_iter: int, *, average: bool) -> None:
        """Fills the log and lets the weight average follow, unless the step was skipped."""
        self.log_dict = self.reduce_loss_dict(losses)
        self.log_dict.update(self.guard_g.log())
        self.freeze_watch.look(current_iter)
        if self.ema_decay > 0 and average:
            self.model_ema(self.current_decay(current_iter))

    def current_decay(self, current_iter: int) -> float:
        """The decay of the weight average in this iteration; it depends on nothing else, so a resumed run agrees."""
        if not self.train_options.ema_warmup:
            return self.ema_decay
        return min(self.ema_decay, (1 + current_iter) / (10 + current_iter))

    @torch.no_grad()
    def model_ema(self, decay: float = 0.999) -> None:
        """Moves `net_g_ema` towards `net_g`: weights and norm statistics are averaged, counters and buffers copied.

        An averaged counter would stay short of the count for ever (149 897 of 150 000 with decay 0.9999): float32
        drops the last small increments.
        """
        net_g = self.get_bare_model(self.net_g)
        current = dict(net_g.named_parameters())
        averages, targets = [], []
        for name, average in self.net_g_ema.named_parameters():
            if average.ndim == 0 and not average.requires_grad:
                average.copy_(current[name])
            else:
                averages.append(average)
                targets.append(current[name])
        torch._foreach_lerp_(averages, targets, 1.0 - decay)  # together: one by one, a GPU would wait for each
        buffers = dict(net_g.named_buffers())
        for name, buffer in self.net_g_ema.named_buffers():
            buffer.copy_(buffers[name])


class AetherGANModel(AetherModel, SRGANModel):
    """Training against a discriminator. `model_type: AetherGANModel`.

    Every option of `SRGANModel` holds, and those of `AetherModel`; `optim_d` takes the same types as `optim_g`,
    and `grad_clip`, `amp` and `max_nonfinite` hold for each of the two networks. The discriminator's entries in the
    log are `grad_norm_d` and `skipped_d`.

    `ldl_opt` is a pixel loss where the output is worse than that of the weight average (Liang et al., "Details or
    Artifacts", CVPR 2022), as `RealESRGANModel` has it; it takes an `ema_decay` above 0. In the log it is `l_g_ldl`.
    """

    def init_training_settings(self) -> None:
        if not self.opt["train"].get("gan_opt"):
            raise OptionError("AetherGANModel needs train: gan_opt; without a discriminator use AetherModel")
        super().init_training_settings()
        if self.cri_ldl is not None and not self.ema_decay > 0:
            raise OptionError("train: ldl_opt compares with the output of the weight average: set train: ema_decay")

    def setup_optimizers(self) -> None:
        super().setup_optimizers()
        self.optimizer_d, self.guard_d = self.guarded_optimizer(self.net_d, "d")

    def optimize_parameters(self, current_iter: int) -> None:
        losses: OrderedDict[str, Tensor] = OrderedDict()
        self.optimizer_g.zero_grad()
        self.output = self.run_mixed(self.net_g, self.lq)
        average = True
        if current_iter % self.net_d_iters == 0 and current_iter > self.net_d_init_iters:
            average = self.step_generator(losses, current_iter)
        self.step_discriminator(losses, current_iter)
        self.close_iteration(losses, current_iter, average=average)
        self.log_dict.update(self.guard_d.log())

    def step_generator(self, losses: "OrderedDict[str, Tensor]", current_iter: int) -> bool:
        """Backward pass and step of the generator; says whether the step was taken."""
        self.net_d.requires_grad_(False)
        losses.update(self.reference_losses("l_g_"))
        if self.cri_ldl is not None:
            losses["l_g_ldl"] = self.artifact_loss()
        losses["l_g_gan"] = self.cri_gan(self.run_mixed(self.net_d, self.output), True, is_disc=False)
        loss = sum(losses.values())
        assert isinstance(loss, Tensor)  # there is at least one
        loss.backward()
        self.net_d.requires_grad_(True)
        return self.guard_g.step(loss, current_iter)

    def artifact_loss(self) -> Tensor:
        """Weighs each pixel by how much artefacts change its surroundings, where the average's output is nearer."""
        with torch.no_grad():
            steady = self.run_mixed(self.net_g_ema, self.lq)
        weight = get_refined_artifact_map(self.gt, self.output, steady, LDL_WINDOW)
        return self.cri_ldl(weight * self.output, weight * self.gt)

    def step_discriminator(self, losses: "OrderedDict[str, Tensor]", current_iter: int) -> None:
        """Backward passes and step of the discriminator.

        Real and generated pictures have a backward pass each: a forward pass changes the spectral norm's vectors,
        and gradients that still needed the former ones would fail.
        """
        self.optimizer_d.zero_grad()
        for name, picture, is_real in (("real", self.target("gan"), True), ("fake", self.output.detach(), False)):
            prediction = self.run_mixed(self.net_d, picture)
            losses[f"l_d_{name}"] = self.cri_gan(prediction, is_real, is_disc=True)
            losses[f"out_d_{name}"] = prediction.detach().mean()
            losses[f"l_d_{name}"].backward()
        self.guard_d.step(losses["l_d_real"].detach() + losses["l_d_fake"].detach(), current_iter)


class AetherRealModel(DegradedInputs, AetherModel):
    """Training for fidelity on inputs that are degraded during training. `model_type: AetherRealModel`.

    Every option of `RealESRNetModel` holds, and those of `AetherModel`. The pool of pairs is saved in the training state,
    so that a resumed run goes on with the same pictures. Pairs of a data set that gives them are taken as they are.
    """


class AetherRealGANModel(DegradedInputs, AetherGANModel):
    """The same against a discriminator. `model_type: AetherRealGANModel`.

    Every option of `RealESRGANModel` holds, and those of `AetherGANModel`. With `gt_usm: false` inputs are
    made of the pictures as they are, not of their sharpened form.
    """

    is_gan = True

    def target(self, loss: str) -> Tensor:
        return self.sharpened() if self.opt.get(f"{loss}_gt_usm", True) else self.gt


MODELS = (AetherModel, AetherGANModel, AetherRealModel, AetherRealGANModel)


def register() -> None:
    """Adds the classes to BasicSR's MODEL_REGISTRY, and the losses that they may use; repeating it is harmless."""
    losses.register()
    for model in MODELS:
        registry.register(MODEL_REGISTRY, model)
