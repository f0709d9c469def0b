"""Mail with several people as one chat: where it goes, what stands before a line, whom answers reach, on
SQLite and PostgreSQL. Raw mails in, mails out."""

from typing import Any

import pytest

from bridge.model import MOST_SPELLED, together
from bridge.store import names, own_addresses, people
from bridge.store.engine import Store
from bridge.store.routing import belongs
from tests.bridge.company import EVA, JANA, MIRA, NOOR, TOM, US, Company, chat_with

TRIO = chat_with(JANA, TOM)


@pytest.fixture
def company(store: Store) -> Company:
    return Company(store)


# --- decisions ---


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ({"a@x": "Jana Berg", "b@y": "Tom Ray"}, ["Jana", "Tom"]),
        ({"a@x": "Jana Berg", "b@y": "Jana Ray"}, ["Jana", "Jana Ray"]),
        ({"a@x": "Jana Berg", "b@y": "Jana Berg"}, ["Jana", "Jana Berg (b@y)"]),
        ({"a@x": "Jana Berg", "b@y": "jana"}, ["Jana", "jana (b@y)"]),
        ({"a@x": "", "b@y": "Dr. Berg"}, ["a@x", "Dr. Berg"]),
        ({"a@x": "Info", "b@y": "a@x"}, ["Info", "a@x"]),
    ],
)
def test_people_are_called_briefly_as_long_as_it_is_clear_who_is_meant(
    people: dict[str, str], expected: list[str]
) -> None:
    assert [names.label(one, people) for one in people] == expected


def test_a_chat_is_called_after_its_people() -> None:
    five = {f"{name}@x": f"{name} Ray" for name in ("Jana", "Tom", "Eva", "Ann", "Bob")}
    assert names.listed(five) == "Jana, Tom, +3"
    assert names.listed(five, 5_000) == "Jana, Tom, +4998"
    assert names.listed(dict(list(five.items())[:3])) == "Jana, Tom, Eva"


def test_the_address_of_several_does_not_depend_on_their_order_and_fits_a_jid() -> None:
    few = [f"p{n}@example.com" for n in range(MOST_SPELLED)]
    assert together(few) == together(reversed(few))
    assert together(few).canonical == ",".join(sorted(few))
    many = [*few, "one@more.example"]
    assert together(many) == together(reversed(many))
    assert together(many).canonical.startswith("group-")
    assert together(many).people == tuple(sorted(many))
    long = [f"{'x' * 60}{n}@{'y' * 60}.example" for n in range(8)]
    assert len(together(long).canonical) < 40


@pytest.mark.parametrize(
    ("writer", "people", "let_in"),
    [
        ("jana", {"jana"}, True),
        ("carol", {"carol", "jana", "tom"}, True),
        ("carol", {"carol", "jana"}, False),
        ("carol", {"carol"}, False),
    ],
)
def test_who_may_continue_a_chat(writer: str, people: set[str], let_in: bool) -> None:
    assert belongs(writer, people, ["jana", "tom", "eva"]) is let_in


# --- in ---


async def test_one_mail_to_several_is_one_chat_and_a_reply_to_all_lands_there(company: Company) -> None:
    first = await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    assert await company.shown() == [
        (TRIO, "✉ Jana Berg <jana@x.org> · Summer party\n👥 Also to Tom Ray\nJana: Saturday?")
    ]
    await company.mail(TOM, "Fine.", to=JANA, Cc=US, In_Reply_To=first)
    await company.mail(JANA, "Another thing", to=US, Cc=TOM, Subject="Rent")
    assert await company.shown() == [(TRIO, "Tom: Fine."), (TRIO, "✉ Rent\nJana: Another thing")]
    (known,) = [one for one in await company.gateway_contacts() if "," in one.address]
    assert known.name == "Jana, Tom"


async def test_a_private_reply_stays_private(company: Company) -> None:
    first = await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    await company.mail(TOM, "Between us: no.", In_Reply_To=first)
    assert (await company.shown())[1] == (
        r"tom\40y.org",
        "✉ Tom Ray <tom@y.org> · Summer party\nBetween us: no.",
    )


