"""Builds the reference profile of a bundle with the server's own recipe, backend and buckets."""
