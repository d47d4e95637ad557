"""What a model class needs to make its inputs during training: the degradation, and its pool in the training state."""

import logging

import torch
from torch import Tensor

from aethernet.integrations.basicsr.pipeline.distributed import gather
from aethernet.integrations.basicsr.training.calibration import given_input
from aethernet.integrations.basicsr.training.degradation import degradation
from aethernet.integrations.basicsr.training.weights import WholeCheckpoints

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run

POOLS = "pools"
"""Entry of a `.state` file: the pool of each process by its rank."""


class DegradedInputs(WholeCheckpoints):
    """Stands before a model class whose `lq` and `gt` it makes of what `RealESRGANDataset` gives."""

    is_gan = False

    def init_training_settings(self) -> None:
        self.degradation = degradation(self.opt, self.device, is_gan=self.is_gan)
        super().init_training_settings()

    @torch.no_grad()
    def feed_data(self, data: dict) -> None:
        """Takes pairs, or degrades what has blur kernels beside it."""
        self.gt_usm: Tensor | None = None
        if "kernel1" in data:
            self.gt, lq = self.degradation(data)
            self.lq = lq.contiguous()
            self.gt_usm = getattr(self.degradation, "gt_usm", None)
        else:
            super().feed_data(data)

    @torch.no_grad()
    def sharpened(self) -> Tensor:
        """The true pictures, sharpened as Real-ESRGAN's losses want them."""
        if self.gt_usm is None:
            self.gt_usm = self.degradation.usm_sharpener(self.gt)
        return self.gt_usm

    @torch.no_grad()
    def input_of(self, sample: dict) -> Tensor:
        if "kernel1" not in sample:
            return given_input(sample, self.opt)
        batch = {name: value[None] for name, value in sample.items() if isinstance(value, Tensor)}
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            if devices:
                torch.cuda.manual_seed(torch.initial_seed())
            return degradation(self.opt, self.device, is_gan=self.is_gan, pooled=False)(batch)[1]

    def save_training_state(self, epoch: int, current_iter: int) -> None:
        """As `WholeCheckpoints`, with the pools of all processes."""
        if current_iter != -1:
            self.further_state = {POOLS: gather(self.degradation.pool())}
        super().save_training_state(epoch, current_iter)

    def resume_training(self, resume_state: dict) -> None:
        """Takes the pool up as well, if it is of as many processes and of the same sizes; else it fills anew."""
        super().resume_training(resume_state)
        pools = resume_state.get(POOLS, [])
        rank, processes = self.opt.get("rank", 0), self.opt.get("world_size", 1)
        batch = self.opt["datasets"]["train"]["batch_size_per_gpu"]
        if len(pools) != processes or not self.degradation.set_pool(pools[rank], batch):
            logger.warning(
                "The training state has no pool of pairs for these processes, sizes and batches: it fills anew, and the run is "
                "not the one that was interrupted."
            )
