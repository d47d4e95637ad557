"""Set-up shared by all tests: one thread a process, because tiny networks lose more to threads that wait for each other
than they win, and ten times their time where another program has one of the cores."""

import logging
import os
import signal
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported, here and in child processes
os.environ.setdefault("MPLBACKEND", "Agg")
# Jobs that a shell starts in the background ignore SIGINT, and so would the processes that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# OpenVINO's telemetry forks on import, to send data of use; as if it were missing, OpenVINO has a stub.
sys.modules.setdefault("openvino_telemetry", None)


@pytest.fixture
def log(caplog, monkeypatch):
    """The records of BasicSR's logger, which hands none on once something in this process has asked for it."""
    logger = logging.getLogger("basicsr")
    monkeypatch.setattr(logger, "propagate", False)
    level = logger.level
    logger.addHandler(caplog.handler)
    logger.setLevel(logging.INFO)
    yield caplog
    logger.setLevel(level)
    logger.removeHandler(caplog.handler)


@pytest.fixture
def bench(monkeypatch, capsys):
    """Runs `aethernet bench ...`; returns exit code, standard output and error."""
    from aethernet import cli

    monkeypatch.setattr(cli, "COMMANDS", ("bench",))

    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(["bench", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run
