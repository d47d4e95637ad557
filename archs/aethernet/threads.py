"""How many threads PyTorch computes with."""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def fixed_threads(threads: int | None) -> Iterator[None]:
    """Limits PyTorch to `threads` inside the block and restores its former number afterwards."""
    former = torch.get_num_threads()
    torch.set_num_threads(threads or former)
    try:
        yield
    finally:
        torch.set_num_threads(former)
