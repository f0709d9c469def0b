"""Sentences and their translations: every one of ours has its German, and none loses a value."""

import pickle
import string
from dataclasses import asdict
from pathlib import Path

import pytest

from bridge.i18n import Languages, known, languages, tr, translate, trn
from bridge.model import Note
from bridge.po import compile_po, entries
from tools.catalogue import sentences

GERMAN = Path(__file__).parents[2] / "bridge/locale/de/LC_MESSAGES/passerelle.po"
OURS = ("bridge/",)  # adapters translate what they say when they are ready to


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def ours() -> list[tuple[str, str]]:
    return [key for key, files in sentences().items() if any(file.startswith(OURS) for file in files)]


@pytest.mark.parametrize(("one", "many"), ours())
def test_every_sentence_of_the_gateway_has_a_german_form_with_the_same_values(one: str, many: str) -> None:
    catalogue = dict(entries(GERMAN.read_text(encoding="utf-8")))
    translation = catalogue.get(f"{one}\0{many}" if many else one, "")
    assert translation, "python tools/catalogue.py adds it to the catalogue; then translate it"
    for form in translation.split("\0"):
        assert places(form) <= places(one) | places(many)
        if not many:
            assert places(form) == places(one)


def test_a_sentence_is_english_for_every_layer_and_the_readers_own_at_the_end() -> None:
    sentence = tr("{who} may write to you.", who="Jana")
    assert sentence == "Jana may write to you."
    assert translate(sentence, "de-AT") == "Jana darf dir schreiben."
    assert translate(sentence, "en") == translate(sentence, "fr") == sentence


def test_sentences_inside_sentences_and_numbers_are_translated_too() -> None:
    two, one = (trn("{number} hour", "{number} hours", number) for number in (2, 1))
    assert (two, one) == ("2 hours", "1 hour")
    told = tr("Not delivered: given up after {time}. Last answer: {answer}", time=two, answer="Hello {x}")
    assert translate(told, "de") == "Nicht zugestellt: aufgegeben (nach 2 Stunden). Letzte Antwort: Hello {x}"


def test_what_people_wrote_is_never_translated_and_braces_do_no_harm() -> None:
    assert translate(tr("{who} may write to you.", who="Name"), "de") == "Name darf dir schreiben."
    assert translate("{nobody} knows", "de") == tr("{nobody} knows") == "{nobody} knows"


def test_a_sentence_survives_an_exception_and_the_way_between_processes() -> None:
    sentence = tr("Nothing was sent.")
    assert translate(str(ValueError(sentence)), "de") == "Es wurde nichts gesendet."
    number = tr("{who} may write to you.", who="Name")
    for one, german in ((sentence, "Es wurde nichts gesendet."), (number, "Name darf dir schreiben.")):
        assert translate(pickle.loads(pickle.dumps(one)), "de") == german
        assert translate(asdict(Note("", one))["text"], "de") == german
    # What went through the record as plain text is found again.
    assert translate("Nothing was sent.", "de") == "Es wurde nichts gesendet."


def test_a_catalogue_leaves_out_what_is_not_translated() -> None:
    text = 'msgid "a"\nmsgstr "ä"\n\n#, fuzzy\nmsgid "b"\nmsgstr "x"\n\nmsgid "c"\nmsgstr ""\n\n'
    text += 'msgid "long "\n"one"\nmsgstr "lang"\n#~ msgid "old"\n#~ msgstr "alt"\n'
    assert dict(entries(text)) == {"a": "ä", "long one": "lang"}
    assert compile_po(text)[:4] == b"\xde\x12\x04\x95"
    with pytest.raises(ValueError, match="line 1"):
        compile_po("msgid oops\n")


def test_whose_language_counts() -> None:
    people = Languages("de")
    assert people.of("mira@localhost", "en-GB") == "en"
    assert people.of("mira@localhost", "fr") == "de"
    people.heard("mira@localhost", "en")
    assert people.of("mira@localhost", "de") == "en"
    people.learn("mira@localhost", "de")
    assert people.of("mira@localhost", "en") == "de"
    people.forget("mira@localhost")
    assert people.of("mira@localhost", "") == "de"
    assert (known("de_CH"), known("xx")) == ("de", "")
    assert languages() == ("en", "de")
