"""A bounded sample of answered rows is kept in a directory, for labelling and diagnosis."""
