"""Progress bars on standard error, on a terminal only."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from batchproof_server.offline.asking import Count


@dataclass(frozen=True, slots=True)
class Bars:
    """One bar for each step of a work.

    Attributes:
        progress: where they are shown.
        total: pictures of each step.
    """

    progress: Progress
    total: int

    def begin(self, title: str, total: int | None = None) -> Count:
        """Adds a bar; what it returns sets how many pictures are done, from any thread.

        Args:
            title: of the step.
            total: its pictures, when they are not all.
        """
        task = self.progress.add_task(title, total=self.total if total is None else total)

        def count(done: int) -> None:
            self.progress.update(task, completed=done)

        return count


@contextmanager
def show_bars(total: int) -> Iterator[Bars]:
    """Shows the bars until the context ends, and leaves no trace."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        disable=not sys.stderr.isatty(),
        transient=True,
    )
    with progress:
        yield Bars(progress, total)
