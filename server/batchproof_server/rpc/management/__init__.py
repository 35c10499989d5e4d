"""What operators ask for, on a port of their own."""
