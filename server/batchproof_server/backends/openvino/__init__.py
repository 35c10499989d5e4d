"""The engine OpenVINO: executes what it converts of TensorFlow's functions, on processors."""
