"""Weights of the reference implementation, Hofmann's `aether_arch`: the same names, other networks. docs/reference.md compares them."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from aethernet.errors import ForeignWeightsError

MARKS = ("stages.0.0.conv.lk_conv.", "stages.0.0.conv.fused_conv.", "quant_fusion_layer.")
"""Beginnings of tensor names that its files have, in every version, fused or not, and ours never."""
VERSION = "model_version"
"""Its version as three numbers, in files from version 3 on."""


def is_reference(names: Iterable[str]) -> bool:
    """Whether these are tensor names of the reference implementation."""
    return any(name.startswith(MARKS) for name in names)


def refuse_reference(state_dict: Mapping[str, Tensor], where: object = "the file") -> None:
    """Raises `ForeignWeightsError`, which says what they are and why they do not carry over, for such weights."""
    if not is_reference(state_dict):
        return
    version = state_dict.get(VERSION)
    numbers = f", version {'.'.join(str(int(number)) for number in version.flatten())}" if version is not None else ""
    raise ForeignWeightsError(
        f"{where} holds weights of the reference implementation of AetherNet (Hofmann's aether_arch{numbers}). Its networks "
        "have the names of ours and are others inside: kernels of 13 and 5 beside each other, SiLU gates, another tail, no "
        "picture skip. Its tensors have no place here, so they do not carry over: train anew, or run them with the program "
        "they came from (docs/reference.md)"
    )
