"""Executing a loaded model on rows that show whether batches matter."""
