"""Weights of earlier releases: a table of steps from one `arch_version` to the next, walked whenever weights are read.

Whoever changes the structure or a name in a state dict raises `ARCH_VERSION` and adds the step from the former version
here. tests/test_state_dict_names.py sees the change.
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from aethernet.network.config import ARCH_VERSION, CONFIG_KEY, VERSION_FIELD, pack_fields, unpack_fields

Fields = dict[str, Any]
Tensors = dict[str, Tensor]
Migration = Callable[[Fields, Tensors], tuple[Fields, Tensors]]
"""Arguments of `AetherConfig` and weights (without the config entry) of one version -> those of the next. Its arguments
are its own to change; the tensors in them are not."""

MIGRATIONS: dict[int, Migration] = {}
"""The version that a step starts from, and the step. 1 is the first version, so there is none yet."""


def up_to_date(state_dict: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Weights of any version as those of `ARCH_VERSION`; what is of this version, of none, or of a later one is returned
    as it is.

    Raises:
        CheckpointError: the config entry holds no configuration.
    """
    if CONFIG_KEY not in state_dict:
        return state_dict
    fields = unpack_fields(state_dict[CONFIG_KEY])
    version = fields.pop(VERSION_FIELD)
    if version >= ARCH_VERSION:
        return state_dict
    tensors = {name: value for name, value in state_dict.items() if name != CONFIG_KEY}
    while version < ARCH_VERSION and version in MIGRATIONS:
        fields, tensors = MIGRATIONS[version](fields, tensors)
        version += 1
    return {**tensors, CONFIG_KEY: pack_fields({VERSION_FIELD: version, **fields})}
