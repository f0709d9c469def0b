"""The tables of the record. Times are seconds since 1970 (UTC); addresses are canonical.

Migrations under `migrations/` bring a database here; a test compares the two.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from bridge.model import OPEN_STATES, State

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite gives out row ids by itself only to a column declared INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")

users = Table(
    "users",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("jid", String(3071), nullable=False, unique=True),  # bare
    Column("language", String(35), nullable=False, server_default=""),  # chosen
    Column("spoken", String(35), nullable=False, server_default=""),  # of the last typed command
    Column("sends_receipts", Boolean, nullable=False, server_default=false()),  # a client of theirs does
    Column("created_at", Double, nullable=False),
)

# A user's place on a transport.
lines = Table(
    "lines",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("transport", String(64), nullable=False),
    Column("address", String(320), nullable=False),  # from which goes what goes from no other of its own
    Column("name", String(256), nullable=False, server_default=""),
    Column("choices", Text, nullable=False, server_default=""),  # the user's own settings, as JSON
    # The transport itself is still to be put into the user's roster, and the user welcomed.
    Column("new_here", Boolean, nullable=False, server_default=false()),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("user_id", "transport"),
)

# All addresses that a line has; `lines.address` is one of them. What comes for any of them is the user's.
line_addresses = Table(
    "line_addresses",
    metadata,
    Column("line_id", ForeignKey("lines.id", ondelete="CASCADE"), primary_key=True),
    Column("address", String(320), primary_key=True),
    Column("transport", String(64), nullable=False),  # the line's
    Column("shared", Boolean, nullable=False, server_default=false()),  # others may have the same address
    Column("created_at", Double, nullable=False),
    Index(
        "uq_line_addresses_transport_address",
        "transport",
        "address",
        unique=True,
        sqlite_where=text("NOT shared"),
        postgresql_where=text("NOT shared"),
    ),
    Index(None, "transport", "address"),
)

contacts = Table(
    "contacts",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("transport", String(64), nullable=False),
    Column("address", String(1023), nullable=False),
    Column("original", String(1023), nullable=False),
    Column("local", String(1023), nullable=False),  # node of the contact's JID, escaped, as nodeprep folds it
    Column("name", String(256), nullable=False, server_default=""),
    Column("said", String(256), nullable=False, server_default=""),  # what one person called themselves last
    Column("subscribed", Boolean, nullable=False, server_default=false()),
    Column("standing", String(8), nullable=False, server_default=""),  # "", allowed, blocked
    Column("muted", Boolean, nullable=False, server_default=false()),
    Column("muted_until", Double, nullable=False, server_default="0"),  # 0: until the user says otherwise
    Column("waiting", Boolean, nullable=False, server_default=false()),  # something of theirs is held
    Column("size", Integer, nullable=False, server_default="0"),  # of several people: how many; else 0
    # Of several people: whom the user's last plain line went to, as the user was told.
    Column("goes_to", String(320), nullable=False, server_default=""),
    Column("list_name", String(256), nullable=False, server_default=""),  # it is a mailing list
    Column("posts", Boolean, nullable=False, server_default=false()),  # the user knows, and posts there
    Column("asked", Integer, nullable=False, server_default="0"),  # their number while asking
    Column("created_at", Double, nullable=False),
    UniqueConstraint("user_id", "transport", "address"),
    UniqueConstraint("user_id", "transport", "local"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("transport", String(64), nullable=False),
    # The ids of its contacts in order, joined by commas: one conversation for each set of people.
    Column("people", String(1024), nullable=False),
    Column("displayed_id", _Id, nullable=False, server_default="0"),  # the last message that the user read
    # Which of the user's addresses it goes on from: the one written to or chosen last. Empty: the line's.
    Column("own", String(320), nullable=False, server_default=""),
    UniqueConstraint("user_id", "transport", "people"),
)

conversation_contacts = Table(
    "conversation_contacts",
    metadata,
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True),
    Column("contact_id", ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True, index=True),
)

# The people of a contact that is several: a mail went to them together. Perhaps not all, if they are many.
members = Table(
    "members",
    metadata,
    Column("contact_id", ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True),
    Column("address", String(320), primary_key=True),
    Column("name", String(256), nullable=False, server_default=""),  # as they or others call them
    Column("position", Integer, nullable=False),  # in which order they came
    Column("gone", Boolean, nullable=False, server_default=false()),  # the latest mail left them out
    Column("wrote", Boolean, nullable=False, server_default=false()),  # something of theirs has come here
)

threads = Table(
    "threads",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(256), nullable=False, server_default=""),  # XEP-0201
    Column("subject", String(998), nullable=False, server_default=""),
    Column("ids", Text, nullable=False, server_default=""),  # remote ids, oldest first, a space between
    Column("last_in_id", _Id),  # the newest message from outside: what a plain line answers
    Column("answered_id", _Id),  # what a line of the user's answered last: it is quoted once
    Column("used_at", Double, nullable=False),
    Index(None, "conversation_id", "used_at"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("uid", String(32), nullable=False),
    Column("transport", String(64), nullable=False),
    Column("direction", String(3), nullable=False),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("thread_id", ForeignKey("threads.id", ondelete="SET NULL")),
    Column("stanza_id", String(256), nullable=False, server_default=""),
    Column("remote_id", String(998), nullable=False, server_default=""),
    Column("in_reply_to", String(998), nullable=False, server_default=""),
    Column("refs", Text, nullable=False, server_default=""),
    Column("answers_id", _Id),  # outwards: the message from outside that this answers
    Column("options", Text, nullable=False, server_default=""),  # what the user asked for, as JSON
    Column("memo", Text, nullable=False, server_default=""),  # what the adapter wants to find again, as JSON
    Column("thread", String(256), nullable=False, server_default=""),
    Column("subject", String(998), nullable=False, server_default=""),
    Column("body", Text, nullable=False),
    Column("written_at", Double, nullable=False),
    Column("from_jid", Text, nullable=False, server_default=""),  # outwards: the full JID that wrote it
    Column("to_jid", Text, nullable=False, server_default=""),  # outwards: the contact's JID
    Column("wants_receipt", Boolean, nullable=False, server_default=false()),
    Column("parts_left", Integer, nullable=False, server_default="1"),  # deliveries without their receipt
    Column("told", String(8), nullable=False, server_default=""),  # what the writer heard; see telling.py
    Column("receipt_at", Double),  # inwards: the client's XEP-0184 receipt
    # Several lines of chat may go as one: the others name the one whose delivery carries them.
    Column("envelope_id", _Id),
    Column("lines", Integer, nullable=False, server_default="1"),  # how many its delivery carries
    Column("corrects_id", _Id),  # XEP-0308: the message that this replaces or follows up
    Column("delayed_at", Double),  # when the writer was told that it is still being tried
    Column("files", Integer, nullable=False, server_default="0"),  # how many attachments it has
    Index(None, "stanza_id", "transport"),
    Index(
        "ix_messages_envelope_id",
        "envelope_id",
        sqlite_where=text("envelope_id IS NOT NULL"),
        postgresql_where=text("envelope_id IS NOT NULL"),
    ),
    # For whoever leaves: each thread that goes is looked for here (its foreign key).
    Index(
        "ix_messages_thread_id",
        "thread_id",
        sqlite_where=text("thread_id IS NOT NULL"),
        postgresql_where=text("thread_id IS NOT NULL"),
    ),
    Index(
        "ix_messages_remote_id",
        "remote_id",
        "transport",
        sqlite_where=text("remote_id <> ''"),
        postgresql_where=text("remote_id <> ''"),
    ),
)

# The conditions of the partial indices, in words that a query must repeat literally: SQLite does not
# see through bound values.
OPEN = "state IN ({})".format(", ".join(f"'{state}'" for state in OPEN_STATES))
ASLEEP = f"state IN ('{State.WAITING}', '{State.DOUBT}')"

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("outlet", String(80), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("lane", String(160), nullable=False),
    Column("message_id", ForeignKey("messages.id", ondelete="CASCADE"), index=True),
    Column("sender", Text, nullable=False),
    Column("sender_name", String(256), nullable=False, server_default=""),
    Column("recipient", Text, nullable=False),
    Column("stanza_id", String(256), nullable=False, server_default=""),
    Column("note", Text, nullable=False, server_default=""),  # model.Note as JSON
    Column("part", Integer, nullable=False, server_default="1"),
    Column("parts", Integer, nullable=False, server_default="1"),
    Column("state", String(9), nullable=False),
    Column("due_at", Double, nullable=False),
    Column("hold_until", Double, nullable=False, server_default="0"),  # while waiting: its lane stands
    # "": nothing but its due time; "window": more lines; "hold": second thoughts. Not sent until closed.
    Column("waits_for", String(8), nullable=False, server_default=""),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("uncertain", Boolean, nullable=False, server_default=false()),
    Column("first_tried_at", Double),
    Column("recorded_at", Double, nullable=False),
    Column("settled_at", Double),
    Column("remote_id", String(998), nullable=False, server_default=""),
    Column("reason", Text, nullable=False, server_default=""),
    Column("code", String(64), nullable=False, server_default=""),
    CheckConstraint("kind IN ('message', 'own', 'file', 'receipt', 'error', 'notice')", name="kind"),
    # The open ones are few beside those kept for the id map: claims read this index alone.
    Index(
        "ix_deliveries_open",
        "outlet",
        "lane",
        "id",
        sqlite_where=text(OPEN),
        postgresql_where=text(OPEN),
    ),
    # When to look at a lane again; empty while all goes well.
    Index(
        "ix_deliveries_asleep",
        "outlet",
        "lane",
        "due_at",
        sqlite_where=text(ASLEEP),
        postgresql_where=text(ASLEEP),
    ),
    Index(
        "ix_deliveries_remote_id",
        "remote_id",
        sqlite_where=text("remote_id <> ''"),
        postgresql_where=text("remote_id <> ''"),
    ),
)

# A file on disk, under data_dir/blobs. No row without its file; a file without a row is swept away.
blobs = Table(
    "blobs",
    metadata,
    Column("token", String(48), primary_key=True),  # unguessable: it stands in addresses
    Column("name", String(255), nullable=False),
    Column("media_type", String(128), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("url", Text, nullable=False, server_default=""),  # where it has been uploaded to
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

attachments = Table(
    "attachments",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("message_id", ForeignKey("messages.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),  # from 1; 0 is the raw input, which is not shown
    Column("blob", ForeignKey("blobs.token", ondelete="SET NULL"), index=True),
    Column("name", String(255), nullable=False, server_default=""),
    Column("media_type", String(128), nullable=False, server_default=""),
    Column("size", BigInteger, nullable=False, server_default="0"),
    Column("source", Text, nullable=False, server_default=""),  # outwards: where the user shared it
    UniqueConstraint("message_id", "position"),
)

intake = Table(
    "intake",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("transport", String(64), nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("envelope", Text, nullable=False),  # model.Envelope as JSON
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("set_aside", Boolean, nullable=False, server_default=false()),  # nobody could read it
    Column("received_at", Double, nullable=False),
)

# How far a source (a mailbox's folder) has been taken in, as its adapter writes it down.
cursors = Table(
    "cursors",
    metadata,
    Column("name", String(512), primary_key=True),  # begins with the transport's name and a slash
    Column("value", String(128), nullable=False),
)

# A user's own mailbox behind a line. It counts while the line has its address.
accounts = Table(
    "accounts",
    metadata,
    Column("line_id", ForeignKey("lines.id", ondelete="CASCADE"), primary_key=True),
    Column("address", String(320), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # servers and credentials, encrypted by the adapter
    Column("brought_at", Double, nullable=False),
)

seen = Table(
    "seen",
    metadata,
    Column("key", String(64), primary_key=True),  # hash of scope and dedupe key
    Column("at", Double, nullable=False, index=True),
)

invites = Table(
    "invites",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("token", String(64), nullable=False, unique=True),  # its hash
    Column("jid", String(3071), nullable=False, server_default=""),  # bare; empty: whoever has the token
    Column("invited_by", String(3071), nullable=False, server_default=""),
    Column("used_by", String(3071), nullable=False, server_default=""),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
)

# A user's word that an address is theirs, until a code has proven it.
proofs = Table(
    "proofs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("transport", String(64), nullable=False),
    Column("address", String(320), nullable=False),
    Column("code", String(64), nullable=False),  # its hash
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("sent_at", Double, nullable=False),
    Column("sealed", LargeBinary),  # the account of this address that is to be the user's then
    UniqueConstraint("user_id", "transport"),
)

# Outlets that an admin has stopped.
stops = Table(
    "stops",
    metadata,
    Column("outlet", String(80), primary_key=True),
    Column("stopped_by", String(3071), nullable=False, server_default=""),
    Column("at", Double, nullable=False),
)

statuses = Table(
    "statuses",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("transport", String(64), nullable=False),
    Column("remote_id", String(998), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("recipient", String(320), nullable=False, server_default=""),  # which of several, if it is told
    Column("code", String(64), nullable=False, server_default=""),
    Column("at", Double, nullable=False),
    UniqueConstraint("transport", "remote_id", "outcome", "recipient"),
)

adapter_memory = Table(
    "adapter_memory",
    metadata,
    Column("transport", String(64), primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("value", Text, nullable=False),  # JSON
    Column("until", Double, nullable=False, index=True),
)

# What is known of a contact beside address and name. `named_by` tells whose word the contact's name is.
cards = Table(
    "cards",
    metadata,
    Column("contact_id", ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True),
    Column("named_by", String(8), nullable=False, server_default=""),  # "", user, import
    Column("note", Text, nullable=False, server_default=""),  # the user's own words about them
    Column("photo", ForeignKey("blobs.token", ondelete="SET NULL"), index=True),
    Column("photo_type", String(64), nullable=False, server_default=""),
    Column("photo_hash", String(40), nullable=False, server_default=""),  # SHA-1, as XEP-0153 has it
    Column("photo_from", String(8), nullable=False, server_default=""),  # mail, import
    # From an address book, and none of them has written to the other yet: not for the roster.
    Column("quiet", Boolean, nullable=False, server_default=false()),
)

# An address book elsewhere (CardDAV) that a user reads contacts from.
books = Table(
    "books",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),  # where it is and the login, encrypted
    Column("read_at", Double, nullable=False),
)

# An import of an address book that is under way; after a start: that was cut off.
imports = Table(
    "imports",
    metadata,
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("transport", String(64), nullable=False),  # where the user asked for it
    Column("done", Integer, nullable=False, server_default="0"),
    Column("people", Integer, nullable=False, server_default="0"),  # of how many; 0: it is being read
)

# People of the admin's own address book: everybody's users know them. One row for each address.
directory = Table(
    "directory",
    metadata,
    Column("transport", String(64), primary_key=True),
    Column("address", String(320), primary_key=True),
    Column("original", String(320), nullable=False),
    Column("name", String(256), nullable=False, server_default=""),
    Column("photo", ForeignKey("blobs.token", ondelete="SET NULL"), index=True),
    Column("photo_type", String(64), nullable=False, server_default=""),
    Column("photo_hash", String(40), nullable=False, server_default=""),  # as in cards
    Column("photo_source", String(40), nullable=False, server_default=""),  # of the picture as it came
)

# How a contact stands in its user's roster and block list at the chat server (XEP-0356, XEP-0191).
roster_items = Table(
    "roster_items",
    metadata,
    Column("contact_id", ForeignKey("contacts.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(1023), nullable=False, server_default=""),  # as it was last seen or written there
    Column("gone", Boolean, nullable=False, server_default=false()),  # the user has removed it
    Column("shut_out", Boolean, nullable=False, server_default=false()),  # blocked at the server: ours, too
)

# Whom a user who left must still lose: the chat server has not been told yet.
farewells = Table(
    "farewells",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("transport", String(64), nullable=False, index=True),
    Column("jid", String(3071), nullable=False),  # bare, of the user
    Column("local", String(1023), nullable=False),  # node of the contact's JID; empty: the transport itself
)
