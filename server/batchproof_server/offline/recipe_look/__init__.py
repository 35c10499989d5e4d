"""The row that a model sees of one picture, and what another program did to the same picture."""
