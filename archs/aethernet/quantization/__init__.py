"""Quantisation to int8: what one quantised tensor is, how ranges are found, trained and frozen. Knows no network.

    fake.py         modules that train: float tensors rounded to the int8 grid
    ranges.py       the ranges of activations, from pictures
    integer.py      modules that deploy: int8 weights, sums of integers
    settings.py     which parts are int8 and which stay float

Weights: int8 in [-63, 63] (with `weight_bits: 8` [-127, 127]), one step for each output channel. Activations: int8 in
[-128, 127], one step for a tensor, symmetric around 0 (no zero point). Biases: int32, on the grid of the sums of
products that they join. Rounding is half to even, as ONNX rounds.
"""
