"""Set-up shared by all tests: few threads, because tiny networks lose more to starting threads than they win."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")  # read when torch is imported, here and in child processes
os.environ.setdefault("MPLBACKEND", "Agg")
