"""What speaks HTTP/2; one folder each."""
