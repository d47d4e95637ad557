"""The hook for fusion and quantisation, beside `aether_arch.py`: what an unmodified training tree needs besides networks.

As a script it is five commands of `aethernet`, for a tree whose Python has no such command on its path:

    python archs/aether_hook.py install --into BasicSR                       # once
    python archs/aether_hook.py calibrate FLOAT.pth --data DIR -o QAT.pth    # ranges, for `stage: qat`
    python archs/aether_hook.py convert TRAINED.pth -o INT8.safetensors      # qat -> int8
    python archs/aether_hook.py export TRAINED.pth -o files                  # ONNX; `fuse` writes the plain float network

As an import it is what the files of `install` call: `register` and `give_way`.

Unmodified trainers need nothing else, since a network's stage is an argument, `network_g: stage`:

- `train` (default): the branches.
- `fused`: the plain graph. Weights of `train` are fused as they load.
- `qat`: fused and fake-quantised, to be trained. Takes what `calibrate` wrote, or what a run of this stage saved; float weights
  load, too, and the first step then says that their ranges are missing.
- `int8`: integers, for inference. Takes what `convert` wrote; weights of `qat` are converted as they load.
"""

import importlib
import sys

COMMANDS = ("fuse", "calibrate", "convert", "export", "install")


def register(framework: str, kind: str = "archs") -> None:
    """Registers the networks into a framework that is being imported; into BasicSR the other kinds as well.

    Args:
        framework: the package's name: `basicsr`, `traiNNer` or `neosr`.
        kind: `archs`; for BasicSR also `models`, `datasets` and `resuming`.

    Raises:
        RegistrationError: somebody else's class has one of the names.
    """
    if framework == "basicsr":
        importlib.import_module("aethernet.integrations.basicsr.dropin").register(kind)
    else:
        importlib.import_module("aethernet.integrations.registry").register_architectures(framework)


def give_way(name: str, file: str) -> None:
    """Has an installed package imported, mended, where a file of its name stands first on the path: BasicSR beside Real-ESRGAN.

    Args:
        name: of the package.
        file: that stands in its way, and calls this.
    """
    importlib.import_module("aethernet.integrations.basicsr.dropin").give_way(name, file)


def main(argv: list[str] | None = None) -> int:
    """Runs one of `COMMANDS` as `aethernet` does, and returns its exit code."""
    from aethernet import cli

    return cli.main(argv, "aether_hook", COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
