"""Names that layers agree on: what a user asked for with one message, what a user has chosen on a
transport, and what an adapter may tell of a message that came. All values are text."""

# --- Written.options, Message.options: wishes about one message, set by commands, obeyed by adapters ---

ALL = "all"  # "1": to everybody who got the answered message, not to its writer alone
CC = "cc"  # further recipients, canonical addresses joined by ", "
SUBJECT = "subject"  # begin a new thread of this name (Written.subject says the same)
RSVP = "rsvp"  # the answer to the invitation in the answered message: one of RSVPS
REACTION = "reaction"  # one emoji about the answered message; the body is its readable form
UNREACTION = "unreaction"  # the emoji that is taken back from the answered message; REACTION is empty then
CORRECTION = "correction"  # stanza id of the message that this replaces
QUOTE = "quote"  # how much of the answered message goes along: one of QUOTES; overrides the choice
POSTS = "posts"  # "1": the user knows that this goes to a mailing list
PROOF = "proof"  # "1": carries a code; shown to nobody on this side (find, export, logs)
AUTO = "auto"  # "1": a program wrote it, and nobody is to answer by one (RFC 3834)

RSVPS = ("accepted", "declined", "tentative")
QUOTES = ("off", "short", "full")

# --- Line.choices, Delivery.choices: a user's own settings on one transport; absent means the default ---

COALESCE = "coalesce"  # seconds, "0" to "120"
QUOTING = "quote"  # one of QUOTES
SIGNATURE = "signature"  # text below each message
STRANGERS = "strangers"  # one of STRANGER_POLICIES
ZONE = "zone"  # offset of the user's clock from UTC, as their client told it: `+02:00`
ELSEWHERE = "elsewhere"  # "off": no line about what the user wrote in another program
PAUSED = "paused"  # "1": what comes is kept until the user resumes

STRANGER_POLICIES = ("everyone", "ask", "contacts")

# --- Incoming.memo, as far as the gateway itself reads it ---

MEMO_LIST = "list"  # the name of the mailing list that a plain answer to this message would go to
MEMO_OTHERS = "others"  # who else got it, as RFC 5322 mailboxes joined by ", ": whom /all would reach
MEMO_INVITATION = "invitation"  # "1": it invites, so that RSVP makes sense
MEMO_AUTO = "auto"  # a program wrote it: REPLIED if it answers by itself, else GENERATED
MEMO_SPAM = "spam"  # its server takes it for spam: "hold" it back from who is not known, or "mark" it
MEMO_RETURN = "return"  # whom its adapter shall tell if it can never be delivered
MEMO_TOPIC = "topic"  # what it is about, as an id: a later message about it says what has changed
FACT = "fact_"  # begins the names of facts about the topic: `fact_when`

REPLIED, GENERATED = "replied", "generated"

# --- Message.options of messages from outside, set where they are recorded ---

LEAD = "lead"  # what stands before the body in the chat, and is no part of what was written
REACTS_TO = "reacts_to"  # stanza id of the message that REACTION is about; that is empty to take it back
KNOWN_SUBJECT = "known_subject"  # "1": the subject says nothing that the chat has not shown
