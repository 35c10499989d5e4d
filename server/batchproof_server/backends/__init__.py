"""Artefact kinds and engines, one folder each; ``plug_list`` names them.

A kind opens an artefact as a ``Source``; an engine compiles a source into a ``Backend``.
"""
