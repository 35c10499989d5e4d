"""Numbers on the command line; what is none becomes argparse's own error."""

import argparse


def positive(text: str) -> float:
    """A number above 0, and finite."""
    number = _number(float, text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return number


def at_least_0(text: str) -> int:
    """A whole number from 0."""
    number = _number(int, text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return int(number)


def at_least_1(text: str) -> int:
    """A whole number from 1."""
    number = at_least_0(text)
    if number == 0:
        raise argparse.ArgumentTypeError("0 is below 1")
    return number


def _number(kind: type[int] | type[float], text: str) -> float:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number') from None
