"""The training frameworks: where each keeps its networks, how its source tree is recognised, and what it gets of ours."""

from collections.abc import Mapping
from dataclasses import dataclass


def _register(package: str, *kinds: str) -> str:
    calls = "; ".join(f'aether_hook.register("{package}", "{kind}")' for kind in kinds or ("archs",))
    return f"import aether_hook; {calls}  # noqa"


@dataclass(frozen=True, kw_only=True)
class Framework:
    """A training framework.

    Attributes:
        package: what it is imported as.
        networks: our module whose `NETWORKS` are the factories as the framework calls them.
        registries: names in `PACKAGE.utils.registry` in which it looks for a network, in its order; ours go into the last.
        runs_alone: whether it can be imported outside its own programs.
        landmarks: files by which its source tree is recognised.
        files: what `aethernet install` writes: path in the tree -> the line that registers.
        start: the command that trains, run in the tree.
        advice: what to do if it does not import.
    """

    name: str
    package: str
    networks: str
    registries: tuple[str, ...] = ("ARCH_REGISTRY",)
    runs_alone: bool = True
    landmarks: tuple[str, ...]
    files: Mapping[str, str]
    start: str = "python train.py -opt FILE"
    advice: str = ": run this with the Python that has its requirements"


FRAMEWORKS = (
    Framework(
        name="BasicSR",
        package="basicsr",
        networks="aethernet.integrations.peer_arch",
        landmarks=(
            "basicsr/archs/__init__.py",
            "basicsr/models/__init__.py",
            "basicsr/data/__init__.py",
            "basicsr/train.py",
        ),
        files={
            # BasicSR imports what ends in _arch.py, _model.py and _dataset.py.
            "basicsr/archs/aethernet_arch.py": _register("basicsr", "archs"),
            "basicsr/models/aethernet_model.py": _register("basicsr", "models"),
            "basicsr/data/aethernet_dataset.py": _register("basicsr", "datasets"),
        },
        start="PYTHONPATH=. python basicsr/train.py -opt FILE",
        advice=": run `aethernet doctor`",
    ),
    # These two choose their model classes themselves: networks are all that can be added.
    Framework(
        name="traiNNer-redux",
        package="traiNNer",
        networks="aethernet.integrations.trainner",
        registries=("SPANDREL_REGISTRY", "ARCH_REGISTRY"),
        landmarks=("traiNNer/archs/__init__.py", "traiNNer/utils/registry.py", "train.py"),
        files={"traiNNer/archs/aethernet_arch.py": _register("traiNNer")},
    ),
    Framework(
        name="neosr",
        package="neosr",
        networks="aethernet.integrations.neosr",
        # Its modules parse the command line while they are imported, and end a process whose command line is another's.
        runs_alone=False,
        landmarks=("neosr/archs/__init__.py", "neosr/utils/registry.py", "train.py"),
        files={"neosr/archs/aethernet_arch.py": _register("neosr")},
    ),
)

REAL_ESRGAN = Framework(
    name="Real-ESRGAN",
    package="basicsr",  # which is installed beside it and has the registries
    networks="aethernet.integrations.peer_arch",
    landmarks=(
        "realesrgan/train.py",
        "realesrgan/archs/__init__.py",
        "realesrgan/models/__init__.py",
        "realesrgan/data/__init__.py",
    ),
    files={
        # train.py imports BasicSR before anything of its tree, and looks for modules in its own folder first. So this file
        # comes first, mends what keeps BasicSR from being imported, and gives way to it. Nothing outside the tree changes.
        "realesrgan/basicsr.py": "import aether_hook; aether_hook.give_way(__name__, __file__)  # noqa",
        "realesrgan/archs/aethernet_arch.py": _register("basicsr", "archs"),
        "realesrgan/models/aethernet_model.py": _register("basicsr", "models", "resuming"),
        "realesrgan/data/aethernet_dataset.py": _register("basicsr", "datasets"),
    },
    start="PYTHONPATH=. python realesrgan/train.py -opt FILE",
)

TREES = (*FRAMEWORKS, REAL_ESRGAN)
"""Whose source trees `aethernet install` knows."""
