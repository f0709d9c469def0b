"""The files of messages, as an adapter reaches them."""

from typing import Protocol

from bridge.model import Attachment, File
from bridge.ports.fates import Refused, TryLater


class FileUnavailable(Exception):
    """A file cannot be had. `fate` is what that means for the delivery that needs it."""

    def __init__(self, fate: TryLater | Refused, *, too_large: bool = False) -> None:
        super().__init__(fate.reason)
        self.fate = fate
        self.too_large = too_large  # to be fetched: a link to it may do


class Files(Protocol):
    """The files of messages, as an adapter reaches them (`Context.files`)."""

    async def read(self, attachment: Attachment) -> bytes:
        """Its bytes; fetched where the user shared it, if they are not here yet. Raises FileUnavailable."""
        ...

    async def publish(self, attachment: Attachment) -> str:
        """An unguessable address of ours at which a provider can fetch it (GET and HEAD) for some days.
        Raises FileUnavailable, also where the gateway has no public address."""
        ...

    async def keep(self, file: File) -> Attachment:
        """Put a file by that is no message's own (a smaller copy of a picture), for a day; `publish`
        takes it."""
        ...


class NoFiles:
    """Where there are none: an adapter that is only checked, or tested on its own."""

    async def read(self, attachment: Attachment) -> bytes:
        raise FileUnavailable(Refused("Files are not available here."))

    async def publish(self, attachment: Attachment) -> str:
        raise FileUnavailable(Refused("Files are not available here."))

    async def keep(self, file: File) -> Attachment:
        raise FileUnavailable(Refused("Files are not available here."))
