"""The errors a user can act on; the command line prints their text alone and exits with 1.

AetherError
├── UsageError                arguments that are wrong, or do not fit together
├── OptionError               an option file or a recipe
├── ConfigError               a network that cannot be built as it is described
├── StageError                a step of a network's life in the wrong order
├── CheckpointError           a file of weights, or an ONNX file
│   └── ForeignWeightsError
├── ExportError               a network that a kind of file cannot hold
├── DataError                 a picture, a folder of them, or a file of results
├── OutputError               a place where nothing can be written
├── EnvironmentProblem        what the machine lacks
│   ├── MissingDependencyError
│   ├── MissingDeviceError
│   └── LackOfMemory
├── EngineError               a runtime that broke off while it computed
│   ├── EngineOutOfMemory
│   └── UnusableOutputError
├── RegistrationError         a name that somebody else's class has
├── ProcessError              a command that was started and failed
└── NonFiniteLossError        a training that diverges
"""


class AetherError(Exception):
    """Base of all errors that this package raises for a wrong input, file or environment.

    The message says what was given, what is allowed and what to do.
    """


class UsageError(AetherError, ValueError):
    """An argument of a function or an option of a command that is wrong, or that does not fit the others."""


class OptionError(AetherError, ValueError):
    """An option file or a recipe that would train something else than its author means."""


class ConfigError(AetherError, ValueError):
    """A network, or its placement on int8 grids, that cannot be built as it is described."""


class StageError(AetherError, RuntimeError):
    """A step of a network's life in the wrong order, or weights of one stage where those of another are needed."""


class CheckpointError(AetherError, RuntimeError):
    """A file of weights or an ONNX file that cannot be read or run, or that belongs to another network."""


class ForeignWeightsError(CheckpointError):
    """A sound file that holds something else than weights of an AetherNet, perhaps those of another network."""


class ExportError(AetherError, RuntimeError):
    """A network that cannot be written in this precision, this operator set, or as ONNX at all."""


class DataError(AetherError, ValueError):
    """A picture, a folder of pictures or a file of results that cannot be used."""


class OutputError(AetherError, RuntimeError):
    """A place where nothing can be written, because it is taken, not writable, or of an ending that nothing is written as."""


class EnvironmentProblem(AetherError, RuntimeError):
    """Something that this machine or environment lacks."""


class MissingDependencyError(EnvironmentProblem):
    """A package or a program that is missing, broken or too old."""


class MissingDeviceError(EnvironmentProblem):
    """A device that is not there, or that this build of PyTorch cannot use."""


class LackOfMemory(EnvironmentProblem, MemoryError):
    """Too little memory to read a picture, which may be sound."""


class EngineError(AetherError, RuntimeError):
    """A runtime that broke off while it computed."""


class EngineOutOfMemory(EngineError):
    """A runtime that broke off for lack of memory: smaller pictures or tiles may pass."""


class UnusableOutputError(EngineError):
    """A model that gave what are no numbers, or black for a picture that is not."""


class RegistrationError(AetherError, RuntimeError):
    """Somebody else's class has a name that this package registers its own by."""


class ProcessError(AetherError, RuntimeError):
    """A command in a process of its own that failed; the message has its last lines where there are any."""


class NonFiniteLossError(AetherError, ArithmeticError):
    """Training produced losses or gradients that are not finite, too often in a row to go on."""


def one_line(error: BaseException) -> str:
    """The text of another library's error in one line of at most 200 characters, or its type where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
