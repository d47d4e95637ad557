"""Files are written whole or not at all, into whatever a name stands for."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

import aethernet
from aethernet import aether_tiny, load_network, write_checkpoint
from aethernet.cli import main
from aethernet.errors import OutputError
from aethernet.files import atomic_path, check_writable, name_problem, real_path

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="links, pipes and devices as Linux has them")


def write(path, content=b"new"):
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


@LINUX
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_is_written_through(tmp_path, exists):
    target, link = tmp_path / "far" / "target.bin", tmp_path / "link.bin"
    target.parent.mkdir()
    if exists:
        target.write_bytes(b"old")
    link.symlink_to("far/target.bin")
    check_writable(link)
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["far", "link.bin", "target.bin"]


@LINUX
def test_a_pipe_gets_the_bytes_and_stays_a_pipe(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    check_writable(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write(pipe)
    reader.join(60)
    assert got == [b"new"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@LINUX
def test_links_in_a_circle_are_an_error_in_words(tmp_path):
    (tmp_path / "a.json").symlink_to("b.json")
    (tmp_path / "b.json").symlink_to("a.json")
    for write_to in (check_writable, write):
        with pytest.raises(OutputError, match=r"a\.json cannot be written: Too many levels of symbolic links"):
            write_to(tmp_path / "a.json")
    assert real_path(tmp_path / "a.json").parent == tmp_path.resolve()


@LINUX
@pytest.mark.parametrize("target", ["pipe", "file"])
def test_the_own_output_is_written_to_and_not_replaced(tmp_path, target):
    """`--json /dev/stdout > FILE`: a file in its place would lose what is printed later."""
    program = (
        "from aethernet.files import atomic_path, check_writable; from pathlib import Path; print('before')\n"
        "check_writable(Path('/dev/stdout'))\n"
        "with atomic_path('/dev/stdout') as path: path.write_text('records\\n')\n"
        "print('after')"
    )
    command, env = (
        [sys.executable, "-c", program],
        {**os.environ, "PYTHONPATH": str(Path(aethernet.__file__).parents[1])},
    )
    if target == "pipe":
        said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    else:
        with open(tmp_path / "out.txt", "w") as out:
            subprocess.run(command, env=env, stdout=out, check=True)
        said = (tmp_path / "out.txt").read_text()
    assert said == "before\nrecords\nafter\n"


@LINUX
def test_a_full_device_is_an_error_in_words_and_stays_a_device():
    with pytest.raises(OutputError, match=r"^/dev/full cannot be written: No space left on device: free some space"):
        write("/dev/full")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_keeps_the_old_file_and_names_the_new_one(tmp_path, number):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with pytest.raises(OutputError, match=rf"^{path} cannot be written: {os.strerror(number)}"), atomic_path(path):
        raise OSError(number, os.strerror(number))
    assert [each.name for each in tmp_path.iterdir()] == ["file.bin"]
    assert path.read_bytes() == b"old"


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in ("file/x.png", "file/deep/x.png"):
        assert name_problem(tmp_path / path) == f"{tmp_path / 'file'} is no folder: give another place"
        with pytest.raises(OutputError, match="a folder in its path is a file: give another place"):
            write(tmp_path / path)
    assert name_problem(tmp_path / "new" / "deep" / "x.png") == ""


def test_errors_of_other_files_pass(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "out" / "file.bin"):
        (tmp_path / "missing.bin").read_bytes()


@pytest.mark.parametrize("place", ["folder", "file/below.bin", "file/deep/below.bin", "n" * 300])
def test_places_that_take_no_file(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for attempt in (write, check_writable):
        with pytest.raises(OutputError, match=r"is a folder: give a file|cannot be written: .*: give another place"):
            attempt(tmp_path / place)


@LINUX
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_weights_on_a_disk_that_fills_up(tmp_path, ending):
    network = aether_tiny(scale=2)
    write_checkpoint(tmp_path / f"old{ending}", network)
    code = f"""
import resource, signal
from aethernet import load_network, write_checkpoint
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
network = load_network("old{ending}")
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
write_checkpoint("old{ending}", network)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert f"OutputError: old{ending} cannot be written: File too large: free some space" in run.stderr
    assert [each.name for each in tmp_path.iterdir()] == [f"old{ending}"]
    assert all(map(torch.equal, network.parameters(), load_network(tmp_path / f"old{ending}").parameters()))


@pytest.mark.parametrize(
    "command",
    [
        ["fuse", "aether_tiny_x2", "-o", "FILE/x.pth"],
        ["calibrate", "aether_tiny_x2", "--data", ".", "-o", "FILE/x.pth"],
        ["export", "aether_tiny_x2", "-o", "FILE/x"],
        ["release", "aether_tiny_x2", "--data", ".", "-o", "FILE/x"],
        ["card", "aether_tiny_x2", "--sets", ".", "--data-note", "none", "-o", "FILE/x"],
        ["bench", "quality", "aether_tiny_x2", "--sets", ".", "--json", "FILE/x.json"],
        ["bench", "quality", "aether_tiny_x2", "--sets", ".", "--json", "."],
        ["verify", "aether_tiny_x2", "--against", "aether_tiny_x2", "--data", ".", "--json", "FILE/x.json"],
        ["options", "tiny", "2", "train", "-o", "FILE/x.yml"],
        ["data", "embedded", "FILE/x"],
        ["install", "--into", "FILE/x"],
    ],
    ids=lambda command: "_".join(command[:2]),
)
def test_commands_say_at_once_that_their_output_cannot_be_written(tmp_path, monkeypatch, capsys, command):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert main([word.replace("FILE", "file") for word in command]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "file" in captured.err or "folder" in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