async def test_a_thread_stays_when_somebody_comes_or_goes(company: Company) -> None:
    first = await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    second = await company.mail(TOM, "Eva should know.", to=f"{JANA}, {US}", Cc=EVA, In_Reply_To=first)
    third = await company.mail(EVA, "I know.", to=f"{TOM}, {JANA}, {US}", In_Reply_To=second)
    await company.mail(EVA, "Without Tom", to=f"{JANA}, {US}", References=f"{first} {third}")
    assert [text for local, text in await company.shown() if local == TRIO][1:] == [
        "+ Eva was added\nTom: Eva should know.",
        "Eva: I know.",
        "− Tom is left out now\nEva: Without Tom",
    ]
    assert await company.says(TRIO, "/who") == "\n".join(
        (
            "You, mira@chat.example",
            "Jana Berg <jana@x.org>",
            "Eva Klein <eva@z.org>",
            "Left out of the latest mail: Tom Ray <tom@y.org>",
            "A plain line answers one of them alone; /all answers everybody.",
        )
    )


async def test_a_guessed_id_lets_no_stranger_in_and_a_borrowed_name_is_seen_through(company: Company) -> None:
    first = await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}, {EVA}")
    await company.mail("Jana Berg <jana@evil.org>", "Pay me", to=f"{US}, x@evil.org", In_Reply_To=first)
    await company.mail("Jana Berg <jana@evil.org>", "Pay me!", to=f"{US}, {TOM}, {EVA}", In_Reply_To=first)
    shown = await company.shown()
    assert shown[1][0] == chat_with("<jana@evil.org>", "<x@evil.org>")
    assert shown[2] == (
        chat_with(JANA, TOM, EVA),
        "+ Jana Berg <jana@evil.org> writes here now, and was not in it before\n"
        "− Jana is left out now\nJana Berg (jana@evil.org): Pay me!",
    )


async def test_an_id_that_leaked_makes_no_chat_with_the_people_of_the_other(company: Company) -> None:
    asked = await company.mail(JANA, "Party?", to=f"{US}, {TOM}")
    await company.shown()
    theirs = f"{EVA}, Bob <bob@z.org>"
    await company.mail(EVA, "Buy now", to=theirs, References=asked, Message_ID="<spam@z.org>")
    assert [local for local, _ in await company.shown()] == [chat_with(EVA)]


async def test_what_the_user_sent_from_another_program_to_all_and_themselves_is_shown(
    company: Company,
) -> None:
    await company.mail(JANA, "Party?", to=f"{US}, {TOM}")
    await company.mail(f"Mira <{US}>", "I bring cake", to=f"{JANA}, {TOM}", Cc=US)
    await company.mail(JANA, "Yum", to=f"{US}, {TOM}")
    shown = await company.shown()
    assert [local for local, _ in shown] == [TRIO, TRIO, TRIO]
    assert shown[1][1].endswith(f"{US}: I bring cake")
    assert (await company.says(TRIO, "/who")).splitlines()[1:3] == [JANA, TOM]


async def test_a_blind_copy_and_a_forward_stay_with_their_writer(company: Company) -> None:
    await company.mail(JANA, "psst", to=TOM)
    await company.mail(JANA, "nobody is named", to="undisclosed-recipients:;")
    await company.mail(JANA, "a group of RFC 5322", to=f"Friends: {US}, {US};")
    assert await company.shown() == [
        (r"jana\40x.org", "✉ Jana Berg <jana@x.org> · Summer party\n👥 Also to Tom Ray\npsst"),
        (r"jana\40x.org", "nobody is named"),
        (r"jana\40x.org", "a group of RFC 5322"),
    ]


async def test_forty_answers_by_way_of_an_alias_are_one_chat(company: Company) -> None:
    """None of them names us: all@corp.example does."""
    first = await company.mail(JANA, "Who took my mug?", to="all@corp.example")
    for n in range(8):
        person = f"Colleague {n} <c{n}@corp.example>"
        await company.mail(person, f"not me {n}", to=JANA, Cc="all@corp.example", In_Reply_To=first)
    shown = await company.shown()
    assert len({local for local, _ in shown}) == 2
    assert shown[8][1].endswith("\nColleague 7: not me 7")
    refused = await company.line(shown[8][0], "stop", options={"all": "1"})
    assert refused is not None
    assert "neither To nor Cc" in refused.text


async def test_the_users_own_mail_that_an_alias_brings_back_is_not_shown_again(company: Company) -> None:
    first = await company.mail(JANA, "Hello all", to=f"{US}, all@corp.example")
    await company.line(chat_with(JANA, "<all@corp.example>"), "Hi", options={"all": "1"})
    sent = (await company.sent_ids())[0]
    await company.mail(
        f"Mira <{US}>", "Hi", to=JANA, Cc="all@corp.example", Message_ID=sent, References=first
    )
    assert len(await company.shown()) == 1


