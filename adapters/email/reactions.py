"""A mail that is a reaction to another (RFC 9078): one part that says so, and one emoji in it."""

from adapters.email.reading import mime

_LONGEST = 30  # code points; families with skin tones have some ten


def emoji(root: mime.Part, shown: str) -> str:
    """The emoji that a mail consists of, given the text that is shown of it; empty if it says more."""
    line = shown.strip()
    if len(line) > _LONGEST or line.isascii() or len(line.split()) != 1 or any(map(str.isalpha, line)):
        return ""
    return line if any(map(_is_reaction, _leaves(root))) else ""


def _is_reaction(part: mime.Part) -> bool:
    told = str(part.head.get("content-disposition", "")).partition(";")[0]
    return part.kind == "text/plain" and told.strip().lower() == "reaction"


def _leaves(part: mime.Part) -> list[mime.Part]:
    if not part.kind.startswith("multipart/"):
        return [part]
    return [leaf for child in part.children for leaf in _leaves(child)]
