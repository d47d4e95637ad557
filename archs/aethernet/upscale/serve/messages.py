"""What the process that serves and the one that computes say to each other."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Network:
    """One to choose: its name, by how much it enlarges, and what it is for."""

    name: str
    scale: int
    photographs: bool = False
    int8: bool = False


@dataclass(frozen=True)
class Ready:
    """The first message of a process that can compute. `problem` says why it cannot, and ends it."""

    networks: tuple[Network, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Work:
    """A picture to enlarge. Both paths are the service's own.

    `network` is None for the best one; `scale` is then the one to take. `seconds` are what it may take, which who gives it
    watches; `pixels` are those of all frames that it may have: its header was believed so far.
    """

    id: str
    source: str
    target: str
    network: str | None
    scale: int
    format: str
    quality: int | None
    depth: int | Literal["same"]
    seconds: float
    pixels: int


@dataclass(frozen=True)
class Cancel:
    id: str


@dataclass(frozen=True)
class Step:
    """How far a picture is."""

    id: str
    done: int
    total: int
    what: str
    network: str


@dataclass(frozen=True)
class Outcome:
    """What became of a picture.

    `status` is the HTTP status of a failure; `text` the reason. `format` is a name of `FORMATS`; width and height are those of
    the result.
    """

    id: str
    state: Literal["done", "failed", "cancelled"]
    status: int = 200
    text: str = ""
    network: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    bytes: int = 0
    notes: tuple[str, ...] = ()