async def test_two_of_our_users_in_one_mail_each_have_it_once(company: Company) -> None:
    await company.another_user()
    token = "noor+abcdefgh@chat.example"
    both = (US, "noor@chat.example")
    first = await company.mail(JANA, "You two?", to=f"{US}, noor@chat.example", rcpt=both)
    assert [local for local, _ in await company.shown()] == [chat_with(JANA, "<noor@chat.example>")]
    await company.mail(JANA, "Well?", to=f"{US}, {US}, {token}", rcpt=both, In_Reply_To=first)
    assert await company.shown() == [(chat_with(JANA, "<noor@chat.example>"), "Jana: Well?")]
    assert [local for local, _ in await company.shown(NOOR)] == []


async def test_two_addresses_of_one_user_in_one_mail_show_it_once_and_are_never_answered(
    company: Company,
) -> None:
    other = "mira@home.example"
    line = await company.store.look(people.line_of, "mail", MIRA)
    assert line is not None
    await company.store.do(own_addresses.take, line, [other], 3, frozenset(), company.clock.now)
    more: dict[str, Any] = {"to": f"{US}, {other}, {TOM}", "Message_ID": "<twice@x.org>"}
    await company.mail(JANA, "Saturday?", rcpt=(US,), **more)
    await company.mail(JANA, "Saturday?", rcpt=(other,), **more)  # its mailbox is read a minute later
    assert [local for local, _ in await company.shown()] == [TRIO]
    await company.says(TRIO, "/all I come")
    assert [to for to, _, _ in await company.mails()] == [{"jana@x.org", "tom@y.org"}]
    await company.mail(JANA, "Both of you?", to=f"{US}, {other}", rcpt=(US, other))
    ((alone, _),) = await company.shown()
    await company.says(alone, "/all us both")
    assert [to for to, _, _ in await company.mails()] == [{"jana@x.org"}]
    await company.line(r"mira\40home.example", "A note to myself")
    assert [to for to, _, _ in await company.mails()] == [{other}]


async def test_who_stands_in_an_address_twice_or_by_a_token_is_one(company: Company) -> None:
    await company.mail(JANA, "x", to=f"{US}, MIRA@Chat.Example, mira+token123@chat.example, {TOM}, TOM@y.org")
    ((local, _),) = await company.shown()
    assert local == TRIO


async def test_five_thousand_recipients_are_one_chat_with_a_short_name(company: Company) -> None:
    crowd = ",\r\n ".join(f"Person {n} <p{n}@crowd.example>" for n in range(5_000))
    first = await company.mail(JANA, "To all of you", to=f"{crowd}, {US}")
    await company.mail("Person 9 <p9@crowd.example>", "Stop", to=JANA, Cc=f"{crowd}, {US}", In_Reply_To=first)
    await company.mail("Person 4999 <p4999@crowd.example>", "Me too", to=f"{JANA}, {crowd}, {US}")
    shown = await company.shown()
    assert len({local for local, _ in shown}) == 1
    assert shown[0][0].startswith("group-")
    assert "👥 Also to Person 0, Person 1, Person 2 and 4997 more\n" in shown[0][1]
    assert [text for _, text in shown[1:]] == ["Person 9: Stop", "Person 4999: Me too"]
    refused = await company.line(shown[0][0], "Sorry", options={"all": "1"})
    assert refused is not None
    assert "100" in refused.text


# --- out ---


async def test_a_plain_line_answers_one_person_and_says_so_once(company: Company) -> None:
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    await company.line(TRIO, "I come")
    await company.line(TRIO, "with cake")
    assert await company.mails() == [({"jana@x.org"}, "Jana Berg <jana@x.org>", "")] * 2
    assert await company.told() == ["Goes to Jana alone; /all answers everybody."]
    await company.mail(TOM, "Fine.", to=f"{JANA}, {US}")
    await company.line(TRIO, "And you, Tom?")
    assert [to for to, _, _ in await company.mails()] == [{"tom@y.org"}]
    assert await company.told() == ["Goes to Tom alone."]


