"""OpenCV, imported where it is used: four packages bring it, into one folder, and some load only with a system library."""

import importlib
from types import ModuleType

from aethernet.errors import MissingDependencyError

BUILDS = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
"""Where two are installed, each has overwritten files of the other, and removing one breaks the rest."""

REINSTALL = f"pip uninstall -y {' '.join(BUILDS)}; pip install opencv-python-headless"
"""The headless build does all that is done here, and needs no libGL, which servers lack."""


def opencv(purpose: str) -> ModuleType:
    """The module `cv2`; raises `MissingDependencyError` with the command that mends it where it does not load."""
    try:
        cv2 = importlib.import_module("cv2")
        if not hasattr(cv2, "imdecode"):  # what is left of one build when another was removed: an empty folder
            raise ImportError("its files are incomplete")
    except ImportError as error:
        raise MissingDependencyError(f"{purpose} needs OpenCV, which does not load ({error}): {REINSTALL}") from error
    return cv2
