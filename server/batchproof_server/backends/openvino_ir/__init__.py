"""The artefact kind of OpenVINO's own form: `model.xml` and `model.bin`."""
