"""The whole life of a model on embedded pictures, through the same commands that a user types.

Data, training through BasicSR, resume, test, fine-tuning for int8, the release and the figures: everything is run by
`python -m aethernet ...` in a folder of its own, from this package's own option files with fewer iterations and smaller
patches.
"""

from aethernet.demo.life import DemoResult, run_demo

__all__ = ["DemoResult", "run_demo"]
