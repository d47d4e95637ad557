"""How long work tells how far it is."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called after each step with the steps done, all steps, and what was done last."""
