"""What the parts of the gateway share, and what each of them asks of a transport."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bridge.addressing import to_address, to_local
from bridge.events import Denied, Transport
from bridge.i18n import Languages, tr
from bridge.model import Address
from bridge.ports import BadAddress
from bridge.store.drafts import Ground
from bridge.store.engine import Store
from bridge.store.rows import Lane

Ring = Callable[[Iterable[Lane]], None]


@dataclass(frozen=True, slots=True)
class House:
    """One for the process."""

    store: Store
    transports: Mapping[str, Transport]
    grounds: Mapping[str, Ground]  # by transport
    languages: Languages
    clock: Callable[[], float]
    ring: Ring  # tells the dispatcher that something is due

    def address_of(self, transport: str, local: str) -> Address:
        """Unescape and canonicalise the node of a contact's JID. Raises Denied."""
        spelled = to_address(local)
        try:
            address = self.transports[transport].adapter.canonical(spelled)
        except BadAddress as error:
            if error.correct:
                raise Denied(str(error), "gone", "cancel", gone=to_local(error.correct)) from error
            raise Denied(str(error), error.condition, "cancel") from error
        if address.canonical.startswith("+") and spelled != address.canonical:
            # One number has one JID: else what comes from it would come from another than was written to.
            told = tr("Write this number without spaces and dashes: {number}", number=address.canonical)
            raise Denied(told, "gone", "cancel", gone=to_local(address.canonical))
        return address


def not_registered() -> Denied:
    """For who writes before they have registered."""
    return Denied(
        tr("You are not registered here yet. Register with this gateway first, then send it again."),
        "registration-required",
        "auth",
    )
