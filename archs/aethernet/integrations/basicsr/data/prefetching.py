"""BasicSR's prefetching thread (`prefetch_mode: cpu`): what it raises ends the run, which would wait for it for ever."""

from dataclasses import dataclass
from typing import Any

from basicsr.data.prefetch_dataloader import PrefetchGenerator


@dataclass(frozen=True)
class Failure:
    """In the place of an item."""

    error: BaseException


class TellingGenerator(PrefetchGenerator):
    """Raises in who takes items what was raised in the thread that makes them."""

    def run(self) -> None:
        try:
            for item in self.generator:
                self.queue.put(item)
        except BaseException as error:
            self.queue.put(Failure(error))
        self.queue.put(None)

    def __next__(self) -> Any:
        item = super().__next__()
        if isinstance(item, Failure):
            raise item.error
        return item
