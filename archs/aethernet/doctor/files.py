"""Files of others or of ours: what int8 in them is worth, and what the programs for ncnn make of them."""

from pathlib import Path

from aethernet.doctor.check import Check
from aethernet.errors import AetherError
from aethernet.export.ncnn_graph import check_weights, read_graph
from aethernet.export.ncnn_programs import advice_for_programs, layers_sentence
from aethernet.export.saturation import saturation
from aethernet.network.config import COLOR_ORDERS


def check_file(path: Path) -> Check:
    """Whether an int8 ONNX file is right on every x86 CPU; of an ncnn file, what Upscayl and its like make of it."""
    if path.suffix == ".param":
        return check_ncnn_file(path)
    try:
        found = saturation(path)
    except AetherError as error:
        return Check(str(path), "error", str(error))
    remedy = (
        "for x86 quantise the weights on 7 bits (`aethernet calibrate` does, ONNX Runtime's tools with reduce_range); "
        "TensorRT and ARM compute it right"
    )
    return Check(str(path), "warning" if found.possible else "ok", found.sentence(), remedy if found.possible else "")


def check_ncnn_file(path: Path) -> Check:
    """Whether both files are whole, and what the programs that run such make of them; ncnn itself is not needed."""
    try:
        graph = read_graph(path)
        stored = check_weights(graph)
    except AetherError as error:
        return Check(str(path), "error", str(error))
    facts = [f"x{graph.scale}" if graph.scale else "scale unknown", COLOR_ORDERS[graph.in_channels]]
    facts += [f"weights in {stored}"] if stored else []
    found = f"{', '.join(facts)}; {layers_sentence(graph.kinds)}"
    advice = advice_for_programs(path.stem, graph.scale, graph.tile_radius)
    return Check(str(path), "warning" if advice else "ok", found, "; ".join(advice))
