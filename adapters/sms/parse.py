"""What the worker process runs for SMS: nothing, and this module imports little.

A web-hook's form is cheap to read, so it is read at once and recorded as a message; this transport
never hands over a raw input.
"""

from collections.abc import Sequence

from bridge.model import Envelope, Incoming, Report


def parse(raw: bytes, envelope: Envelope) -> Sequence[Incoming | Report]:
    """Nothing: there are no raw inputs of this transport."""
    return ()
