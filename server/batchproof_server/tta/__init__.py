"""Test-time augmentation: views of a picture, policies that name them, and what is made of them."""
