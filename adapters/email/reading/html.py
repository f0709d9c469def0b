from adapters.email.reading.lines import Line
def to_lines(html: str) -> tuple[list[Line], bool]:
    return [], False
