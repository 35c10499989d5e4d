"""The commands of ``batchproof-server``: a folder each, its arguments beside it."""
