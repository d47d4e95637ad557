"""What a check of the doctor finds."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One finding. `error` is what training cannot do without; `remedy` is empty where nothing is to be done."""

    name: str
    status: Literal["ok", "warning", "error"]
    found: str
    remedy: str = ""
