"""``batchproof.v1``: our own protocol."""
