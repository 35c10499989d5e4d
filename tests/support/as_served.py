"""Imported before gRPC is: servers in the tests read their connections as those of ``serve`` do."""

from batchproof_server.rpc.fronts.polling import read_on_the_queue

read_on_the_queue()
