"""The arguments of ``batchproof-server serve``."""

from pathlib import Path
from typing import Any

from batchproof_server.commands.arguments import add_config


def add_serve(commands: Any) -> None:
    """Adds the command."""
    serve = commands.add_parser(
        "serve",
        help="serve a bundle or a repository of models",
        description="Serves PATH until SIGTERM or Ctrl-C; what was accepted is finished first. "
        "The first line on standard output is a JSON object with the addresses.",
    )
    serve.add_argument(
        "path",
        type=Path,
        metavar="PATH",
        nargs="?",
        help="a bundle, <model>/<integer version>/ folders, or a model file, which is served for "
        "tensors",
    )
    serve.add_argument(
        "--model-config-file",
        metavar="FILE",
        help="instead of PATH: the models of TensorFlow Serving's configuration",
    )
    serve.add_argument(
        "--poll-s", type=float, help="seconds between two looks for versions; 0 does not look (0)"
    )
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--grpc-port", type=int, help="0 takes a free one (8500)")
    serve.add_argument(
        "--http-port", type=int, help="metrics and probes; 0 takes a free one (8080)"
    )
    serve.add_argument(
        "--management-port", type=int, help="for `ctl`, on 127.0.0.1; 0 takes a free one (none)"
    )
    serve.add_argument("--web-port", type=int, help="serve REST there; 0 takes a free one (off)")
    add_config(serve)
    serve.add_argument(
        "--allow-unproven",
        action="store_const",
        const=True,
        help="serve models that fail their proof; never what is not safe to load",
    )
    serve.add_argument("--log-level", choices=("debug", "info", "warning", "error"))
    serve.add_argument("--log-format", choices=("json", "console"))
