"""The use case: one request from rows to answer."""
