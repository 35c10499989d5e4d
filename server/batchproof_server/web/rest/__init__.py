"""REST: the protocols of others, and our own, over HTTP/1.1 on the web port."""
