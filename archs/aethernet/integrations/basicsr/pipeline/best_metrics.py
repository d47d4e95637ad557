"""The best figure of each metric over a whole run, which BasicSR forgets when a run is resumed.

It is kept beside the checkpoints, since a training state is written before the validation of its iteration.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from basicsr.models.base_model import BaseModel

from aethernet.files import write_text
from aethernet.integrations.basicsr.data.damage import SoundPictures
from aethernet.integrations.basicsr.pipeline.distributed import get_dist_info

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run

FILE = "best_metrics.json"
DAMAGED = "damaged pictures"
"""Entry of that file: the pictures that the figures leave out, by set."""


class BestMetrics:
    """Of one run: data set -> metric -> `val` and `iter`, as BasicSR's models hold them."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._damaged: dict[str, list[str]] = {}

    def restore(self, model: BaseModel, opt: Mapping, start_iter: int) -> None:
        """Gives a model the figures of the former part of its run; those of iterations that come again are left out."""
        root = opt["path"].get("experiments_root")
        self._path = Path(root) / FILE if root else None
        if not start_iter or self._path is None or not self._path.is_file():
            return
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError:  # written by hand; the next validation writes it anew
            return
        self._damaged = content.pop(DAMAGED, {})
        wanted = (opt.get("val") or {}).get("metrics") or {}
        model.best_metric_results = {
            name: metrics
            for name, metrics in content.items()
            if metrics.keys() == wanted.keys() and all(best["iter"] <= start_iter for best in metrics.values())
        }

    def note(self, model: BaseModel, dataset: SoundPictures, iteration: int) -> None:
        """Writes what a validation has found. Where other pictures are damaged than before, the best begin anew with it."""
        best = getattr(model, "best_metric_results", None)
        name, damaged = dataset.opt["name"], sorted(Path(path).name for path in dataset.damaged.found)
        if best and name in best and damaged != self._damaged.get(name, []):
            self._damaged[name] = damaged
            for metric, value in model.metric_results.items():
                if best[name][metric]["iter"] != iteration:
                    logger.warning("%s: other pictures are damaged than before: the best %s begins anew", name, metric)
                best[name][metric].update(val=value, iter=iteration)
        if best and self._path is not None and get_dist_info()[0] == 0:
            content = {**best, DAMAGED: self._damaged} if any(self._damaged.values()) else best
            write_text(self._path, json.dumps(content, indent=1))
