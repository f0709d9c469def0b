"""The IMAP client: what aioimaplib does wrong and this must do right, against a scripted server."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.email import imap_words
from adapters.email.imap_client import (
    Client,
    CommandRefused,
    ImapLogin,
    ImapTrouble,
    LoginRefused,
    connected,
)
from adapters.email.imap_in import Folder, Place, Watch, batches
from bridge.model import Envelope
from tests.adapters.contract import MemoryInbox

# --- words ---


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("INBOX", "INBOX"),
        ("Tom & Jerry", "Tom &- Jerry"),
        ("Entwürfe", "Entw&APw-rfe"),
        ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("😀", "&2D3eAA-"),
    ],
)
def test_mailbox_names_travel_in_modified_utf7(name: str, encoded: str) -> None:
    assert imap_words.to_utf7(name) == encoded
    assert imap_words.from_utf7(encoded) == name


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
def test_any_mailbox_name_comes_back_as_it_was(name: str) -> None:
    assert imap_words.to_utf7(name).isascii()
    assert imap_words.from_utf7(imap_words.to_utf7(name)) == name


@pytest.mark.parametrize("broken", ["&", "&-", "&!!-", "&AP-", "&A-", "a&b"])
def test_a_broken_mailbox_name_is_shown_somehow(broken: str) -> None:
    assert imap_words.from_utf7(broken)


@pytest.mark.parametrize(
    ("uids", "written"), [([7], "7"), ([1, 2, 3], "1:3"), ([9, 3, 4, 7, 5], "3:5,7,9"), ([4, 4], "4")]
)
def test_sets_of_uids_are_short(uids: list[int], written: str) -> None:
    assert imap_words.uid_set(uids) == written


@pytest.mark.parametrize(
    ("pieces", "name", "marks"),
    [
        ([rb'LIST (\HasNoChildren \Sent) "/" "Gesendet"'], "Gesendet", {"\\hasnochildren", "\\sent"}),
        ([rb"LIST () NIL INBOX"], "INBOX", set()),
        ([rb'LIST () "." "a \"b\" \\c"'], 'a "b" \\c', set()),
        ([rb'LIST () "/" {6}', b"Sent ?", b""], "Sent ?", set()),
        ([rb'LIST () "/" "Entw&APw-rfe"'], "Entwürfe", set()),
    ],
)
def test_a_folder_is_read_from_the_list(pieces: list[bytes], name: str, marks: set[str]) -> None:
    found = imap_words.folder_listed(pieces)
    assert found == imap_words.Folder(name, frozenset(marks))


@pytest.mark.parametrize(
    ("folders", "chosen"),
    [
        ([("INBOX", ""), ("Versendet", "\\sent"), ("Sent", "")], "Versendet"),
        ([("INBOX", ""), ("Sent Items", "")], "Sent Items"),
        ([("Sent", "\\noselect"), ("INBOX.Sent", "")], "INBOX.Sent"),
        ([("INBOX", "")], ""),
    ],
)
def test_the_folder_of_sent_mails_is_found(folders: list[tuple[str, str]], chosen: str) -> None:
    listed = [imap_words.Folder(name, frozenset([mark])) for name, mark in folders]
    assert imap_words.sent_folder(listed) == chosen


def test_bodies_are_found_wherever_the_uid_stands() -> None:
    answers = [
        [b"1 FETCH (UID 5 BODY[] {3}", b"abc", b")"],
        [b"2 FETCH (BODY[] {2}", b"de", b" UID 6)"],
        [rb'3 FETCH (UID 7 BODY[] "f \"g\"")'],
        [b"4 FETCH (UID 8 BODY[] NIL)"],
        [b"5 FETCH (FLAGS (\\Seen))"],
        [b"9 EXISTS"],
    ]
    assert imap_words.bodies_fetched(answers) == {5: b"abc", 6: b"de", 7: b'f "g"', 8: b""}


def test_batches_are_small_in_number_and_size_and_keep_the_order() -> None:
    sizes = dict.fromkeys(range(1, 251), 1000) | {120: 30_000_000, 200: 9_000_000}
    made = list(batches(range(1, 251), sizes, most_bytes=25_000_000))
    assert [uid for batch in made for uid in batch] == list(range(1, 251))
    assert max(map(len, made)) <= 100
    assert [120] in made
    assert all(len(batch) == 1 or sum(sizes[uid] for uid in batch) <= 10_000_000 for batch in made)


# --- the connection ---

Script = Callable[["Talk"], Awaitable[None]]


class Talk:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self.heard: list[str] = []

    def say(self, *lines: str | bytes) -> None:
        self.writer.writelines(
            (line.encode() if isinstance(line, str) else line) + b"\r\n" for line in lines
        )

    async def line(self) -> str:
        text = (await self._reader.readline()).decode().rstrip("\r\n")
        if not text and self._reader.at_eof():
            raise ConnectionResetError
        self.heard.append(text)
        return text

    async def command(self, *answers: str | bytes, done: str = "OK done") -> str:
        """Hear a command and answer it. Answers what it was, without its tag."""
        tag, _, rest = (await self.line()).partition(" ")
        self.say(*answers, f"{tag} {done}")
        return rest

    async def begin(self, capabilities: str = "IMAP4rev1 IDLE") -> None:
        self.say("* OK ready")
        await self.command(f"* CAPABILITY {capabilities}")
        assert (await self.command()).startswith(("LOGIN", "AUTH"))
        await self.command(f"* CAPABILITY {capabilities}")


@asynccontextmanager
async def server(script: Script) -> AsyncIterator[ImapLogin]:
    """A server that follows the script on each connection; how to log in to it."""
    failures: list[BaseException] = []
    talking: set[asyncio.Task[Any]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        try:
            await script(Talk(reader, writer))
        except (ConnectionError, asyncio.CancelledError):
            pass
        except BaseException as error:
            failures.append(error)
        finally:
            writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 20)
    port = listener.sockets[0].getsockname()[1]
    try:
        yield ImapLogin("127.0.0.1", port, "none", "mira", "secret", patience=2.0, most_octets=1 << 20)
    finally:
        listener.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        await listener.wait_closed()
    assert failures == []


async def until_gone(talk: Talk) -> None:
    with suppress(ConnectionError):
        while True:
            await talk.line()


async def test_thousands_of_answers_in_one_chunk_are_read_in_linear_time() -> None:
    mails = {uid: f"mail {uid}\r\n".encode() for uid in range(1, 5001)}

    async def script(talk: Talk) -> None:
        await talk.begin()
        chunk = b"".join(
            b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (uid, uid, len(raw), raw)
            for uid, raw in mails.items()
        )
        await talk.command(chunk.removesuffix(b"\r\n"))
        await until_gone(talk)

    async with server(script) as login, connected(login) as client:
        client._wire.state = "SELECTED"
        began = time.perf_counter()
        fetched = await client.fetch(range(1, 5001), 100_000)
        assert fetched == mails
        assert time.perf_counter() - began < 1.0


async def test_answers_may_come_in_any_pieces() -> None:
    async def script(talk: Talk) -> None:
        await talk.begin()
        tag = (await talk.line()).partition(" ")[0]
        raw = b"* 1 FETCH (UID 5 BODY[] {12}\r\n* 9 EXISTS\r\n)\r\n" + f"{tag} OK\r\n".encode()
        for place in range(len(raw)):
            talk.writer.write(raw[place : place + 1])
            await talk.writer.drain()
        await until_gone(talk)

    async with server(script) as login, connected(login) as client:
        client._wire.state = "SELECTED"
        assert await client.fetch([5], 12) == {5: b"* 9 EXISTS\r\n"}


async def test_a_lost_connection_wakes_idle_at_once() -> None:
    async def script(talk: Talk) -> None:
        await talk.begin()
        await talk.line()
        talk.say("+ idling")
        talk.writer.transport.abort()

    async with server(script) as login:
        async with connected(login) as client:
            client._wire.state = "SELECTED"
            began = time.monotonic()
            with pytest.raises(ImapTrouble, match="closed the connection"):
                await client.idle(30, asyncio.Event())
        assert time.monotonic() - began < 1.0


async def test_a_server_that_falls_silent_is_left_within_the_time() -> None:
    async def script(talk: Talk) -> None:
        await talk.begin()
        await until_gone(talk)

    async with server(script) as login:
        with pytest.raises(ImapTrouble, match="did not answer within 2 s"):
            async with connected(login) as client:
                await client.noop()


async def test_a_failed_xoauth2_is_answered_and_refused() -> None:
    heard: list[str] = []

    async def script(talk: Talk) -> None:
        talk.say("* OK ready")
        await talk.command("* CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2")
        tag, _, rest = (await talk.line()).partition(" ")
        heard.append(base64.b64decode(rest.split()[-1]).decode())
        talk.say("+ eyJzdGF0dXMiOiI0MDAifQ==")
        heard.append(await talk.line())
        talk.say(f"{tag} NO [AUTHENTICATIONFAILED] Invalid credentials")
        await until_gone(talk)

    async with server(script) as login:
        token = ImapLogin(login.host, login.port, "none", "mira@x.example", "token", "xoauth2", patience=2.0)
        with pytest.raises(LoginRefused, match="Invalid credentials"):
            async with connected(token):
                pass
    assert heard == ["user=mira@x.example\1auth=Bearer token\1\1", ""]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("NO [AUTHENTICATIONFAILED] no", LoginRefused),
        ("NO no", LoginRefused),
        ("NO [UNAVAILABLE] Temporary authentication failure", ImapTrouble),
        ("NO [LIMIT] Too many connections", ImapTrouble),
    ],
)
async def test_a_wrong_password_is_told_from_a_server_that_is_busy(
    answer: str, kind: type[ImapTrouble]
) -> None:
    async def script(talk: Talk) -> None:
        talk.say("* OK ready")
        await talk.command("* CAPABILITY IMAP4rev1")
        await talk.command(done=answer)
        await until_gone(talk)

    async with server(script) as login:
        with pytest.raises(ImapTrouble) as caught:
            async with connected(login):
                pass
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("sends", "words"),
    [
        (b"* 1 FETCH (UID 5 BODY[] {99999999}", "more than was asked"),
        (b"* OK " + b"x" * 12_000_000, "more than was asked|a line without end"),
        (b"* BYE down for maintenance", "maintenance|closed"),
        (b"A9 OK nobody asked", "speaks no IMAP"),
    ],
)
async def test_a_hostile_server_is_left_alone(sends: bytes, words: str) -> None:
    async def script(talk: Talk) -> None:
        await talk.begin()
        await talk.line()
        talk.say(sends)
        await talk.writer.drain()
        await until_gone(talk)

    async with server(script) as login, connected(login) as client:
        client._wire.state = "SELECTED"
        asked = client.idle(5, asyncio.Event()) if sends.startswith(b"* BYE") else client.fetch([5], 10)
        with pytest.raises(ImapTrouble, match=words):
            await asked


@pytest.mark.parametrize("greeting", ["* BYE too busy", "220 mx.example.org ESMTP", ""])
async def test_what_is_no_imap_server_is_said_to_be_none(greeting: str) -> None:
    async def script(talk: Talk) -> None:
        talk.say(greeting)
        await until_gone(talk)

    async with server(script) as login:
        with pytest.raises(ImapTrouble, match="does not want us"):
            async with connected(login):
                pass


# --- following a folder ---


class Box:
    """A mailbox behind the scripted server: enough of IMAP for one follower."""

    def __init__(self, mails: dict[int, bytes], validity: int = 7) -> None:
        self.mails = mails
        self.validity = validity
        self.seen: list[str] = []
        self.broken: set[int] = set()  # UIDs that the server cannot fetch
        self.fetched: list[str] = []
        self.flagged = asyncio.Event()

    async def __call__(self, talk: Talk) -> None:
        await talk.begin()
        while True:
            tag, _, rest = (await talk.line()).partition(" ")
            if rest == "IDLE":
                talk.say("+ idling")
                assert await talk.line() == "DONE"
                talk.say(f"{tag} OK")
            elif rest == "LOGOUT":
                talk.say("* BYE", f"{tag} OK")
                return
            else:
                lines, done = self.answer(rest)
                talk.say(*lines, f"{tag} {done}")

    def answer(self, command: str) -> tuple[Sequence[str | bytes], str]:
        match command.split():
            case ["SELECT", _]:
                last = max(self.mails, default=0)
                return [f"* OK [UIDVALIDITY {self.validity}] ok", f"* OK [UIDNEXT {last + 1}] ok"], "OK"
            case ["UID", "SEARCH", "UID", wanted]:
                first = int(wanted.partition(":")[0])
                found = [uid for uid in self.mails if uid >= first] or list(self.mails)[-1:]
                return ["* SEARCH " + " ".join(map(str, found))], "OK"
            case ["UID", "SEARCH", "SINCE", _]:
                return ["* SEARCH " + " ".join(map(str, self.mails))], "OK"
            case ["UID", "FETCH", wanted, *what]:
                return self._fetch(self._uids(wanted), " ".join(what))
            case ["UID", "STORE", wanted, *_]:
                self.seen.append(wanted)
                self.flagged.set()
        return [], "OK"

    def _uids(self, wanted: str) -> list[int]:
        uids: list[int] = []
        for run in wanted.split(","):
            first, _, last = run.partition(":")
            uids += [uid for uid in range(int(first), int(last or first) + 1) if uid in self.mails]
        return uids

    def _fetch(self, uids: list[int], what: str) -> tuple[Sequence[str | bytes], str]:
        if "RFC822.SIZE" in what:
            return [f"* 1 FETCH (UID {uid} RFC822.SIZE {len(self.mails[uid])})" for uid in uids], "OK"
        self.fetched.append(f"{imap_words.uid_set(uids)} {what}")
        if self.broken & set(uids):
            return [], "NO [SERVERBUG] broken"
        return [
            b"* 1 FETCH (UID %d BODY[] {%d}\r\n%s)" % (uid, len(self.mails[uid]), self.mails[uid])
            for uid in uids
        ], "OK"


@asynccontextmanager
async def followed(box: Box, inbox: MemoryInbox, **options: Any) -> AsyncIterator[Watch]:
    """The box is followed until everything that was in it has been looked at."""

    async def address(raw: bytes, place: str) -> Envelope | None:
        if b"stray" in raw:
            return None
        return Envelope("mail", "", ("mira@x.example",), 1.0, headers={"at": place})

    watch = Watch(Folder("INBOX", "box", address, **options), inbox, time.time)
    async with server(box) as login:

        async def follow(client: Client) -> None:
            await watch.follow(client)

        async with connected(login) as client:
            following = asyncio.create_task(follow(client))
            async with asyncio.timeout(10):
                done, _ = await asyncio.wait(
                    [following, ready := asyncio.create_task(watch.up_to_date.wait())],
                    return_when=asyncio.FIRST_COMPLETED,
                )
            if following in done:
                ready.cancel()
                await following
            try:
                yield watch
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)


async def test_the_first_run_takes_in_nothing_old() -> None:
    inbox = MemoryInbox()
    async with followed(Box({3: b"old", 5: b"older"}), inbox):
        pass
    assert inbox.taken == []
    assert inbox.cursors == {"box": "7:5"}


async def test_what_is_new_is_taken_in_with_its_place_and_then_flagged() -> None:
    inbox = MemoryInbox(cursors={"box": "7:3"})
    box = Box({3: b"old", 5: b"new", 6: b"a stray", 9: b"newest"})
    async with followed(box, inbox, mark_taken=True):
        pass
    assert [raw for raw, _ in inbox.taken] == [b"new", b"newest"]
    assert [envelope.headers["at"] for _, envelope in inbox.taken] == ["INBOX:7:5", "INBOX:7:9"]
    assert inbox.cursors == {"box": "7:9"}
    assert box.seen == ["5,9"]


async def test_the_last_mail_is_not_taken_again_though_the_server_offers_it() -> None:
    inbox = MemoryInbox(cursors={"box": "7:9"})
    async with followed(Box({9: b"known"}), inbox):
        pass
    assert inbox.taken == []


async def test_a_folder_that_is_numbered_anew_is_looked_through_from_two_days_back() -> None:
    inbox = MemoryInbox(cursors={"box": "6:50"})
    async with followed(Box({1: b"recent", 2: b"just now"}), inbox):
        pass
    assert [raw for raw, _ in inbox.taken] == [b"recent", b"just now"]
    assert inbox.cursors == {"box": "7:2"}


async def test_nothing_is_flagged_and_the_place_stays_when_recording_fails() -> None:
    def full() -> None:
        raise OSError("disk full")

    inbox = MemoryInbox(cursors={"box": "7:3"}, before=full)
    box = Box({5: b"new"})
    with pytest.raises(OSError, match="disk full"):
        async with followed(box, inbox, mark_taken=True):
            pass
    assert (inbox.cursors, box.seen) == ({"box": "7:3"}, [])


async def test_a_mail_that_the_server_cannot_give_stops_no_other() -> None:
    inbox = MemoryInbox(cursors={"box": "7:1"})
    box = Box({2: b"good", 3: b"broken", 4: b"good too"})
    box.broken = {3}
    async with followed(box, inbox):
        pass
    assert [raw for raw, _ in inbox.taken] == [b"good", b"good too"]
    assert inbox.cursors == {"box": "7:4"}


async def test_of_a_mail_that_is_too_large_the_head_comes_with_a_notice() -> None:
    inbox = MemoryInbox(cursors={"box": "7:1"})
    box = Box({2: b"Subject: film\r\n\r\n" + b"x" * 5000, 3: b"small"})
    async with followed(box, inbox, most_bytes=1000):
        pass
    assert "HEADER.FIELDS" in box.fetched[0]
    assert b"too large for chat" in inbox.taken[0][0]
    assert inbox.taken[1][0] == b"small"


async def test_what_the_user_has_read_is_flagged_unless_the_numbers_have_changed() -> None:
    inbox = MemoryInbox(cursors={"box": "7:5"})
    box = Box({5: b"read"})
    async with followed(box, inbox) as watch:
        watch.mark_seen(6, 4)
        watch.mark_seen(7, 5)
        async with asyncio.timeout(5):
            await box.flagged.wait()
    assert box.seen == ["5"]


@pytest.mark.parametrize(("text", "place"), [("7:9", Place(7, 9)), ("", None), ("x:1", None), ("7", None)])
def test_a_place_is_read_back(text: str, place: Place | None) -> None:
    assert Place.read(text) == place


async def test_a_refused_folder_says_so() -> None:
    async def script(talk: Talk) -> None:
        await talk.begin()
        assert await talk.command(done="NO no such mailbox") == 'SELECT "Entw&APw-rfe \\"x\\""'
        await until_gone(talk)

    async with server(script) as login, connected(login) as client:
        with pytest.raises(CommandRefused, match="no such mailbox"):
            await client.select('Entwürfe "x"')


async def test_a_server_that_refuses_to_idle_says_so_at_once() -> None:
    async def script(talk: Talk) -> None:
        await talk.begin()
        assert await talk.command(done="BAD not now") == "IDLE"
        await until_gone(talk)

    async with server(script) as login, connected(login) as client:
        client._wire.state = "SELECTED"
        began = time.monotonic()
        with pytest.raises(CommandRefused, match="not now"):
            await client.idle(30, asyncio.Event())
        assert time.monotonic() - began < 1.0
