"""What the worker process runs for SMS: nothing so far, and this module imports little.

A web-hook's form is cheap to read, so it is read at once and recorded as a message; no raw input of
this transport is ever recorded.
"""

from collections.abc import Sequence

from bridge.model import Envelope, Incoming, Report


def parse(raw: bytes, envelope: Envelope) -> Sequence[Incoming | Report]:
    """Refuse: an SMS transport hands over no raw inputs. Raises ValueError."""
    raise ValueError(f"the SMS transport {envelope.transport} records messages, not raw inputs")
