"""What of a link is written out beside its text."""

from urllib.parse import parse_qs, unquote, urlsplit

_LONGEST = 2000


def target(href: str) -> str:
    """Where a link leads: a web or mail address without a security product's wrapper, else ""."""
    href = "".join(href.split())[:_LONGEST]
    lowered = href[:12].lower()
    if lowered.startswith(("http://", "https://")):
        return _unwrapped(href)
    if lowered.startswith("mailto:"):
        return "mailto:" + unquote(href[7:].split("?", 1)[0])
    return ""


def addition(text: str, href: str) -> str:
    """What is to be added to the link's text: "(url)", "<address>" or nothing."""
    text = " ".join(text.split())
    if href.startswith("mailto:"):
        address = href[7:]
        return f"<{address}>" if "@" in address and "@" not in text else ""
    if _same(text) == _same(href) or _same(text).startswith(_same(href)):
        return ""
    return f"({href})"


def _same(text: str) -> str:
    text = text.strip(" <>()*_").lower()
    for beginning in ("https://", "http://", "www."):
        text = text.removeprefix(beginning)
    return text.rstrip("/")


def _unwrapped(href: str) -> str:
    """Outlook's Safe Links and Google's redirect carry the real address as a parameter."""
    if "safelinks.protection.outlook.com" not in href[:80] and not href[:40].startswith(
        "https://www.google.com/url?"
    ):
        return href
    try:
        query = parse_qs(urlsplit(href).query, max_num_fields=20)
    except ValueError:
        return href
    inner = (query.get("url") or query.get("q") or [""])[0]
    return inner if inner.startswith(("http://", "https://")) else href
