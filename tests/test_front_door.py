"""The front door: every public name says what it takes and gives, and its example runs as it stands."""

import doctest
import inspect

import pytest

import aether_arch
import aethernet

pytest.importorskip("onnx", reason="the examples write ONNX files")

NAMES = {
    name: value
    for module in (aether_arch, aethernet)
    for name, value in ((name, getattr(module, name)) for name in module.__all__)
    if callable(value)
}
DATA = {"AetherError", "Checkpoint"}
"""What is caught or returned, not called."""
STEPS = ("from_state_dict", "fuse_model", "prepare_qat", "convert_to_quantized")
PUBLIC = {"aether_arch": aether_arch, **NAMES} | {
    f"AetherNet.{step}": getattr(aethernet.AetherNet, step) for step in STEPS
}


@pytest.mark.parametrize("name", sorted(PUBLIC.keys() - DATA))
def test_the_example_of_a_public_name_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = inspect.getdoc(PUBLIC[name]) or ""
    example = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
    assert example.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    report: list[str] = []
    runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)