async def test_a_swipe_chooses_which_mail_is_answered(company: Company) -> None:
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}", Reply_To="Jana at home <jana@home.example>")
    chosen = (await company.stanzas())[0]
    await company.mail(TOM, "Fine.", to=f"{JANA}, {US}")
    await company.line(TRIO, "With my sister", reply_to=chosen)
    assert [to for to, _, _ in await company.mails()] == [{"jana@home.example"}]


async def test_an_answer_to_all_reaches_everybody_of_the_answered_mail(company: Company) -> None:
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}", Cc=EVA)
    await company.says(chat_with(JANA, TOM, EVA), "/all I come")
    ((reached, to, cc),) = await company.mails()
    assert reached == {"jana@x.org", "tom@y.org", "eva@z.org"}
    assert to == "Jana Berg <jana@x.org>, Tom Ray <tom@y.org>"
    assert cc == "Eva Klein <eva@z.org>"
    assert await company.told() == []


async def test_more_than_five_are_announced_first(company: Company) -> None:
    crowd = [f"P{n} Ray <p{n}@x.org>" for n in range(7)]
    await company.mail(JANA, "All of you", to=", ".join([US, *crowd]))
    ((chat, _),) = await company.shown()
    assert "Reaches 8 people (Jana, P0, +6)" in await company.says(chat, "/all me too")
    assert await company.mails() == []
    await company.says(chat, "/yes")
    assert len((await company.mails())[0][0]) == 8


async def test_a_chat_that_was_typed_goes_to_all_and_meets_their_answers(company: Company) -> None:
    typed = r"tom\40y.org,jana\40x.org"
    await company.line(typed, "Dinner?")
    await company.line(typed, "At eight?")
    assert [to for to, _, _ in await company.mails()] == [{"jana@x.org", "tom@y.org"}] * 2
    assert await company.told() == []
    sent = (await company.sent_ids())[0]
    await company.mail(TOM, "Yes!", to=f"{US}, {JANA}", In_Reply_To=sent, Subject="Re: Dinner?")
    assert await company.shown() == [(typed, "Tom: Yes!")]
    await company.line(typed, "Good")
    assert [to for to, _, _ in await company.mails()] == [{"tom@y.org"}]
    assert await company.told() == ["Goes to Tom alone; /all answers everybody."]


async def test_a_new_subject_goes_to_everybody_but_not_unasked_to_many(company: Company) -> None:
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    await company.line(TRIO, "Who drives?", subject="Cars")
    await company.line(TRIO, "I could")
    assert [to for to, _, _ in await company.mails()] == [{"jana@x.org", "tom@y.org"}] * 2
    assert await company.told() == ["Goes to Jana, Tom."]
    crowd = [f"P{n} Ray <p{n}@x.org>" for n in range(7)]
    await company.mail(JANA, "All of you", to=", ".join([US, *crowd]))
    ((chat, _),) = [one for one in await company.shown() if "All of you" in one[1]]
    refused = await company.line(chat, "Who drives?", subject="Cars")
    assert refused is not None
    assert "Reaches 8 people (Jana, P0 Ray, +6). /yes" in refused.text
    assert await company.line(chat, "Who drives?", subject="Cars", options={"posts": "1"}) is None
    assert len((await company.mails())[0][0]) == 8


async def test_after_a_month_a_plain_line_still_reaches_one_person_only(company: Company) -> None:
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    company.clock.now += 40 * 86400
    await company.line(TRIO, "How was it?")
    await company.line(TRIO, "Really?")
    assert [to for to, _, _ in await company.mails()] == [{"jana@x.org"}] * 2


async def test_a_correction_reaches_whom_the_corrected_line_reached(company: Company) -> None:
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    await company.line(TRIO, "I com", options={"all": "1"}, stanza_id="typo")
    await company.mails()
    await company.mail(TOM, "Fine.", to=f"{JANA}, {US}")
    await company.line(TRIO, "I come", replaces="typo")
    assert [to for to, _, _ in await company.mails()] == [{"jana@x.org", "tom@y.org"}]


# --- who may ---


