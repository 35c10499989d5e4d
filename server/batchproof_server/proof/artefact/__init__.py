"""What can be said of an artefact's files before a loader touches them."""
