"""Names that layers agree on: what a user asked for with one message, what a user has chosen on a
transport, and what an adapter may tell of a message that came. All values are text."""

# --- Written.options, Message.options: wishes about one message, set by commands, obeyed by adapters ---

ALL = "all"  # "1": to everybody who got the answered message, not to its writer alone
CC = "cc"  # further recipients, canonical addresses joined by ", "
SUBJECT = "subject"  # begin a new thread of this name (Written.subject says the same)
RSVP = "rsvp"  # the answer to the invitation in the answered message: one of RSVPS
REACTION = "reaction"  # one emoji about the answered message; the body is its readable form
CORRECTION = "correction"  # stanza id of the message that this replaces
QUOTE = "quote"  # how much of the answered message goes along: one of QUOTES; overrides the choice
PROOF = "proof"  # "1": carries a code; shown to nobody on this side (find, export, logs)

RSVPS = ("accepted", "declined", "tentative")
QUOTES = ("off", "short", "full")

# --- Line.choices, Delivery.choices: a user's own settings on one transport; absent means the default ---

COALESCE = "coalesce"  # seconds, "0" to "120"
QUOTING = "quote"  # one of QUOTES
SIGNATURE = "signature"  # text below each message
STRANGERS = "strangers"  # one of STRANGER_POLICIES
PAUSED = "paused"  # "1": what comes is kept until the user resumes

STRANGER_POLICIES = ("everyone", "ask", "contacts")

# --- Incoming.memo, as far as the gateway itself reads it ---

MEMO_LIST = "list"  # the name of the mailing list that a plain answer to this message would go to
MEMO_OTHERS = "others"  # who else got it, as RFC 5322 mailboxes joined by ", ": whom /all would reach
MEMO_INVITATION = "invitation"  # "1": it invites, so that RSVP makes sense
