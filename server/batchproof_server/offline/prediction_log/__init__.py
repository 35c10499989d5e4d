"""Logs of predictions: lines of JSON from whoever asked or captured, counted for drift."""
