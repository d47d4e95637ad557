"""Weights of the reference implementation are recognised by their names wherever weights are opened, and never accepted."""

import pytest
import torch

from aethernet import AetherNet, aether_small, cli, load_network
from aethernet.errors import ForeignWeightsError
from aethernet.network.reference import is_reference
from aethernet.network.variants import FACTORIES

KERNELS = {
    "unfused": {"stages.0.0.conv.lk_conv.weight": (8, 1, 13, 13), "stages.0.0.conv.sk_conv.weight": (8, 1, 5, 5)},
    "fused": {"stages.0.0.conv.fused_conv.weight": (8, 1, 13, 13), "stages.0.0.conv.fused_conv.bias": (8,)},
}
COMMON = {
    "mean": (1, 3, 1, 1),
    "conv_first.weight": (8, 3, 3, 3),
    "stages.0.0.norm.weight": (1, 8, 1, 1),
    "stages.0.0.ffn.temperature": (1,),
    "quant_fusion_layer.error_comp": (1, 8, 1, 1),
    "conv_last.weight": (3, 32, 3, 3),
}
SAYS = (
    r"reference implementation of AetherNet \(Hofmann's aether_arch, version 3\.1\.0\).*do not carry over: train anew"
)


def weights(form: str) -> dict[str, torch.Tensor]:
    shapes = {**COMMON, **KERNELS[form]}
    return {**{name: torch.zeros(shape) for name, shape in shapes.items()}, "model_version": torch.tensor([3, 1, 0])}


LAYOUTS = {
    "params": lambda state: {"params": state},
    "params-ema": lambda state: {"params-ema": {f"module.{name}": value for name, value in state.items()}},
    "bare": lambda state: state,
    "save_optimized": lambda state: {"state_dict": state, "metadata": {"scale": 2, "architecture": "aether_small"}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("form", KERNELS)
def test_a_file_is_named_for_what_it_is(layout, form, tmp_path):
    torch.save(LAYOUTS[layout](weights(form)), tmp_path / "reference.pth")
    with pytest.raises(ForeignWeightsError, match=SAYS):
        load_network(tmp_path / "reference.pth")


@pytest.mark.parametrize("command", ["fuse", "convert", "export", "calibrate --data x"])
def test_commands_say_it_in_one_line(command, tmp_path, capsys):
    torch.save(weights("fused"), tmp_path / "reference.pth")
    name, *options = command.split()
    assert cli.main([name, str(tmp_path / "reference.pth"), *options, "-o", str(tmp_path / "out.pth")]) == 1
    error = capsys.readouterr().err
    assert "weights of the reference implementation" in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("strict", [True, False])
def test_a_trainer_that_loads_them_is_stopped(strict):
    """Also where it takes what fits: unmodified trainers load through `load_state_dict` and `map_state_dict`."""
    network = aether_small(scale=2)
    with pytest.raises(ForeignWeightsError, match=SAYS):
        network.load_state_dict(weights("unfused"), strict=strict)
    with pytest.raises(ForeignWeightsError, match=SAYS):
        network.map_state_dict(weights("unfused"))
    with pytest.raises(ForeignWeightsError, match=SAYS):
        AetherNet.from_state_dict(weights("unfused"))


def test_our_own_names_are_not_taken_for_it():
    with torch.device("meta"):
        for factory in FACTORIES:
            sizes = {"width": 8, "depths": (1,)} if factory.__name__ == "aether_custom" else {}
            network: AetherNet = factory(scale=2, **sizes)
            assert not is_reference(network.state_dict())
