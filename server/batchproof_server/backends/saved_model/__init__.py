"""The artefact kind SavedModel, in TensorFlow Serving's layout."""
