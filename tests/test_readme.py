"""What README and docs/load.md tell people to type works: their Python, in a folder of its own, from a fresh start each."""

import re
from pathlib import Path

import pytest
import torch

from aethernet import load_network
from aethernet.integrations.basicsr import compat

compat.apply()
ROOT = Path(__file__).parents[1]
DOCUMENTS = (ROOT / "README.md", ROOT / "docs/load.md")
FENCE = re.compile(r"^## (?P<heading>[^\n]+)$|^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LOADING = "Load it anywhere"
NEEDS = ("torch", "spandrel", "onnxruntime", "openvino", "ncnn")
"""The package that each of the loading snippets is about, in their order."""


def snippets() -> dict[str, list[str]]:
    """The blocks of Python of both documents under the headings that they stand below."""
    found: dict[str, list[str]] = {}
    heading = ""
    for match in FENCE.finditer("".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)):
        if match["heading"]:
            heading = match["heading"]
        else:
            found.setdefault(heading, []).append(match["code"])
    return found


def run(code: str) -> dict:
    namespace: dict = {"__name__": "__main__"}
    exec(compile(code, "snippet", "exec"), namespace)
    return namespace


def test_every_way_is_there():
    assert list(snippets()) == ["In Python", "Weights in the box", LOADING]
    assert len(snippets()[LOADING]) == len(NEEDS)
    for name, code in zip(NEEDS, snippets()[LOADING], strict=True):
        assert re.search(rf"^(import|from) {name}\b", code, re.MULTILINE)


@pytest.mark.parametrize("index", range(len(NEEDS)), ids=NEEDS)
def test_loading(index, tmp_path, monkeypatch):
    """All of them upscale alike; 1e-4, a fortieth of a grey level in 8 bits, is what float32 runtimes may differ by."""
    pytest.importorskip(NEEDS[index])
    monkeypatch.chdir(tmp_path)
    namespace = run(snippets()[LOADING][index])
    picture, upscaled = torch.as_tensor(namespace["picture"]), torch.as_tensor(namespace["upscaled"])
    with torch.no_grad():
        expected = load_network("aether_tiny_x4")(picture).clamp(0, 1)
    assert upscaled.shape == (1, 3, 192, 256)
    assert (upscaled - expected).abs().max() <= 1e-4


def test_weights_in_the_box(capsys):
    (code,) = snippets()["Weights in the box"]
    network = run(code)["network"]
    assert network.config.variant == "tiny"
    assert "aether_tiny_x4" in capsys.readouterr().out


@pytest.mark.slow
def test_in_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = snippets()["In Python"]
    namespace = run(code)
    assert namespace["picture"].shape == (1, 3, 192, 256)
    assert (tmp_path / "aether_medium_x4_fp32.onnx").is_file()
