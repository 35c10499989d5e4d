"""Accuracy, calibration and sameness of one model over labelled pictures, on several paths."""
