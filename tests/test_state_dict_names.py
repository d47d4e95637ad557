"""Names and types in a state dict are public from the first release on: files of users hold them.

Those of every stage and kind of block stand in state_dict_names.json. Where a change is meant, raise `ARCH_VERSION`, add
the step to aethernet/network/migrations.py and write the file anew: `python tests/test_state_dict_names.py`.
"""

import json
from pathlib import Path

import pytest

from aethernet import AetherConfig, AetherNet
from aethernet.network.config import ARCH_VERSION, STAGES

FILE = Path(__file__).with_name("state_dict_names.json")

KINDS = {
    "gated": {"depths": (1, 1), "channel_attention": True, "spatial_attention": True},
    "gated, layernorm": {"depths": (1,), "norm_type": "layernorm"},
    "gated, no norm, float islands": {
        "depths": (1,),
        "norm_type": "none",
        "quantization": {"first": "float", "last": "float", "depthwise": "float", "gate": "float", "residual": "float"},
    },
    "plain": {"depths": (1, 1), "block": "plain"},
    "plain, no norm, one stage": {"depths": (1,), "block": "plain", "norm_type": "none", "tail": "direct"},
}


def names(kind: str, stage: str) -> dict[str, str]:
    network = AetherNet(AetherConfig(width=8, scale=4, tail_channels=4, stage=stage, **KINDS[kind]))
    return {name: str(value.dtype).removeprefix("torch.") for name, value in network.state_dict().items()}


def listed() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8"))


def test_the_list_is_of_this_version_and_complete():
    assert listed()["arch_version"] == ARCH_VERSION
    assert list(listed()["names"]) == [f"{kind}: {stage}" for kind in KINDS for stage in STAGES]


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_names_are_as_listed(kind, stage):
    assert names(kind, stage) == listed()["names"][f"{kind}: {stage}"], (
        "names in a state dict have changed, so that weights of users no longer load: read the head of this file"
    )


if __name__ == "__main__":
    content = {
        "arch_version": ARCH_VERSION,
        "names": {f"{kind}: {stage}": names(kind, stage) for kind in KINDS for stage in STAGES},
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
