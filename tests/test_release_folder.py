"""The folder of a bundle: replaced as a whole, or left as it was, whatever happens in between."""

import json
import os

import pytest

from aethernet.errors import OutputError
from aethernet.release import folder as places


def bundle(folder, mark: str, passed: bool = True):
    """A folder as a release leaves it, with one file."""
    folder.mkdir(parents=True)
    (folder / "net.onnx").write_text(mark)
    (folder / places.CARD).write_text(f"card of {mark}")
    (folder / places.REPORT).write_text(
        json.dumps({"kind": "release", "passed": passed, "files": [{"file": "net.onnx"}]})
    )
    places.write_sums(folder)
    return folder


def mark(folder) -> str:
    return (folder / "net.onnx").read_text()


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_bundle_is_replaced_as_a_whole(tmp_path):
    out = bundle(tmp_path / "out", "old")
    with places.built_beside(out) as folder:
        bundle(folder / "new", "new")
        places.put_in_place(folder / "new", out)
    assert mark(out) == "new"
    assert names(tmp_path) == ["out"]


def test_an_empty_folder_and_none_are_replaceable(tmp_path):
    places.check_replaceable(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    places.check_replaceable(tmp_path / "empty")
    places.put_in_place(bundle(tmp_path / "new", "new"), tmp_path / "empty")
    assert mark(tmp_path / "empty") == "new"


@pytest.mark.parametrize("step", [0, 1])
def test_an_interrupt_between_the_renames_puts_the_old_bundle_back(tmp_path, monkeypatch, step):
    out, new = bundle(tmp_path / "out", "old"), bundle(tmp_path / "new", "new")
    real, calls = os.replace, []

    def replace(source, target):
        calls.append((source, target))
        if len(calls) == step + 1:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        places.put_in_place(new, out)
    assert mark(out) == "old"


def test_a_kill_between_the_renames_is_mended_by_the_next_run(tmp_path):
    out = bundle(tmp_path / "out", "old")
    out.rename(tmp_path / ".out.0123456789ab.old")
    with places.built_beside(out):
        assert mark(out) == "old"


def test_other_peoples_folders_are_never_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("mine")
    with pytest.raises(OutputError, match="no bundle of `aethernet release`"):
        places.check_replaceable(tmp_path / "photos")
    (tmp_path / "photos" / "report.json").write_text('{"kind": "speed"}')
    with pytest.raises(OutputError, match="no bundle of `aethernet release`"):
        places.check_replaceable(tmp_path / "photos")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="not a folder of its own"):
        places.check_replaceable(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    with pytest.raises(OutputError, match="not a folder of its own"):
        places.check_replaceable(tmp_path / "link")


def test_what_a_user_put_into_a_bundle_is_never_replaced(tmp_path):
    out = bundle(tmp_path / "out", "old")
    places.check_replaceable(out)
    (out / places.CARD).write_text("a card with my own words")
    with pytest.raises(OutputError, match=r"README\.md was changed since it was written"):
        places.check_replaceable(out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds notes\.txt, which no release wrote"):
        places.check_replaceable(out)
    places.remove_bundle(out)
    assert mark(out) == "old"
