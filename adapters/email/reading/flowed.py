"""format=flowed (RFC 3676): joins the lines that a program broke, quote depth by quote depth."""


def unflow(text: str, *, delsp: bool) -> str:
    """Paragraphs joined, space-stuffing undone. Fixed lines, and the signature line, stay as they are."""
    out: list[str] = []
    open_depth = -1  # depth of the paragraph that goes on, -1 for none
    parts: list[str] = []
    for line in text.split("\n"):
        depth, body = _split_quote(line)
        flows = body.endswith(" ") and body != "-- "
        if open_depth not in (-1, depth) or (parts and body == "-- "):
            out.append(_join(open_depth, parts))
            parts, open_depth = [], -1
        parts.append(body[:-1] if flows and delsp else body)
        if flows:
            open_depth = depth
        else:
            out.append(_join(depth, parts))
            parts, open_depth = [], -1
    if parts:
        out.append(_join(open_depth, parts))
    return "\n".join(out)


def _split_quote(line: str) -> tuple[int, str]:
    body = line.lstrip(">")
    depth = len(line) - len(body)
    return depth, body.removeprefix(" ")


def _join(depth: int, parts: list[str]) -> str:
    text = "".join(parts)
    return f"{'>' * depth} {text}" if depth > 0 else text
