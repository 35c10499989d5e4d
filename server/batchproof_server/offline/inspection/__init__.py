"""What a model file is, and what a bundle for it would say."""
