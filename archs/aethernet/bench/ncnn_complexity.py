"""What an ncnn file costs on paper, counted in its graph."""

from pathlib import Path

from aethernet.bench.complexity import Complexity
from aethernet.export.ncnn_graph import read_graph


def ncnn_complexity(path: Path, height: int, width: int) -> Complexity:
    """Counts for one picture of (height, width); a layer that is not understood makes None of all but the parameters."""
    graph = read_graph(path)
    radius = int(graph.tile_radius) if graph.tile_radius.isdigit() else graph.tile_radius or None
    cost, pixels = graph.cost, height * width
    if not cost.known:
        return Complexity(cost.parameters, None, None, radius)
    return Complexity(
        parameters=cost.parameters,
        macs=int(cost.macs * pixels) + cost.macs_once,
        activations=int(cost.activations * pixels) + cost.activations_once,
        receptive_radius=radius,
    )
