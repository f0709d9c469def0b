"""How the people of one chat are called there: as briefly as it stays clear who is meant. Pure."""

from collections.abc import Mapping, Sequence

_LONGEST = 40
_NAMED = 2  # of more than three
_ALL_NAMED = 3


def brief(name: str, address: str) -> str:
    """`Jana` for Jana Berg; a name that does not look like a person's stays whole."""
    words = name.split()
    if not words:
        return address
    if len(words) > 1 and len(words[0]) > 1 and all(word.replace("-", "").isalpha() for word in words):
        return words[0]
    return name[:_LONGEST].rstrip()


def label(address: str, people: Mapping[str, str]) -> str:
    """What stands before the lines of this one of `people` (address → name, in the order in which they
    came). Whoever came earlier keeps a name; a later one of the same name is told apart by more of it, at
    last by the address: a display name is anybody's to choose."""
    name = people.get(address, "")
    earlier = []
    for one, called in people.items():
        if one == address:
            break
        earlier.append((one, called))
    short = brief(name, address)
    if all(brief(called, one).casefold() != short.casefold() for one, called in earlier):
        return short
    whole = name[:_LONGEST].rstrip() or address
    if all(
        whole.casefold() not in (called.casefold(), brief(called, one).casefold()) for one, called in earlier
    ):
        return whole
    return f"{whole} ({address})"


def listed(people: Mapping[str, str], count: int = 0) -> str:
    """`Jana, Tom, +3`: a name for a chat of these. `count` is how many there are, if not all are given."""
    labels = [label(address, people) for address in list(people)[:_ALL_NAMED]]
    count = max(count, len(people))
    if count <= _ALL_NAMED:
        return ", ".join(labels)
    return f"{', '.join(labels[:_NAMED])}, +{count - _NAMED}"


def spelled(address: str, name: str) -> str:
    """`Jana Berg <jana@x.org>`."""
    return f"{name} <{address}>" if name else address


def shared(names: Sequence[str], most: int) -> tuple[str, int]:
    """The first of some names, with commas between, and how many are left out."""
    if len(names) <= most + 1:
        return ", ".join(names), 0
    return ", ".join(names[:most]), len(names) - most
