"""What executes micro-batches."""
