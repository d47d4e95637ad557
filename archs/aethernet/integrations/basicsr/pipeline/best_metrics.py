"""The best figure of each metric over a whole run, which BasicSR forgets when a run is resumed.

It is kept beside the checkpoints, since a training state is written before the validation of its iteration.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from basicsr.models.base_model import BaseModel

from aethernet.files import write_text
from aethernet.integrations.basicsr.pipeline.distributed import get_dist_info

FILE = "best_metrics.json"


class BestMetrics:
    """Of one run: data set -> metric -> `val` and `iter`, as BasicSR's models hold them."""

    def __init__(self) -> None:
        self._path: Path | None = None

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
        wanted = (opt.get("val") or {}).get("metrics") or {}
        model.best_metric_results = {
            name: metrics
            for name, metrics in content.items()
            if metrics.keys() == wanted.keys() and all(best["iter"] <= start_iter for best in metrics.values())
        }

    def note(self, model: BaseModel) -> None:
        """Writes what a validation has found."""
        best = getattr(model, "best_metric_results", None)
        if best and self._path is not None and get_dist_info()[0] == 0:
            write_text(self._path, json.dumps(best, indent=1))
