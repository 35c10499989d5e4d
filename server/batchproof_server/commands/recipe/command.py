"""``batchproof-server recipe``: its two actions."""

from argparse import Namespace

from batchproof_server.commands.recipe.find import find
from batchproof_server.commands.recipe.show import show


def recipe(arguments: Namespace) -> int:
    """Runs the action; its exit code."""
    return {"find": find, "show": show}[arguments.action](arguments)
