"""From ``fit`` to a bundle: a callback of Keras that packs the best weights of a training.

It needs an installation with the server and Keras, such as ``batchproof[cpu]``::

    model.fit(train, validation_data=val, epochs=20, callbacks=[
        PackBundle("models", "shoes", data="photos/validation", training_data="photos/train"),
    ])
"""

import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

Pictures: TypeAlias = str | Path | tuple[NDArray[np.uint8], Sequence[int] | NDArray[Any]]
"""A folder ``<class>/<pictures>``, a .csv or an .npz file, or arrays: uint8 [pictures, height,
width, channels] and the index of the class of each."""
Best: TypeAlias = Literal["lowest", "highest"]

_HIGHEST: Final = ("acc", "auc", "precision", "recall", "f1")


class NotPacked(RuntimeError):
    """The model was trained but the bundle was not made; the text says how to make it by hand."""


# Contract: what can be wrong before the training is said before the training. The model is left as
# `fit` leaves it. Whatever fails afterwards, the file of the best weights is kept and named.
class PackBundle(keras.callbacks.Callback):  # type: ignore[misc]  # Keras ships no types
    """Writes the bundle ``repository/name/version`` at the end of ``fit``.

    The bundle is made by ``batchproof-server pack`` in a process of its own, from the weights of
    the epoch that was best by ``monitor``. It also gets the figures of the training, epoch by
    epoch, and the profile of the pictures that the model was trained on.

    Args:
        repository: the directory of all models.
        name: of the model.
        version: of the model; it must not exist yet.
        data: labelled pictures that the model is not trained on, as they are before any
            preprocessing.
        training_data: labelled pictures that it is trained on, likewise.
        labels: of the classes, in the order of the output; those of the folders without them.
        recipe: how pictures were prepared, as in docs/recipes.md; it is looked for without it.
        monitor: the figure that is best in the best epoch.
        best: whether that is the lowest or the highest; by its name where nothing is said.
        limit: how many pictures of each kind to take.

    Raises:
        ValueError: an argument cannot be used.
        ModuleNotFoundError: the server is not installed.

    Attributes:
        bundle: the directory that was written; None before the end of ``fit``.
    """

    def __init__(  # noqa: PLR0913 - one argument for each thing that a bundle says
        self,
        repository: str | Path,
        name: str,
        *,
        data: Pictures,
        training_data: Pictures | None = None,
        version: int = 1,
        labels: Sequence[str] = (),
        recipe: str | None = None,
        monitor: str = "val_loss",
        best: Best | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        self.bundle: Path | None = None
        self._out = Path(repository) / name / str(version)
        self._options = {
            "--out": str(repository), "--name": name, "--version": str(version),
            "--recipe": recipe, "--limit": None if limit is None else str(limit),
        }  # fmt: skip
        self._pictures = {"--data": data, "--training-data": training_data}
        self._labels = tuple(labels)
        self._monitor = monitor
        self._best: Best = best or _best_of(monitor)
        self._epochs: list[dict[str, float | None]] = []
        self._kept: tuple[int, float] | None = None
        self._weights: list[NDArray[Any]] = []
        self._check()

    def _check(self) -> None:
        if find_spec("batchproof_server") is None:
            raise ModuleNotFoundError("PackBundle needs the server: pip install 'batchproof[cpu]'")
        if self._out.exists():
            raise ValueError(f"{self._out}: exists already and is not overwritten; name a version")
        for option, pictures in self._pictures.items():
            _check_pictures(option.removeprefix("--").replace("-", "_"), pictures)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Forgets a training before this one."""
        del logs
        self._epochs, self._kept, self._weights = [], None, []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keeps the figures, and the weights where they are the best so far.

        Raises:
            ValueError: the figure to monitor is not among them.
        """
        del epoch
        figures = {key: _finite(value) for key, value in (logs or {}).items()}
        if self._monitor not in figures:
            known = ", ".join(sorted(figures)) or "none"
            raise ValueError(
                f'monitor: there is no figure "{self._monitor}", only {known}; give fit '
                "validation_data, or name another one"
            )
        self._epochs.append(figures)
        value = figures[self._monitor]
        if value is not None and self._is_best(value):
            self._kept = len(self._epochs), value
            self._weights = self.model.get_weights()

    def _is_best(self, value: float) -> bool:
        if self._kept is None:
            return True
        _, before = self._kept
        return value < before if self._best == "lowest" else value > before

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Packs the bundle and shows what ``pack`` says meanwhile.

        Raises:
            NotPacked: there was no epoch with a finite figure, or ``pack`` refused the model.
        """
        del logs
        if self._kept is None:
            raise NotPacked(f'no epoch had a finite "{self._monitor}", so no weights are the best')
        epoch, _ = self._kept
        kept_files = Path(tempfile.mkdtemp(prefix="batchproof-"))
        command = self._command(kept_files, epoch)
        if (code := _run(command)) != 0:
            shown = shlex.join(command)
            raise NotPacked(f"pack ended with {code}; the best weights are kept: {shown}")
        shutil.rmtree(kept_files)
        self.bundle = self._out

    def _command(self, folder: Path, epoch: int) -> list[str]:
        """Writes the files that ``pack`` takes, and says how to call it."""
        model = folder / "model.keras"
        self._save_best(model)
        (folder / "training-curve.json").write_text(json.dumps(self._curve(epoch)))
        options = {**self._options, "--training-curve": str(folder / "training-curve.json")}
        for option, pictures in self._pictures.items():
            options[option] = _file_of(pictures, folder / f"{option.removeprefix('--')}.npz")
        if self._labels:
            (folder / "labels.txt").write_text("\n".join(self._labels) + "\n")
            options["--labels"] = str(folder / "labels.txt")
        given = [part for key, value in options.items() if value for part in (key, value)]
        return [sys.executable, "-m", "batchproof_server", "pack", str(model), *given]

    def _save_best(self, file: Path) -> None:
        last = self.model.get_weights()
        self.model.set_weights(self._weights)
        try:
            self.model.save(file, include_optimizer=False)
        finally:
            self.model.set_weights(last)

    def _curve(self, epoch: int) -> dict[str, Any]:
        return {
            "format": 1, "monitor": self._monitor, "best": self._best, "kept": epoch,
            "epochs": self._epochs,
        }  # fmt: skip


def _best_of(monitor: str) -> Best:
    return "highest" if any(part in monitor for part in _HIGHEST) else "lowest"


def _finite(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _check_pictures(argument: str, pictures: Pictures | None) -> None:
    """Returns when a training need not end before a fault of these is found."""
    if pictures is None:
        return
    if isinstance(pictures, str | Path):
        if not Path(pictures).exists():
            raise ValueError(f"{argument}: {pictures}: no such file or folder")
        return
    images, labels = pictures
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        came = f"{images.dtype} {list(images.shape)}"
        raise ValueError(
            f"{argument}: {came}, expected pictures as they are before any preprocessing: "
            "uint8 [pictures, height, width, channels]"
        )
    if np.shape(labels) != (len(images),):
        came = f"{len(images)} pictures and labels {list(np.shape(labels))}"
        raise ValueError(f"{argument}: {came}, expected the index of one class for each picture")


def _file_of(pictures: Pictures | None, file: Path) -> str | None:
    if pictures is None or isinstance(pictures, str | Path):
        return None if pictures is None else str(pictures)
    images, labels = pictures
    np.savez(file, images=images, labels=np.asarray(labels))
    return str(file)


def _run(command: Sequence[str]) -> int:
    """Runs a command and shows its lines as they come, in a notebook too."""
    # The training holds the memory of the GPU; what is proven here is proven anew where it serves.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    with subprocess.Popen(  # noqa: S603 - our own program; the paths are arguments, no shell
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        for line in process.stdout or ():
            sys.stdout.write(line)
    return process.returncode
