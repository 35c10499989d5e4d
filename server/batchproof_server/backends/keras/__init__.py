"""The artefact kind ``model.keras``."""
