"""Whose turn it is: clients one after the other, each client's pictures in their order."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Items of clients; taking one puts its client behind the others, so that no crowd of one client delays another's."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def count(self, client: str) -> int:
        return len(self._lines.get(client, ()))

    def add(self, client: str, item: T) -> None:
        self._lines.setdefault(client, deque()).append(item)

    def take(self) -> T:
        """Raises `IndexError` where nobody waits."""
        if not self._lines:
            raise IndexError("nobody waits")
        client, line = next(iter(self._lines.items()))
        item = line.popleft()
        if line:
            self._lines.move_to_end(client)
        else:
            del self._lines[client]
        return item

    def take_first(self, fits: Callable[[T], bool]) -> T | None:
        """As `take`, of the first client whose next item fits; None where there is none."""
        for client, line in self._lines.items():
            if fits(line[0]):
                self._lines.move_to_end(client, last=False)
                return self.take()
        return None

    def put_back(self, client: str, item: T) -> None:
        """Of one that was taken: it is the next."""
        self._lines.setdefault(client, deque()).appendleft(item)
        self._lines.move_to_end(client, last=False)

    def remove(self, client: str, item: T) -> bool:
        """Whether it waited."""
        line = self._lines.get(client)
        if line is None or item not in line:
            return False
        line.remove(item)
        if not line:
            del self._lines[client]
        return True

    def ahead(self, client: str, item: T) -> int:
        """How many are taken before it, if nobody else comes; raises `ValueError` where it does not wait."""
        place = self._lines[client].index(item) if client in self._lines else -1
        if place < 0:
            raise ValueError("it does not wait")
        before, found = place, False
        for other, line in self._lines.items():
            if other == client:
                found = True
            else:
                before += min(len(line), place + (not found))
        return before
