"""The gateway as the front ends see it: puts its parts together, and names what they can be asked for."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

from bridge.changes import Changes
from bridge.events import Transport
from bridge.files import Filing
from bridge.gateway.at_risk import AtRisk
from bridge.gateway.carrying import Carrying
from bridge.gateway.house import House, Ring
from bridge.gateway.inward import Inward
from bridge.gateway.membership import Membership
from bridge.gateway.rosters import Rosters
from bridge.gateway.second_thoughts import SecondThoughts
from bridge.i18n import Languages
from bridge.ports import ReceiptOn
from bridge.sources import Sources
from bridge.store.drafts import Ground
from bridge.store.engine import Store
from bridge.store.rows import Lane


def _ignore(_lanes: Iterable[Lane]) -> None:
    """Nobody dispatches (yet)."""


class Gateway:
    """One for the process; `ring` and `ring_intake` are set by who builds the rest.

    Whoever asks it for something need not know which part of it answers: the use cases stand here by
    their names, and are described where they are written.
    """

    def __init__(
        self,
        store: Store,
        transports: Mapping[str, Transport],
        allow: Sequence[str],
        *,
        files: Filing | None = None,
        clock: Callable[[], float] = time.time,
        language: str = "",
    ) -> None:
        self.ring: Ring = _ignore
        self.ring_intake: Callable[[], None] = lambda: None
        self.transports = transports
        self.languages = Languages(language)
        self.grounds = {
            name: Ground(one.jid, one.adapter.capabilities.subjects, one.strangers)
            for name, one in transports.items()
        }
        self.receipts_on_sent = {
            name: one.adapter.capabilities.receipt_on is ReceiptOn.SENT for name, one in transports.items()
        }
        # Through us, since whoever builds the rest sets our bells later.
        house = House(
            store, transports, self.grounds, self.languages, clock, ring=lambda lanes: self.ring(lanes)
        )
        self.sources = _sources(house, ring_intake=lambda: self.ring_intake())
        self.changes = _changes(house)

        inward = Inward(
            house, self.sources, files, self.receipts_on_sent, ring_intake=lambda: self.ring_intake()
        )
        self.inbox = inward.inbox
        self.accept = inward.accept
        self.presume = inward.presume
        self.forget_lines = inward.forget_lines

        members = Membership(house, allow, self.sources, changed=inward.forget_lines)
        self.newcomer = members.newcomer
        self.load = members.load
        self.may_use = members.may_use
        self.line_of = members.line_of
        self.users_of = members.users_of
        self.admit = members.admit
        self.register = members.register
        self.free_addresses = members.free_addresses
        self.leave = members.leave
        self.add_contact = members.add_contact
        self.drop_contact = members.drop_contact
        self.contacts_of = members.contacts_of
        self.contacts_after = members.contacts_after

        self.address_of = house.address_of
        self.carry_out = Carrying(house, self.changes, self.sources, members.admit).carry_out

        self.rosters = Rosters(house)
        at_risk = AtRisk(house)
        self.note_sent = at_risk.note_sent
        self.stream_broke = at_risk.stream_broke
        self.came_back = at_risk.came_back

        second_thoughts = SecondThoughts(house, self.changes)
        self.send_now = second_thoughts.send_now
        self.undo = second_thoughts.undo
        self.cancel = second_thoughts.cancel
        self.status_of = second_thoughts.status_of

    def new_name(self) -> str:
        """A UUID for a stanza of ours."""
        return str(uuid.uuid4())


def _sources(house: House, ring_intake: Callable[[], None]) -> Sources:
    adapters = {name: one.adapter for name, one in house.transports.items()}
    jids = {name: one.jid for name, one in house.transports.items()}
    sources = Sources(house.store, adapters, jids, house.clock)
    sources.ring, sources.ring_intake = house.ring, ring_intake
    return sources


def _changes(house: House) -> Changes:
    names = {
        name: one.names_threads.first_subject if one.names_threads else lambda _: ""
        for name, one in house.transports.items()
    }
    changes = Changes(house.store, names, house.clock)
    changes.ring = house.ring
    return changes
