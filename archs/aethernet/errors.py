"""The errors a user can act on; the command line prints their text alone and exits with 1."""


class AetherError(Exception):
    """Base of all errors that this package raises for a wrong input, file or environment.

    The message says what was given, what is allowed and what to do.
    """


class ConfigError(AetherError, ValueError):
    """A network argument that no AetherNet can be built from."""


class StageError(AetherError, RuntimeError):
    """A lifecycle step in the wrong order, or weights of a later stage for an earlier one."""


class CheckpointError(AetherError, RuntimeError):
    """A weights file that cannot be read, or that belongs to another network."""


class ForeignWeightsError(CheckpointError):
    """A sound file that holds something else than weights of an AetherNet, perhaps those of another network."""


class DataError(AetherError, ValueError):
    """A picture, folder or data set that cannot be used."""


class OptionError(AetherError, ValueError):
    """An option file that would train something else than its author means."""


class EnvironmentProblem(AetherError, RuntimeError):
    """Something the machine lacks: a package, a compiled part, a device."""


class EngineError(AetherError, RuntimeError):
    """A runtime that broke off while it computed."""


class EngineOutOfMemory(EngineError):
    """A runtime that broke off for lack of memory: smaller pictures or tiles may pass."""
