"""The networks that a service offers, opened when they are first wanted."""

import re

from aethernet.checkpoint import pretrained
from aethernet.data.picture.header import Header
from aethernet.errors import UsageError
from aethernet.runtimes.models import Model, resolve_model
from aethernet.upscale.known import by_model, find_model
from aethernet.upscale.serve.messages import Network
from aethernet.upscale.serve.settings import Settings
from aethernet.upscale.upscaler import Upscaler

PACKAGED = re.compile(r".+_x(\d+)(_photo)?(_int8)?")
"""Names of packaged weights; the plain graphs (`_fused`) are the same networks again."""


class Networks:
    """Those of the settings, or of the package.

    Attributes:
        offered: in the order in which they are to be shown.

    Raises:
        AetherError: a model that is none, or has no trained weights.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._given: dict[str, Model] = {}
        self._open: dict[str, Upscaler] = {}
        for spec in settings.models:
            model = find_model(spec, None)
            if model.label in self._given:
                raise UsageError(f"--models names two networks that are called {model.label}: rename one of the files")
            self._given[model.label] = model
        self.offered = self._of_settings() if self._given else _packaged()

    def _of_settings(self) -> tuple[Network, ...]:
        return tuple(Network(name, model.scale) for name, model in self._given.items())

    def upscaler(self, name: str | None, scale: int, header: Header | None) -> Upscaler:
        """The one of a name that is offered; for None the best of a scale for a picture with this header."""
        if name is None and not self._given:
            ((model, _),) = by_model(find_model(None, scale), [header], chosen=False)
        elif name is None:
            model = next(model for model in self._given.values() if model.scale == scale)
        else:
            model = self._given[name] if self._given else resolve_model(name)
        if model.label not in self._open:
            given = self._settings
            self._open[model.label] = Upscaler(
                model, given.engine, device=given.device, precision=given.precision, threads=given.threads, memory=given.memory
            )  # fmt: skip
        return self._open[model.label]


def _packaged() -> tuple[Network, ...]:
    found = [(name, match) for name in pretrained.available() if (match := PACKAGED.fullmatch(name))]
    return tuple(Network(name, int(match[1]), bool(match[2]), bool(match[3])) for name, match in found)
