"""Damaged pictures in the data sets of an option file: named, left out, and counted.

BasicSR's data sets end a run with `AttributeError: 'NoneType' object ...`, without the name of a file, at the first
picture that OpenCV does not decode. Worker processes that are started afresh import this module, so it imports no BasicSR.
"""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, default_collate

from aethernet.data.damaged import MOST_DAMAGED, Damaged
from aethernet.errors import DataError
from aethernet.wording import how_many

logger = logging.getLogger("basicsr")  # BasicSR's own, which writes the log file of the run

OPTION = "max_damaged in its section"


def most_damaged(section: Mapping[str, Any]) -> int:
    """How many pictures of a data set may be damaged, by its section; `~` is the default."""
    most = section.get("max_damaged")
    return MOST_DAMAGED if most is None else most


def damaged_file(dataset: Any, index: int) -> tuple[str, str] | None:
    """The file of an item that cannot be read or decoded, and the reason; None if all of its files can."""
    from aethernet.data.opencv import opencv

    cv2 = opencv("training")
    import numpy as np

    paths = getattr(dataset, "paths", None)
    if paths is None:
        return None
    client, entry = _client(dataset), paths[index]
    if client is None:
        return None
    if not isinstance(entry, dict):  # a set of one folder; an LMDB's client wants the name that the set gave it
        entry = {(getattr(dataset, "io_backend_opt", {}).get("client_keys") or ["lq"])[0]: entry}
    named = {key.removesuffix("_path"): path for key, path in entry.items()}
    for key, path in named.items():
        try:
            content = client.get(path, key)
        except MemoryError:
            raise
        except Exception as error:  # whatever the disk or the LMDB says
            return path, f"cannot be read ({type(error).__name__}: {error})"
        if content is None:
            return path, "is not in the LMDB"
        if not content:
            return path, "is empty"
        if cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is None:
            return path, "cannot be decoded"
    return None


def _client(dataset: Any) -> Any:
    """What the data set reads with; its workers have one each, the main process perhaps none."""
    if (client := getattr(dataset, "file_client", None)) is not None:
        return client
    from basicsr.utils import FileClient

    how = dict(getattr(dataset, "io_backend_opt", {}))
    kind = how.pop("type", None)  # BasicSR takes it out when it begins to read
    return None if kind is None else FileClient(kind, **how)


class SharedDamage:
    """Which pictures of a training set are damaged, known to all of its workers.

    Args:
        count: pictures of the set.
        most: that may be.
    """

    def __init__(self, count: int, most: int = MOST_DAMAGED) -> None:
        self.flags = torch.zeros(count, dtype=torch.uint8).share_memory_()
        self.most = most
        self._told: set[int] = set()
        self._damaged = Damaged(most, "the training", OPTION, logger)

    def new(self) -> list[int]:
        """Those that were found since the last call."""
        found = set(self.flags.nonzero().flatten().tolist()) - self._told
        self._told |= found
        return sorted(found)

    def require_few(self, dataset: Any) -> None:
        """Names those that are new in the log.

        Raises:
            DataError: more than are allowed.
        """
        if new := self.new():
            files = [damaged_file(dataset, index) or (f"picture {index}", "cannot be decoded") for index in new]
            self._damaged.leave_out(files)


class SoundPictures(Dataset):
    """A set to validate or test with; an empty dict stands in the place of a damaged picture (None is the end for BasicSR's
    prefetching thread).

    Args:
        section: of the option file.
    """

    def __init__(self, dataset: Any, section: Mapping[str, Any]) -> None:
        self.dataset = dataset
        # A set that is read as a whole, like AetherMemoryDataset, has counted its own.
        found = getattr(dataset, "damaged", None)
        if not isinstance(found, Damaged):
            found = Damaged(most_damaged(section), f"the figures of {self.opt['name']}", OPTION, logger)
        self.damaged: Damaged = found
        self._found: dict[int, tuple[str, str]] = {}
        self.total = len(dataset) + len(self.damaged)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if index in self._found:
            return {}
        try:
            return self.dataset[index]
        except Exception:
            found = damaged_file(self.dataset, index)
            if found is None:
                raise
        self._found[index] = found
        return {}

    def require_few(self) -> None:
        """Counts what was found, and names it in the log; raises `DataError` where that is more than is allowed."""
        self.damaged.leave_out(list(self._found.values()))

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # while it is copied
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def sound(self) -> int:
        """Pictures without those that were found damaged by now."""
        return self.total - len(self.damaged)

    def statement(self) -> str:
        """What is to be said at its figures; empty if they are of all pictures."""
        if not len(self.damaged):
            return ""
        files = "; ".join(f"{path} {problem}" for path, problem in self.damaged.found.items())
        return (
            f"{self.opt['name']}: the figures are of {self.sound} of {how_many(self.total, 'picture')}; damaged and left "
            f"out: {files}"
        )


class SoundBatches:
    """A loader of `SoundPictures`, one in a batch, without those that are damaged."""

    def __init__(self, loader: DataLoader) -> None:
        loader.collate_fn = _collated
        self.loader = loader
        self.dataset: SoundPictures = loader.dataset  # type: ignore[assignment]

    def __len__(self) -> int:
        return self.dataset.sound

    def __iter__(self) -> Iterator[Any]:
        empty = True
        for batch in self.loader:
            self.dataset.require_few()
            if batch:
                empty = False
                yield batch
        if empty:
            raise DataError(f"{self.dataset.opt['name']}: every picture is damaged, so nothing can be measured on it")


def _collated(samples: list) -> Any:
    return default_collate(samples) if samples[0] else {}
