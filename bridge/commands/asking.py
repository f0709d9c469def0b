"""Steps that many commands share, and short ways to write them."""

from collections.abc import Sequence

from bridge.commands.model import Context, Field, Kind, Step, Steps, Values
from bridge.i18n import Phrase, tr

SURE = "sure"


def one_form(step: Step) -> Steps:
    """A command that asks for one form, always the same."""

    async def steps(_context: Context, values: Values) -> Step | None:
        return None if answered(step, values) else step

    return steps


def answered(step: Step, values: Values) -> bool:
    return all(one.name in values for one in step.fields)


def are_you_sure(title: Phrase, text: str) -> Step:
    """Lists what will happen and asks once."""
    return Step(title, (Field(SURE, tr("Go on?"), Kind.BOOL),), text)


def is_sure(values: Values) -> bool:
    return values.get(SURE) == "1"


def lines(texts: Sequence[str]) -> str:
    return "\n".join(texts)
