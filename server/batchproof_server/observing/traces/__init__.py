"""Sampled requests and their micro-batches become spans, and leave for a collector."""
