"""Labelled pictures answered by the server's own core: evaluations and reference profiles."""
