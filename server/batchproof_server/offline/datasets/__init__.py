"""Labelled pictures on disk: folders of classes, and ``.npz`` files."""
