"""Values of every field of the configuration, and small networks that have them, of any stage."""

import dataclasses

import torch

from aethernet import AetherConfig, AetherNet
from aethernet.network.config import STAGES
from aethernet.quantization.fake import quantizers
from helpers.networks import randomise

BASE = AetherConfig(width=8, depths=(1, 1), scale=2, kernel_size=5, tail_channels=6)

CASES: dict[str, list[dict]] = {
    "width": [{"width": 12}, {"width": 5}],
    "depths": [{"depths": (2, 1)}, {"depths": (1,)}, {"depths": (1, 1, 1)}],
    "scale": [{"scale": 1}, {"scale": 3}, {"scale": 4}, {"scale": 8}],
    "in_channels": [{"in_channels": 1}],
    "block": [{"block": "plain"}],
    "kernel_size": [{"kernel_size": 3}, {"kernel_size": (3, 7)}],
    "expansion": [{"expansion": 1.3}, {"expansion": 1 / 3}],
    "channel_attention": [{"channel_attention": True}],
    "spatial_attention": [{"spatial_attention": True}, {"spatial_attention": True, "channel_attention": True}],
    "norm_type": [{"norm_type": "layernorm"}, {"norm_type": "none"}],
    "norm_freeze_iter": [{"norm_freeze_iter": None}, {"norm_freeze_iter": 0}, {"norm_freeze_iter": 77}],
    "tail": [{"tail": "direct"}, {"tail": "direct", "scale": 4}],
    "tail_channels": [{"tail_channels": 7}, {"tail_channels": 7, "scale": 4}],
    "skip": [{"skip": "none"}, {"skip": "bilinear"}],
    "drop_path": [{"drop_path": 0.15}],
    "stage": [{"stage": stage} for stage in STAGES],
    "quantization": [
        {"quantization": "quality", "stage": "qat"},  # float weights carry none
        {"quantization": "openvino", "stage": "int8"},
        {"quantization": {"depthwise": "float", "ranges": "fixed"}, "stage": "qat"},
        {"quantization": {"last": "float"}, "stage": "int8"},
    ],
    "variant": [{"variant": "small"}],
}
"""For each field values other than in `BASE`; those of a field that no shape tells, too."""


def build(fields: dict) -> AetherNet:
    """A network of `BASE` with other fields, in eval mode, everything random, all ranges known."""
    config = dataclasses.replace(BASE, **fields)
    if not config.quantized:
        return randomise(AetherNet(config)).eval()
    network = randomise(AetherNet(dataclasses.replace(config, stage="fused"))).prepare_qat().eval()
    with torch.no_grad():
        for index, (_, quantizer) in enumerate(quantizers(network)):
            quantizer.range.fill_(2.0 + index / 16)
    return network if config.stage == "qat" else network.convert_to_quantized()
