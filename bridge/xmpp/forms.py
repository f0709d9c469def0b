"""Steps of commands as data forms (XEP-0004) with validation (XEP-0122), and filled-in forms as values."""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from bridge.commands.model import Field, Kind, Reply, Step
from bridge.i18n import translate
from bridge.xmpp import xml

VALIDATE = "http://jabber.org/protocol/xdata-validate"
ADMIN_FORM = "http://jabber.org/protocol/admin"

_FORM = f"{{{xml.DATA_FORM}}}"
_TYPES = {
    Kind.TEXT: "text-single",
    Kind.LONG: "text-multi",
    Kind.BOOL: "boolean",
    Kind.CHOICE: "list-single",
    Kind.NUMBER: "text-single",
    Kind.JID: "jid-single",
    Kind.SECRET: "text-private",
    Kind.JIDS: "jid-multi",
    Kind.ADDRESS: "text-single",
}


def ask(step: Step, values: Mapping[str, str], language: str, form_type: str = "") -> str:
    """The form of a step; `values` stand in its fields, where they are known."""
    fields = "".join(_field(one, values.get(one.name, one.value), language) for one in step.fields)
    text = f"<instructions>{xml.text(translate(step.text, language))}</instructions>" if step.text else ""
    return (
        f"<x xmlns='{xml.DATA_FORM}' type='form'><title>{xml.text(translate(step.title, language))}</title>"
        f"{text}{_form_type(form_type)}{fields}</x>"
    )


def _form_type(name: str) -> str:
    if not name:
        return ""
    return f"<field type='hidden' var='FORM_TYPE'><value>{xml.text(name)}</value></field>"


def _field(one: Field, value: str, language: str) -> str:
    required = "<required/>" if one.required else ""
    options = "".join(
        f"<option label='{xml.attribute(translate(choice.label, language))}'>"
        f"<value>{xml.text(choice.value)}</value></option>"
        for choice in one.choices
    )
    return (
        f"<field type='{_TYPES[one.kind]}' var='{xml.attribute(one.name)}'"
        f" label='{xml.attribute(translate(one.label, language))}'>{_validation(one)}{required}"
        f"{_values(one, value)}{options}</field>"
    )


def _values(one: Field, value: str) -> str:
    if one.kind is Kind.SECRET:
        return ""  # not even to who typed it: forms travel
    if one.kind in (Kind.LONG, Kind.JIDS):
        return "".join(f"<value>{xml.text(line)}</value>" for line in value.split("\n")) if value else ""
    if one.kind is Kind.BOOL:
        return f"<value>{'1' if value == '1' else '0'}</value>"
    return f"<value>{xml.text(value)}</value>" if value else ""


def _validation(one: Field) -> str:
    if one.kind is not Kind.NUMBER:
        return ""
    bounds = (("min", one.least), ("max", one.most))
    limits = "".join(f" {name}='{bound}'" for name, bound in bounds if bound is not None)
    how = f"<range{limits}/>" if limits else "<basic/>"
    return f"<validate xmlns='{VALIDATE}' datatype='xs:integer'>{how}</validate>"


def read(form: Element) -> dict[str, str]:
    """The values of a submitted form; several values of a field become lines."""
    return {
        field.get("var") or "": "\n".join(value.text or "" for value in field.findall(f"{_FORM}value"))
        for field in form.findall(f"{_FORM}field")
    }


def result(reply: Reply, form_type: str = "") -> str:
    """A command's result as a form; empty when its words say it all."""
    if reply.shown:
        fields = "".join(
            f"<field var='{xml.attribute(one.name)}' label='{xml.attribute(one.label)}' type='{one.kind}'>"
            + "".join(f"<value>{xml.text(value)}</value>" for value in one.values)
            + "</field>"
            for one in reply.shown
        )
        return f"<x xmlns='{xml.DATA_FORM}' type='result'>{_form_type(form_type)}{fields}</x>"
    if reply.table is None:
        return ""
    names = [name for name, _ in reply.table.columns]
    columns = "".join(
        f"<field var='{xml.attribute(name)}' label='{xml.attribute(label)}' type='text-single'/>"
        for name, label in reply.table.columns
    )
    items = "".join(
        "<item>"
        + "".join(
            f"<field var='{xml.attribute(name)}'><value>{xml.text(cell)}</value></field>"
            for name, cell in zip(names, row, strict=True)
        )
        + "</item>"
        for row in reply.table.rows
    )
    return f"<x xmlns='{xml.DATA_FORM}' type='result'><reported>{columns}</reported>{items}</x>"
