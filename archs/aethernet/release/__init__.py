"""Files of a network that are given away, each proven before it leaves.

The walk of `aethernet release WEIGHTS`:
1.  cli.release     words become `Settings`
2.  networks.py     the float weights, shown to fuse exactly, and the network on int8 grids: calibrated or fine-tuned
3.  origin.py       licence, data and training: the experiment (experiment.py), or the header of the weights
4.  products.py     which files these networks give
5.  flow.py         float16's range, every file written, compared with the network (verify), kept or not
6.  latency.py      what passed is timed (bench)
7.  records.py      all of it as data, report.json
8.  bundle_card.py, page.py    for people: README.md (card.py), report.html (chart.py, crops.py, template/)
9.  folder.py       the folder takes its place as a whole, or not at all
10. cli.release     prints the verdicts

`aethernet export` is step 5 with ONNX files alone (onnx.py), `aethernet card` with weights alone and their own card
(weights.py), `aethernet verify` the gate inside step 5.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"bundle": ["Released", "release"], "settings": ["Settings"]}
)
