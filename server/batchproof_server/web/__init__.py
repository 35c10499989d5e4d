"""HTTP: pages for operators."""
