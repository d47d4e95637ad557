"""How each file of a bundle is loaded: programs for the card and for the page, complete but for the picture."""

from aethernet.release import products
from aethernet.release.records import Report


def snippets(report: Report) -> dict[str, str]:
    """Programs by their title; each expects `picture`, (1, C, H, W) float32 in [0, 1], and makes `output` of it."""
    found = {}
    if fused := report.find(products.FUSED.suffix):
        found["PyTorch"] = f"""import aethernet
import torch

network = aethernet.load_network("{fused.file}")  # in eval mode
with torch.inference_mode():
    output = network(torch.from_numpy(picture)).clamp(0, 1).numpy()"""
        found["spandrel"] = f"""import torch
from aethernet.integrations.spandrel import install
from spandrel import ModelLoader

install()  # from here on, every ModelLoader of this process knows AetherNet
model = ModelLoader("cpu").load_from_file("{fused.file}")
output = model(torch.from_numpy(picture)).numpy()"""
    if graph := report.find(products.INT8_ORT.suffix) or report.find(products.FP32.suffix):
        found["ONNX Runtime"] = f"""import onnxruntime

session = onnxruntime.InferenceSession("{graph.file}", providers=["CPUExecutionProvider"])
output = session.run(None, {{"input": picture}})[0].clip(0, 1)"""
    if graph := report.find(products.INT8_OPENVINO.suffix) or report.find(products.FP32.suffix):
        found["OpenVINO"] = f"""import openvino

model = openvino.Core().compile_model("{graph.file}", "CPU")
output = model(picture)[0].clip(0, 1)"""
    if graph := report.find(products.NCNN_FP32.suffix):
        found["ncnn"] = f"""import ncnn
import numpy as np

net = ncnn.Net()
net.load_param("{graph.file}")
net.load_model("{graph.weights}")
extractor = net.create_extractor()
extractor.input("data", ncnn.Mat(picture[0]).clone())  # one picture; clone() aligns its channels as ncnn expects them
output = np.array(extractor.extract("output")[1])[None].clip(0, 1)"""
    return found
