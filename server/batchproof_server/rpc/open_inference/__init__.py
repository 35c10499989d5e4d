"""The Open Inference Protocol v2, which Triton and KServe clients speak."""
