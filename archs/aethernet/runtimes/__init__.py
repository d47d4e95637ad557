"""Where networks run: PyTorch, ONNX Runtime, OpenVINO and ncnn; what a file takes and gives."""
