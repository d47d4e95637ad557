"""`aethernet serve` as processes: killed in any of its parts it leaves no file, and goes on where it can; 50 uploads at once."""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from helpers.training import environment, run_aethernet
from helpers.upscaling import write_network

pytest.importorskip("uvicorn", reason="the extra web is not installed")
httpx = pytest.importorskip("httpx", reason="the client of the tests is not installed")

from helpers.serving import picture  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at by /proc"),
]
SERVING = Path(__file__).parents[1] / "docs" / "serving.py"
PATIENCE = 120.0
FLAT = 12.0
"""Megabytes that memory may differ by between rounds of uploads: what allocators keep for the threads of a round."""


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SERVING))


@pytest.fixture
def served(script, tmp_path, monkeypatch):
    """A service with its port, its process, and its folder below `tmp_path`."""
    model = write_network(tmp_path / "net.safetensors")
    (tmp_path / "tmp").mkdir()
    for name, value in environment(TMPDIR=str(tmp_path / "tmp")).items():
        monkeypatch.setenv(name, value)
    with script["served"]("--models", str(model), "--engine", "torch") as (port, process):
        yield f"http://127.0.0.1:{port}", process, tmp_path / "tmp"


def computing(process: int) -> int:
    """The process that computes: the largest one below."""
    children = runpy.run_path(str(SERVING))["children"](process)
    return max(map(int, children), key=lambda number: int(Path(f"/proc/{number}/statm").read_text().split()[1]))


def until(condition, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def create(address: str, data: bytes) -> dict:
    return httpx.post(
        f"{address}/api/jobs", content=data, headers={"content-type": "image/png"}, timeout=PATIENCE
    ).json()


def test_a_process_that_is_killed_while_it_computes_costs_one_picture(served):
    address, process, folder = served
    heavy, light = create(address, picture((2500, 2500), "BMP")), create(address, picture())
    state = lambda job: httpx.get(f"{address}/api/jobs/{job['id']}").json()  # noqa: E731
    until(lambda: state(heavy)["state"] == "running", "it is computed")
    os.kill(computing(process), signal.SIGKILL)
    until(lambda: state(light)["state"] == "done", "the next one is done")
    assert state(heavy)["status"] == 500 and "by signal 9" in state(heavy)["error"]
    os.kill(computing(process), signal.SIGKILL)  # while it has nothing to do
    time.sleep(0.5)
    later = create(address, picture())
    until(lambda: state(later)["state"] == "done", "one after that as well")
    assert len(list(folder.glob("*/*"))) == 2


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_no_file_and_no_process_is_left(served, how):
    address, process, folder = served
    create(address, picture((2500, 2500), "BMP"))
    create(address, picture())
    (below,) = folder.glob("aethernet-serve-*")
    until(lambda: len(list(below.iterdir())) == 2, "both are there")
    worker = computing(process)
    os.kill(process, how)
    until(lambda: not below.exists(), "its folder is gone")
    until(lambda: not Path(f"/proc/{worker}").exists() or "Z" in Path(f"/proc/{worker}/stat").read_text().split()[2], "and the process")  # fmt: skip


def test_who_hangs_up_cancels(served):
    address, _, folder = served
    waiting = threading.Event()

    def impatient() -> None:
        with pytest.raises(httpx.TimeoutException):
            httpx.post(f"{address}/api/upscale", content=picture((3000, 3000), "BMP"), headers={"content-type": "image/bmp"}, timeout=1.0)  # fmt: skip
        waiting.set()

    threading.Thread(target=impatient, daemon=True).start()
    assert waiting.wait(PATIENCE)
    until(lambda: not list(folder.glob("*/*")), "nothing is left of it")
    with httpx.stream("POST", f"{address}/api/upscale", content=picture((800, 800)), headers={"content-type": "image/png"}, timeout=PATIENCE) as answer:  # fmt: skip
        assert answer.status_code == 200 and next(answer.iter_raw(1000))
    until(lambda: not list(folder.glob("*/*")), "nor of who hung up while the result came")
    assert httpx.post(f"{address}/api/upscale", content=picture(), headers={"content-type": "image/png"}, timeout=PATIENCE).status_code == 200  # fmt: skip


def test_50_uploads_at_once_neither_fail_nor_grow_memory(served, script):
    address, process, folder = served
    port = int(address.rpartition(":")[2])
    sizes = []
    for number in range(6):
        assert script["uploads"](port, 50, picture((150, 100), seed=number), "net.safetensors") == 50
        sizes.append(script["memory"](process))
    until(lambda: not list(folder.glob("*/*")), "the last result is deleted, after its last byte")
    for before, after in zip(sizes[1], sizes[-1], strict=True):  # the first round loads and makes what stays
        assert after - before < FLAT, sizes


def test_the_page_is_there_at_once(served, script):
    """A figure stands in docs/serve.md; here, that it needs no second on a busy machine."""
    port = int(served[0].rpartition(":")[2])
    assert sorted(script["first_bytes"](port, 21))[10] < 1000


def test_the_page_is_small(served, script):
    sizes = [len(httpx.get(served[0] + path).content) for path in script["PAGE"]]
    assert sum(sizes) < 60_000


def test_a_start_that_fails_is_told(tmp_path):
    for model, text in (("nosuch.pth", "nosuch.pth"), ("aether_medium_x4", "has random weights")):
        done = run_aethernet("serve", "--port", "0", "--models", model, cwd=tmp_path, check=False, env=environment())
        assert done.returncode == 1 and done.stderr.startswith("aethernet serve: error: ") and text in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("early", [False, True])
def test_ctrl_c_is_no_failure(tmp_path, early):
    """A terminal sends it to all processes, also to one that is just being started."""
    command = [sys.executable, "-m", "aethernet", "serve", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip
    assert process.stderr is not None
    if early:
        until(lambda: len(runpy.run_path(str(SERVING))["children"](process.pid)) == 2, "both are there")
    else:
        assert "open http://127.0.0.1:" in process.stderr.readline()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    assert "Traceback" not in process.stderr.read()
