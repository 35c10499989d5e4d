"""Named plugs: what a configuration may name, and what it stands for."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Plug = TypeVar("Plug")


class Registry(Generic[Plug]):
    """Plugs by name. A name stands for one plug for the life of the registry.

    Args:
        kind: what the plugs are, for messages ("backend").
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._plugs: dict[str, Callable[[], Plug]] = {}

    def register(self, name: str, plug: Plug) -> None:
        """Adds a plug.

        Raises:
            ValueError: the name is taken.
        """
        self.register_on_demand(name, lambda: plug)

    def register_on_demand(self, name: str, make: Callable[[], Plug]) -> None:
        """Adds a plug that is made each time it is asked for, since making it takes long.

        Raises:
            ValueError: the name is taken.
        """
        if name in self._plugs:
            raise ValueError(f'{self._kind} "{name}" is registered already')
        self._plugs[name] = make

    def __getitem__(self, name: str) -> Plug:
        if name not in self._plugs:
            known = ", ".join(self._plugs) or "none"
            raise KeyError(f'unknown {self._kind} "{name}", one of {known}')
        return self._plugs[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._plugs)
