"""The trained weights that come with the package, found by name: `aether_tiny_x4`, `aether_tiny_x4_fused` and
`aether_tiny_x4_int8`.

Each network has two files in float, `NAME.safetensors` (training form) and `NAME_fused.safetensors` (plain graph), with
the model card `NAME.md`, and one on int8 grids, `NAME_int8.safetensors`, with a card of its own.
`aethernet card` writes them. `NAME_photo` is of the same kind, trained for photographs (`aethernet.data.photo`).
"""

from pathlib import Path

from aethernet.checks import near
from aethernet.errors import CheckpointError

FOLDER = Path(__file__).parents[1] / "weights"
SUFFIX = ".safetensors"
FUSED = "_fused"
"""What the name of a plain graph ends with."""
INT8 = "_int8"
"""What the name of an int8 network ends with."""
PHOTO = "_photo"
"""What follows the network's name where it was trained for photographs, with their noise and JPEG compression."""


def available() -> list[str]:
    """The names of all weights in the package, all forms, in alphabetical order."""
    return sorted(path.stem for path in FOLDER.glob(f"*{SUFFIX}"))


def path(name: str) -> Path:
    """The file of packaged weights; raises `CheckpointError` with near names for an unknown one."""
    names = available()
    if name in names:
        return FOLDER / f"{name}{SUFFIX}"
    raise CheckpointError(
        f"there are no packaged weights {name!r}; {hint(name)}. A file is given as a path with its ending"
    )


def hint(name: str) -> str:
    """Which packaged weights may be meant by a name that none has, and which there are."""
    names = available()
    closest = near(name, names, most=2)
    beginning = f"did you mean {' or '.join(closest)}? The" if closest else "the"
    return f"{beginning} package has {', '.join(names) or 'none in this installation'}"


def resolve(name_or_path: str | Path) -> Path:
    """The file that a text names: packaged weights come first, then files.

    Raises:
        CheckpointError: it looks like a name, and neither packaged weights nor a file are called so.
    """
    name, file = str(name_or_path), Path(name_or_path)
    is_path = bool(file.suffix) or len(file.parts) != 1 or file.exists()
    return file if is_path and name not in available() else path(name)
