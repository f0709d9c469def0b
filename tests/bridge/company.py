"""Mail among several people on a real record, without any server: raw mails in, what the chat shows out;
lines from the chat in, envelopes and heads out."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from adapters.email import compose
from adapters.email.adapter import EmailAdapter
from adapters.email.compose import Letterhead
from adapters.email.parse import MailParser
from adapters.email.settings import EmailSettings
from adapters.email.sourced import SENT, SourcedParser
from adapters.email.spam import Mode
from bridge.addressing import to_local
from bridge.commands.dialogue import Dialogue
from bridge.commands.model import Context
from bridge.commands.services import Services
from bridge.events import Denied, Transport, Written
from bridge.gateway import Gateway
from bridge.model import Contact, Delivery, Direction, Envelope, Incoming, Kind
from bridge.office import Office
from bridge.options import LEAD
from bridge.ports import Sent
from bridge.store import desk, people
from bridge.store.engine import Store
from bridge.store.tables import messages
from bridge.wishes import Wishes
from tests.adapters.contract import context
from tests.bridge.records import Clock
from tests.bridge.test_store import claimed, settled

MIRA, NOOR = "mira@localhost", "noor@localhost"
US = "mira@chat.example"
JANA, TOM, EVA = "Jana Berg <jana@x.org>", "Tom Ray <tom@y.org>", "Eva Klein <eva@z.org>"
SETTINGS = EmailSettings.model_validate(
    {
        "adapter": "email",
        "jid": "mail.localhost",
        "secret": "s",
        "domains": ["chat.example"],
        "address": "{user}@chat.example",
        "coalesce_seconds": 0,
    }
)
_numbers = itertools.count(1)


def address(person: str) -> str:
    return person.rpartition("<")[2].rstrip(">")


def chat_with(*people: str) -> str:
    """The node of the JID of a chat with these."""
    return to_local(",".join(sorted(address(one) for one in people)))


def _written(connection: Connection) -> list[str]:
    mine = select(messages.c.remote_id).where(messages.c.direction == Direction.OUT).order_by(messages.c.id)
    return list(connection.execute(mine).scalars())


class Company:
    """Mira's gateway."""

    def __init__(self, store: Store, *, strangers: str = "everyone", spam: Mode = "mark") -> None:
        self.store = store
        self.clock = Clock(1_800_000_000.0)
        adapter = EmailAdapter.from_settings(SETTINGS, context("mail"))
        mail = Transport.of("mail", "mail.localhost", "s", adapter, "Email", 100_000, 100_000)
        mail = replace(mail, strangers=strangers)
        self.gateway = Gateway(store, {"mail": mail}, ["localhost"], clock=self.clock)
        self.notices: list[str] = []
        self._parse = MailParser(("chat.example",), on_spam=spam)
        wishes = Wishes(self.gateway, store, clock=self.clock)
        self._services = Services(wishes, Office(self.gateway, store, [], clock=self.clock))
        self._dialogue = Dialogue(self.clock)

    # --- from outside ---

    def read(
        self,
        writer: str,
        body: str,
        *,
        to: str = US,
        rcpt: Sequence[str] = (US,),
        told: Mapping[str, str] | None = None,
        peer: str = "127.0.0.1",
        **head: str,
    ) -> list[Incoming]:
        number = next(_numbers)
        fields = {
            "From": writer,
            "To": to,
            "Subject": "Summer party",
            "Message-ID": f"<{number}@x.org>",
            **{name.replace("_", "-"): value for name, value in head.items()},
        }
        raw = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        envelope = Envelope("mail", address(writer), tuple(rcpt), self.clock.now, peer, told or {})
        found = self._parse(f"{raw}\r\n{body}\r\n".encode(), envelope)
        return [one for one in found if isinstance(one, Incoming)]

    async def mail(self, writer: str, body: str, **more: Any) -> str:
        """A mail comes. Answers its Message-ID."""
        found = self.read(writer, body, **more)
        await self.gateway.accept(found)
        return found[0].remote_id

    async def sent_elsewhere(self, body: str, *, to: str) -> None:
        """Mira's mail program has put a mail into the folder of what was sent."""
        raw = f"From: Mira <{US}>\r\nTo: {to}\r\nMessage-ID: <{next(_numbers)}@own>\r\n\r\n{body}\r\n"
        envelope = Envelope("mail", "", (US,), self.clock.now, headers={SENT: "yes"})
        found = SourcedParser(self._parse)(raw.encode(), envelope)
        await self.gateway.accept([one for one in found if isinstance(one, Incoming)])

    async def own(self) -> list[tuple[str, str]]:
        """What is shown as mira's own since last asked: the node of the contact's JID and the text."""
        found = [one for one in await self._sent("xmpp:mail") if one.kind is Kind.OWN]
        return [(one.sender.rpartition("@")[0], one.message.body) for one in found if one.message is not None]

    async def shown(self, user: str = MIRA) -> list[tuple[str, str]]:
        """What the chat has shown since last asked: the node of the contact's JID and the text."""
        found = []
        for one in await self._sent("xmpp:mail"):
            if one.kind is Kind.MESSAGE and one.message is not None and one.recipient == user:
                local = one.sender.rpartition("@")[0]
                found.append((local, one.message.options.get(LEAD, "") + one.message.body))
            elif one.kind is Kind.NOTICE and one.note is not None:
                self.notices.append(one.note.text)
        return found

    async def stanzas(self) -> list[str]:
        """The stanza ids of what the chat shows now."""
        found = await self._sent("xmpp:mail")
        return [one.stanza_id for one in found if one.kind is Kind.MESSAGE]

    async def gateway_contacts(self) -> list[Contact]:
        return [one.contact for one in await self.store.look(desk.known, "mail", MIRA)]

    async def texts(self) -> list[str]:
        return [text for _, text in await self.shown()]

    async def told(self) -> list[str]:
        """Lines of the gateway's own since last asked."""
        await self.shown()
        told, self.notices = self.notices, []
        return told

    async def _sent(self, outlet: str) -> list[Delivery]:
        found = await claimed(self.store, outlet, self.clock.now, 500)
        for one in found:
            await settled(self.store, one, Sent(), self.clock.now)
        return sorted((one.delivery for one in found), key=lambda one: one.id)

    # --- from the user ---

    async def line(self, chat: str, body: str, **more: Any) -> Denied | None:
        number = next(_numbers)
        values: dict[str, Any] = {
            "stanza_id": f"s{number}",
            "from_full": f"{MIRA}/phone",
            "wants_receipt": False,
        }
        written = Written(MIRA, local=chat, body=body, **values | more)
        (verdict,) = await self.gateway.carry_out("mail", [written])
        return verdict

    async def mails(self) -> list[tuple[set[str], str, str]]:
        """What goes out since last asked: the envelope's recipients, To and Cc."""
        groups: dict[int, list[Delivery]] = {}
        for one in await self._sent("mail"):
            assert one.message is not None
            groups.setdefault(one.message.id, []).append(one)
        found = []
        for group in groups.values():
            assert group[0].message is not None
            raw = compose.to_email(group, group[0].message, Letterhead("chat.example")).raw.decode()
            head = dict(
                line.split(": ", 1) for line in raw.split("\r\n\r\n")[0].split("\r\n") if ": " in line
            )
            found.append(({one.recipient for one in group}, head["To"], head.get("Cc", "")))
        return found

    async def sent_ids(self) -> list[str]:
        """The Message-IDs of what mira has written, oldest first."""
        return await self.store.look(_written)

    async def says(self, chat: str, text: str) -> str:
        """A slash command in a chat, and its answer."""
        canonical = self.gateway.address_of("mail", chat).canonical
        here = Context(
            self._services,
            "mail",
            MIRA,
            f"{MIRA}/phone",
            self.gateway.languages.of(MIRA),
            await self.gateway.line_of("mail", MIRA),
            local=chat,
            address=canonical,
            stanza_id=f"s{next(_numbers)}",
        )
        return (await self._dialogue.in_chat(here, text)).text

    async def to_gateway(self, text: str) -> str:
        here = Context(
            self._services,
            "mail",
            MIRA,
            f"{MIRA}/phone",
            self.gateway.languages.of(MIRA),
            await self.gateway.line_of("mail", MIRA),
            stanza_id=f"s{next(_numbers)}",
        )
        return (await self._dialogue.at_gateway(here, text)).text

    async def another_user(self) -> None:
        await self.store.do(people.register, "mail", NOOR, "Noor", ["noor@chat.example"], 1.0)
