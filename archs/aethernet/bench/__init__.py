"""Quality and speed, measured as the field does. Functions return records and print nothing."""

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called after each step of a long measurement with the steps done, all steps, and what was done last."""
