"""Drift: signals of predictions and inputs, their bins, the reference profile, counts. Pure."""
