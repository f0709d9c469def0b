"""Puts what a user wrote into words of the record, as far as its transport can take it."""

import uuid
from dataclasses import replace

from bridge.events import Denied, Transport, Written
from bridge.gateway.house import House
from bridge.i18n import tr, translate
from bridge.model import Address
from bridge.options import CORRECTION, REACTION, SUBJECT
from bridge.policy import is_short_code
from bridge.store.attaching import message_stanza
from bridge.store.drafts import Draft
from bridge.store.rows import hash_key

MOST_SUBJECT = 900  # characters; a header line holds 998 bytes (RFC 5322 section 2.1.1)
MOST_PARTS = 10  # of one text: a novel that was pasted by mistake would cost hundreds


def draft(house: House, transport: Transport, written: Written, address: Address) -> Draft:
    """A message to this address, ready to be recorded. Raises Denied when it is too long."""
    uid = uuid.uuid4().hex
    able = transport.adapter.capabilities
    body, files = written.body, written.files
    if files and not able.attachments:
        body, files = "\n".join([body, *_links(written)] if body else _links(written)), ()
    one = Draft(
        transport=transport.name,
        jid=written.from_bare,
        from_jid=written.from_full,
        to_jid=f"{written.local}@{transport.jid}",
        local=written.local,
        address=address,
        uid=uid,
        stanza_id=written.stanza_id,
        dedupe=_dedupe(transport, written, address),
        body=body,
        wants_receipt=written.wants_receipt,
        remote_id=transport.names_messages.remote_id(uid) if transport.names_messages else "",
        subject=" ".join((written.subject or written.options.get(SUBJECT, "")).split())[:MOST_SUBJECT],
        thread=written.thread[:256],
        reply_to=message_stanza(written.reply_to),
        parts=_parts(transport, body),
        threaded=able.subjects,
        first_subject=transport.names_threads.first_subject(body or files[0].name)
        if transport.names_threads and (body or files)
        else "",
        files=files,
        options=written.options,
        direct=transport.addresses.addressed if transport.addresses else None,
        coalesce=able.coalesce_seconds,
        first_hold=0.0 if is_short_code(address.canonical) else able.first_hold,
        needs_parent=REACTION in written.options,
        replaces=written.replaces,
    )
    return replace(one, follow_up=_follow_up(house, transport, one, written)) if one.replaces else one


def _links(written: Written) -> list[str]:
    return [one.source for one in written.files]


def _dedupe(transport: Transport, written: Written, address: Address) -> str:
    """By what a repeat is known. Without an id nothing is one: some clients have none."""
    identity = written.origin_id or written.stanza_id
    if not identity:
        return ""
    parts = (transport.name, written.from_bare, address.canonical, identity, written.body)
    return hash_key("xmpp", *parts, *_links(written))


def _follow_up(house: House, transport: Transport, one: Draft, written: Written) -> Draft:
    """What goes out if the message that this corrects has gone already."""
    options = {**one.options, CORRECTION: written.replaces}
    if transport.adapter.capabilities.corrections:
        return replace(one, options=options)
    language = house.languages.of(written.from_bare, written.language)
    body = translate(tr("Correction: {text}", text=one.body), language)
    return replace(one, body=body, parts=_parts(transport, body), options=options)


def _parts(transport: Transport, body: str) -> int:
    """How many deliveries a text becomes. Raises Denied when it is too long for the transport."""
    if transport.splits_text is not None:
        count = max(len(transport.splits_text.parts(body)), 1)
        if count > MOST_PARTS:
            raise Denied(
                tr(
                    "This is too long: it would go as {count} messages, and at most {most} go through. Send "
                    "less of it, or a file.",
                    count=count,
                    most=MOST_PARTS,
                )
            )
        return count
    longest = transport.adapter.capabilities.longest_text
    if longest is not None and len(body) > longest:
        raise Denied(
            tr(
                "This is too long: {count} characters, and at most {most} go through. Send it in parts.",
                count=len(body),
                most=longest,
            )
        )
    return 1
