"""``batchproof-server tta``: its two actions."""

from argparse import Namespace

from batchproof_server.commands.tta.evaluate import tta_evaluate
from batchproof_server.commands.tta.fit import tta_fit


def tta(arguments: Namespace) -> int:
    """Runs the action; its exit code."""
    return {"evaluate": tta_evaluate, "fit": tta_fit}[arguments.action](arguments)
