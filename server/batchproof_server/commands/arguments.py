"""The arguments that several commands take."""

import argparse
from pathlib import Path


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The bundle that the command is about."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the directory of one version")


def add_data(parser: argparse.ArgumentParser) -> None:
    """Labelled pictures."""
    parser.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        required=True,
        help="a folder <class>/<pictures>, or an .npz file with images and labels",
    )


def add_limit(parser: argparse.ArgumentParser) -> None:
    """How many of the pictures."""
    parser.add_argument(
        "--limit", type=int, metavar="N", help="take N pictures, spread evenly (all)"
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Whether a table of many classes names each of them."""
    parser.add_argument(
        "--verbose", action="store_true", help="name every class, also where there are many"
    )


def add_allow_unproven(parser: argparse.ArgumentParser, verb: str) -> None:
    """Whether a model that fails its proof is taken all the same.

    Args:
        parser: of the command.
        verb: what the command does with a model.
    """
    parser.add_argument(
        "--allow-unproven", action="store_true", help=f"{verb} a model that fails its proof"
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """The file of settings."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings in TOML")
