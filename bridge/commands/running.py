"""Carries one command through its steps: with what is known so far, to a question or an answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from bridge.commands.model import Command, Context, Field, Invalid, Kind, Partial, Refused, Reply, Step
from bridge.commands.tree import may
from bridge.i18n import tr


@dataclass(frozen=True, slots=True)
class Asking:
    """A step that cannot be filled in with what was typed."""

    step: Step
    filled: Mapping[str, str]  # fields of the step that could
    missing: Field


def require(context: Context, command: Command) -> None:
    """Raises Refused for who may not run it now."""
    if may(context, command):
        return
    if context.line is None:
        raise Refused(tr("You are not registered here yet. Type register to begin."))
    raise Refused(tr("This cannot be done here."))


async def begin(context: Context, command: Command, words: str) -> Reply | Asking:
    """Run a command with the words that were typed after its name. Raises Refused, Invalid, Denied."""
    require(context, command)
    if command.typed is not None and (values := await command.typed(context, words)) is not None:
        if isinstance(values, Partial):
            return await proceed(context, command, values)
        return await command.run(context, values)
    return await proceed(context, command, {}, words)


async def proceed(
    context: Context, command: Command, values: Mapping[str, str], words: str = ""
) -> Reply | Asking:
    """Fill in steps from words as long as they last, and run the command when nothing is missing."""
    known = dict(values)
    while (step := await command.steps(context, known)) is not None:
        filled, words, missing = _fill(step, words)
        if missing is not None:
            return Asking(step, {**known, **filled}, missing)
        known |= filled
    return await command.run(context, known)


def _fill(step: Step, words: str) -> tuple[dict[str, str], str, Field | None]:
    """Values for the fields of a step, in order; the words left; the first field that has no value."""
    filled: dict[str, str] = {}
    for one in step.fields:
        if one.rest:
            taken, words = words.strip(), ""
        else:
            taken, _, words = words.strip().partition(" ")
        if not taken and one.kind is Kind.CHOICE:
            taken = one.value
        if not taken and one.required:
            return filled, words, one
        filled[one.name] = one.read(taken)
    return filled, words, None


async def answer(context: Context, command: Command, asked: Asking, text: str) -> Reply | Asking:
    """Fill the missing field with a line of text, and go on. Raises Invalid when it cannot be that."""
    require(context, command)
    if not text.strip() and asked.missing.required:
        raise Invalid(tr("“{label}” is missing.", label=asked.missing.label))
    known = {**asked.filled, asked.missing.name: asked.missing.read(text)}
    for one in asked.step.fields:
        if one.name in known:
            continue
        if one.required and not one.value:
            return Asking(asked.step, known, one)
        known[one.name] = one.value
    return await proceed(context, command, known)