async def test_a_known_writer_passes_whoever_else_got_it_and_a_stranger_is_asked_about(store: Store) -> None:
    company = Company(store, strangers="ask")
    await company.to_gateway("add jana@x.org")
    await company.told()
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}, {EVA}")
    assert len(await company.shown()) == 1
    await company.mail(TOM, "Buy this", to=f"{US}, {EVA}, a@x.org")
    assert await company.shown() == []
    assert await company.told() == ["✉ Tom Ray <tom@y.org> (+2) · Summer party: accept 1 or block 1?"]
    await company.to_gateway("accept 1")
    assert await company.texts() == [
        "✉ Tom Ray <tom@y.org> · Summer party\n👥 Also to Eva Klein, a@x.org\nTom: Buy this"
    ]
    await company.mail(TOM, "just us")
    assert await company.shown() == [(r"tom\40y.org", "✉ Summer party\njust us")]


async def test_whom_the_user_blocks_is_silent_in_every_chat(store: Store) -> None:
    company = Company(store, strangers="ask")
    await company.mail(TOM, "Buy this", to=f"{US}, {EVA}")
    await company.to_gateway("block 1")
    await company.mail(TOM, "Buy that", to=f"{US}, {JANA}")
    await company.mail(TOM, "Please")
    assert await company.shown() == []
    assert [one for one in await company.told() if "Tom" in one][1:] == []


async def test_a_blocked_chat_says_nothing_of_its_people(company: Company) -> None:
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    await company.says(TRIO, "/block")
    await company.mail(JANA, "Sunday?", to=f"{US}, {TOM}")
    await company.mail(JANA, "You?")
    assert [text.rpartition("\n")[2] for text in await company.texts()] == ["Jana: Saturday?", "You?"]


# --- spam, as the mail server before us sees it ---

SPAM = {"X_Spam_Flag": "YES"}


async def test_spam_is_marked_where_the_settings_hold_nothing_back(company: Company) -> None:
    await company.mail(JANA, "Buy", told={"spam": "yes"}, X_Spam_Status="Yes, score=9.1")
    await company.mail(JANA, "Lunch?", told={"spam": "yes"}, X_Spam_Status="No, score=-1")
    assert await company.texts() == [
        "✉ Jana Berg <jana@x.org> · Summer party\n⚠ Your mail server takes this for spam.\nBuy",
        "Lunch?",
    ]


async def test_nobody_but_the_trusted_server_calls_a_mail_spam(company: Company) -> None:
    await company.mail(JANA, "Lunch?", peer="192.0.2.9", **SPAM)
    assert await company.texts() == ["✉ Jana Berg <jana@x.org> · Summer party\nLunch?"]


@pytest.mark.parametrize("policy", ["everyone", "ask"])
async def test_a_wave_of_spam_is_held_without_a_word_and_listed_as_such(store: Store, policy: str) -> None:
    company = Company(store, strangers=policy, spam="hold")
    await company.to_gateway("add jana@x.org")
    await company.told()
    for n in range(5):
        await company.mail(f"Pills {n} <p{n}@spam.example>", "Buy", told={"spam": "yes"}, **SPAM)
    await company.mail(JANA, "from a friend", told={"spam": "yes"}, **SPAM)
    assert await company.texts() == ["✉ Summer party\n⚠ Your mail server takes this for spam.\nfrom a friend"]
    assert await company.told() == []
    listed = await company.to_gateway("strangers")
    assert "✉ Pills 0 <p0@spam.example> ⚠ spam? · Summer party" in listed
    await company.to_gateway("settings strangers everyone")
    await company.to_gateway("add someone@else.example")
    assert await company.texts() == []
    await company.to_gateway("accept p1@spam.example")
    assert [text.rpartition("\n")[2] for text in await company.texts()] == ["Buy"]


async def test_what_looks_like_spam_reaches_nobody_who_is_asked_about_an_honest_stranger(
    store: Store,
) -> None:
    company = Company(store, strangers="ask", spam="hold")
    await company.mail("Pills <p@spam.example>", "Buy", told={"spam": "yes"}, **SPAM)
    await company.mail(TOM, "Hello", told={"spam": "yes"})
    assert await company.told() == ["✉ Tom Ray <tom@y.org> · Summer party: accept 1 or block 1?"]


# --- what the user wrote elsewhere ---


async def test_what_the_user_sent_to_several_from_another_program_stands_in_their_chat(
    company: Company,
) -> None:
    await company.mail(JANA, "Saturday?", to=f"{US}, {TOM}")
    await company.sent_elsewhere("I come", to=f"{JANA}, {TOM}")
    await company.sent_elsewhere("To you alone", to=JANA)
    assert await company.own() == [(TRIO, "I come"), (r"jana\40x.org", "To you alone")]
