"""The checks, each with a number, a threshold with its reason, and one sentence of advice."""
