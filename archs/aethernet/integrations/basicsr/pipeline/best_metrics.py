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
from aethernet.integrations.basicsr.pipeline.resumed_settings import PER_PROCESS

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run

NOT_PICTURES = ("name", "max_damaged", *PER_PROCESS)
"""Entries of a section that do not say which pictures are measured, nor how."""
FILE = "best_metrics.json"
MEASURED = "(measured)"
"""Entry of that file: what the figures of each set were measured on and with."""


class BestMetrics:
    """Of one run: data set -> metric -> `val` and `iter`, as BasicSR's models hold them.

    A figure of other pictures, or of a metric with other settings, is another figure: the best begin anew with it.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._measured: dict[
            str, dict
        ] = {}  # by set: `pictures` (its section), `metrics`, and names of those `damaged`

    def restore(self, model: BaseModel, opt: Mapping, start_iter: int) -> None:
        """Gives a model the figures of the former part of its run; those of iterations that come again are left out."""
        root = opt["path"].get("experiments_root")
        self._path = Path(root) / FILE if root else None
        metrics = (opt.get("val") or {}).get("metrics") or {}
        for section in opt.get("datasets", {}).values():
            if section.get("phase") == "val":
                pictures = {key: value for key, value in section.items() if key not in NOT_PICTURES}
                self._measured[section["name"]] = _as_read({"pictures": pictures, "metrics": metrics, "damaged": []})
        if not start_iter or self._path is None or not self._path.is_file():
            return
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError:  # written by hand; the next validation writes it anew
            return
        former = content.pop(MEASURED, {})
        model.best_metric_results = {}
        for name, best in content.items():
            if name not in self._measured:
                continue
            now, then = self._measured[name], {**self._measured[name], **former.get(name, {})}
            now["damaged"] = then["damaged"]
            kept = {
                metric: record
                for metric, record in best.items()
                if then["pictures"] == now["pictures"] and then["metrics"].get(metric) == now["metrics"].get(metric)
                and metric in metrics and record["iter"] <= start_iter
            }  # fmt: skip
            changed = [
                metric
                for metric in metrics
                if metric in best and metric not in kept and best[metric]["iter"] <= start_iter
            ]
            if changed:
                what = "pictures" if then["pictures"] != now["pictures"] else "settings of a metric"
                logger.warning("%s: other %s than before: the best %s begins anew", name, what, ", ".join(changed))
            if kept:
                model.best_metric_results[name] = {
                    metric: kept.get(metric) or _none_yet(options) for metric, options in metrics.items()
                }

    def note(self, model: BaseModel, dataset: SoundPictures, iteration: int) -> None:
        """Writes what a validation has found."""
        best = getattr(model, "best_metric_results", None)
        name, damaged = dataset.opt["name"], sorted(Path(path).name for path in dataset.damaged.found)
        measured = self._measured.setdefault(name, {"damaged": []})
        if best and name in best and damaged != measured["damaged"]:
            measured["damaged"] = damaged
            for metric, value in model.metric_results.items():
                if best[name][metric]["iter"] != iteration:
                    logger.warning("%s: other pictures are damaged than before: the best %s begins anew", name, metric)
                best[name][metric].update(val=value, iter=iteration)
        if best and self._path is not None and get_dist_info()[0] == 0:
            write_text(self._path, json.dumps({**best, MEASURED: self._measured}, indent=1))


def _none_yet(options: Mapping) -> dict:
    """What BasicSR begins with."""
    better = options.get("better", "higher")
    return {"better": better, "val": float("-inf" if better == "higher" else "inf"), "iter": -1}


def _as_read(content: dict) -> dict:
    """As it comes back from the file."""
    return json.loads(json.dumps(content, default=str))
