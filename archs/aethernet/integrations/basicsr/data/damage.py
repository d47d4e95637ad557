"""Damaged pictures in a training set: named, left out, and counted.

BasicSR's data sets end a training with `AttributeError: 'NoneType' object ...`, without the name of a file, at the first
picture that OpenCV does not decode. Worker processes that are started afresh import this module, so it imports no BasicSR.
"""

from typing import Any

import torch

from aethernet.errors import DataError

MOST_DAMAGED = 10
"""Damaged pictures of a training set that are left out; one more ends the training. `max_damaged` in its section."""


def damaged_file(dataset: Any, index: int) -> str | None:
    """The file of an item that cannot be read or decoded, with the reason; None if all of its files can."""
    from aethernet.data.opencv import opencv

    cv2 = opencv("training")
    import numpy as np

    paths = getattr(dataset, "paths", None)
    if paths is None:
        return None
    client, entry = _client(dataset), paths[index]
    if client is None:
        return None
    named = (
        {key.removesuffix("_path"): path for key, path in entry.items()} if isinstance(entry, dict) else {"lq": entry}
    )
    for key, path in named.items():
        try:
            content = client.get(path, key)
        except Exception as error:  # whatever the disk or the LMDB says
            return f"{path} cannot be read ({type(error).__name__}: {error})"
        if content is None:
            return f"{path} is not in the LMDB"
        if not content:
            return f"{path} is empty"
        if cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) is None:
            return f"{path} cannot be decoded"
    return None


def _client(dataset: Any) -> Any:
    """What the data set reads with; its workers have one each, the main process perhaps none."""
    if dataset.file_client is not None:
        return dataset.file_client
    from basicsr.utils import FileClient

    how = dict(dataset.io_backend_opt)
    kind = how.pop("type", None)  # BasicSR takes it out when it begins to read
    return None if kind is None else FileClient(kind, **how)


class Damaged:
    """Which pictures of a set are damaged, known to all of its workers.

    Args:
        count: pictures of the set.
        most: that may be.
    """

    def __init__(self, count: int, most: int) -> None:
        self.flags = torch.zeros(count, dtype=torch.uint8).share_memory_()
        self.most = most
        self._told: set[int] = set()

    def new(self) -> list[int]:
        """Those that were found since the last call."""
        found = set(self.flags.nonzero().flatten().tolist()) - self._told
        self._told |= found
        return sorted(found)

    def require_few(self, dataset: Any, log) -> None:
        """Names those that are new in the log.

        Raises:
            DataError: more than are allowed.
        """
        for index in self.new():
            log.warning("%s, and is left out of the training", damaged_file(dataset, index) or f"picture {index}")
        if len(self._told) > self.most:
            files = [damaged_file(dataset, index) or str(index) for index in sorted(self._told)[:3]]
            raise DataError(
                f"{len(self._told)} pictures of the training set are damaged, more than the {self.most} that max_damaged "
                f"in its section allows: {'; '.join(files)}, ...: replace or remove them"
            )
