"""What a mail leaves in the record's memo, so that answers to it can be written. All values are text.

Mails from outside get theirs from the parser, mails of our users from `adapters.email.answering`.
"""

from collections.abc import Mapping

from adapters.email import headers
from adapters.email.addresses import lenient

# People stand as `Name <address>` or `address`, joined by ", ".
FROM = "from"
REPLY_TO = "reply_to"
TO = "to"
CC = "cc"
LIST_POST = "list_post"  # the address that reaches everybody on the list; empty where nobody may post
INVITE = "invite"  # an invitation's properties that an answer repeats (RFC 5545), one a line, unfolded

CAME_FOR = "came_for"  # the address of ours, where a report on the mail would name it

# In mails of our users only.
OWN = "own"  # "1"
QUOTE = "quote"  # "1": nothing before this has answered the same mail, so it may quote it
LANGUAGE = "language"  # of the user, for the few words that we add

Person = tuple[str, str]  # name, may be empty; address in its canonical form


def people(memo: Mapping[str, str], name: str) -> list[Person]:
    """Those who stand under one name of a memo."""
    value = memo.get(name)
    found = headers.mailboxes([value]) if value else ()
    return [(person, known) for person, address in found if (known := lenient(address))]


def written(name: str, address: str) -> str:
    """One person as a memo holds them."""
    return f"{name} <{address}>" if name else address
