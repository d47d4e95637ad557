"""When the norm statistics of a network become fixed: setting it for a run, and saying so in the log."""

import dataclasses
import logging

from torch import nn

from aethernet.network.network import AetherNet
from aethernet.network.norms import DeploymentNorm

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run


class FreezeWatch:
    """Looks after the DeploymentNorms of one network during training.

    They count their iterations themselves (see `DeploymentNorm`), so that stock trainers freeze them as well.

    Args:
        network: without wrappers; it may have no such norm.
        total_iter: length of the training, to warn of statistics that would never be fixed in it.
    """

    def __init__(self, network: nn.Module, *, total_iter: int) -> None:
        self.norms = [module for module in network.modules() if isinstance(module, DeploymentNorm)]
        if not self.norms:
            return
        norm = self.norms[0]  # all count alike
        end = round(norm.iterations.item()) + total_iter
        if norm.freeze_iter is None or norm.freeze_iter >= end:
            logger.warning(
                f"The norm statistics are not frozen before the end of this training (norm_freeze_iter "
                f"{norm.freeze_iter}, total_iter {total_iter}): whole pictures have other statistics than patches. "
                f"About {max(1, round(0.3 * total_iter))} is a good norm_freeze_iter below network_g."
            )
        self.frozen = norm.frozen

    def look(self, current_iter: int) -> None:
        """Logs the iteration in which the statistics were frozen, once."""
        if self.norms and not self.frozen and self.norms[0].frozen:
            self.frozen = True
            logger.info(f"Iteration {current_iter}: the norm statistics are frozen from now on.")


def set_freeze_iter(network: nn.Module, freeze_iter: int) -> None:
    """Changes after how many iterations the norms of a network freeze, also in what it saves as its configuration."""
    for module in network.modules():
        if isinstance(module, DeploymentNorm):
            module.freeze_iter = freeze_iter
            module.frozen = round(module.iterations.item()) >= freeze_iter
        if isinstance(module, AetherNet):
            module.config = dataclasses.replace(module.config, norm_freeze_iter=freeze_iter)
