"""The front that is built on ``grpc.aio``."""
