"""The front on grpcio's completion queue: calls come and go in lists."""
