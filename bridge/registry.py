"""Finds adapters by the entry-point group `passerelle.adapters`: ours and other people's alike.

Names are read from the installed distributions' metadata; an adapter's code is imported only when
somebody asks for it. What the adapters do is none of this module's business.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from bridge.ports import Adapter

GROUP = "passerelle.adapters"


class BrokenAdapter(Exception):
    """An adapter is installed but cannot be imported. The message says which and why."""


class _Installed(Mapping[str, type[Adapter]]):
    """Names are known at once; looking one up imports its class. Raises KeyError, BrokenAdapter."""

    def __init__(self, points: Mapping[str, EntryPoint]) -> None:
        self._points = points
        self._loaded: dict[str, type[Adapter]] = {}

    def __getitem__(self, name: str) -> type[Adapter]:
        if name not in self._loaded:
            self._loaded[name] = _load(self._points[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def __contains__(self, name: object) -> bool:  # Mapping's own would import the adapter to find out
        return name in self._points


@cache
def adapters() -> Mapping[str, type[Adapter]]:
    """Every installed adapter's class by the name that `adapter = "…"` gives in the settings."""
    return _Installed({point.name: point for point in entry_points(group=GROUP)})


def _load(point: EntryPoint) -> type[Adapter]:
    try:
        loaded: type[Adapter] = point.load()
    except (ImportError, AttributeError) as error:
        raise BrokenAdapter(f"the adapter {point.name} ({point.value}) cannot be loaded: {error}") from error
    return loaded
