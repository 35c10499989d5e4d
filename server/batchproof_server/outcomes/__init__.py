"""Labels that arrive later: recent answers, and what became of them."""
