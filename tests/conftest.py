"""Set-up shared by all tests: one thread a process, because tiny networks lose more to threads that wait for each other
than they win, and ten times their time where another program has one of the cores."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, here and in child processes
os.environ.setdefault("MPLBACKEND", "Agg")
