"""Which recipe a model was trained with, found on labelled pictures."""
