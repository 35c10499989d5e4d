"""The artefact kind ``affine.json``: exact arithmetic in the place of a model."""
