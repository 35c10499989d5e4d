"""The artefact kind ONNX, as OpenVINO reads it."""
