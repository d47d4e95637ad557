"""Where networks run: PyTorch, ONNX Runtime and OpenVINO; what a file takes and gives."""
