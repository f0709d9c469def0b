"""Files that are kept, recorded as deliveries, published, fetched and in the end removed."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import func, select

from bridge.files import DAY, Filing
from bridge.model import Attachment, File, Kind, State
from bridge.policy import RetryPolicy, after_attempt
from bridge.ports import FileUnavailable, Refused, Sent, TryLater
from bridge.store import blobs, claiming, people, recording, reports, settling
from bridge.store.attaching import message_stanza
from bridge.store.claiming import Claimed
from bridge.store.engine import Store, StoreFailed
from bridge.store.reports import Heard
from bridge.store.settling import Settlement
from bridge.store.tables import attachments, deliveries
from tests.bridge.records import GROUNDS, Clock, draft, incoming

JPEG = b"\xff\xd8\xff\xe0picture"
PICTURE = File("../sunset", "application/octet-stream", JPEG)
NOTES = File("notes.txt", "text/plain", b"milk")
PUBLIC = "https://gateway.example.org"


@pytest.fixture
def clock() -> Clock:
    return Clock(1_000_000.0)


@pytest.fixture
def filing(store: Store, tmp_path: Path, clock: Clock) -> Filing:
    return Filing(store, tmp_path / "blobs", public_url=PUBLIC, keep_for=30 * DAY, clock=clock)


async def recorded(filing: Filing, store: Store, clock: Clock, body: str = "Look", *files: File) -> None:
    kept = await filing.keep_all([incoming(body, files=files or (PICTURE, NOTES))])
    await store.do(recording.record_in, kept, GROUNDS, clock())


async def due(store: Store, clock: Clock) -> list[Claimed]:
    lanes = await store.look(claiming.open_lanes, "xmpp:mail")
    found = await store.look(claiming.claim, "xmpp:mail", list(lanes), clock(), 50)
    return [one for batch in found.by_lane.values() for one in batch]


async def acquainted(filing: Filing, store: Store, clock: Clock) -> None:
    """They have written before: what comes now needs no introduction."""
    await recorded(filing, store, clock, "Hello", NOTES)
    for one in await due(store, clock):
        await settle(store, clock, one)
    clock.now += 31 * DAY
    await filing.tidy()


async def settle(store: Store, clock: Clock, one: Claimed) -> None:
    verdict = after_attempt(one.delivery, one.first_tried_at, Sent(), clock(), RetryPolicy(), repeatable=True)
    await store.do(settling.settle, [Settlement(one, verdict, True)], clock())


def on_disk(filing: Filing) -> list[Path]:
    return [file for folder in filing.blobs.folders() for file in folder.iterdir()]


async def rows(store: Store, table: object = attachments) -> int:
    return await store.look(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[arg-type]


async def test_a_text_goes_first_and_each_file_after_it_in_the_same_lane(
    store: Store, filing: Filing, clock: Clock
) -> None:
    await recorded(filing, store, clock)
    found = [one.delivery for one in await due(store, clock)]
    assert [one.kind for one in found] == [Kind.MESSAGE, Kind.FILE, Kind.FILE]
    assert len({one.lane for one in found}) == 1
    assert len({one.stanza_id for one in found}) == 3
    assert {message_stanza(one.stanza_id) for one in found} == {found[0].stanza_id}
    message = found[1].message
    assert message is not None
    told = [(one.name, one.media_type, one.size) for one in message.attachments]
    assert told == [("sunset.jpg", "image/jpeg", len(JPEG)), ("notes.txt", "text/plain", 4)]
    assert filing.blobs.read(message.attachments[0].blob) == JPEG
    assert [one.part for one in found[1:]] == [1, 2]


async def test_a_file_without_a_text_goes_alone(store: Store, filing: Filing, clock: Clock) -> None:
    await acquainted(filing, store, clock)
    await recorded(filing, store, clock, "", PICTURE)
    (only,) = await due(store, clock)
    assert only.delivery.kind is Kind.FILE


async def test_one_mail_to_two_of_ours_keeps_its_file_once(store: Store, filing: Filing) -> None:
    both = [incoming("Look", files=(PICTURE,)), incoming("Look", files=(PICTURE,))]
    kept = await filing.keep_all(both)
    assert kept[0].attachments == kept[1].attachments
    assert len(on_disk(filing)) == 1


async def test_receipts_and_errors_of_a_file_are_its_own(store: Store, filing: Filing, clock: Clock) -> None:
    await recorded(filing, store, clock)
    text, picture, notes = await due(store, clock)
    for one in (text, picture, notes):
        await settle(store, clock, one)
    heard = [
        Heard("mail", "mira@localhost", text.delivery.stanza_id),
        Heard("mail", "mira@localhost", picture.delivery.stanza_id, "service-unavailable"),
    ]
    await store.do(reports.hear, [*heard, Heard("mail", "mira@localhost", notes.delivery.stanza_id)], clock())
    states = await store.look(
        lambda c: list(c.execute(select(deliveries.c.state).order_by(deliveries.c.id)).scalars())
    )
    assert states == [State.DELIVERED, State.WAITING, State.DELIVERED]


async def test_a_disk_that_is_full_leaves_everything_undone(
    store: Store, filing: Filing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: bytes) -> str:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(filing.blobs, "write", full)
    with pytest.raises(StoreFailed, match="No space left"):
        await filing.keep_all([incoming("Look", files=(PICTURE,))])
    assert await rows(store, blobs.blobs) == 0


async def test_an_upload_is_remembered_for_the_next_attempt(
    store: Store, filing: Filing, clock: Clock
) -> None:
    """A crash between upload and stanza costs nothing: the next attempt finds the address."""
    await acquainted(filing, store, clock)
    await recorded(filing, store, clock, "", PICTURE)
    (before,) = await due(store, clock)
    assert before.delivery.message is not None
    (file,) = before.delivery.message.attachments
    await filing.uploaded(file.blob, "https://upload.example.org/1/sunset.jpg")
    (after,) = await due(store, clock)
    assert after.delivery.message is not None
    assert after.delivery.message.attachments[0].url == "https://upload.example.org/1/sunset.jpg"


async def test_a_published_file_has_an_unguessable_address_that_ends(
    store: Store, filing: Filing, clock: Clock
) -> None:
    kept = await filing.keep(PICTURE)
    url = await filing.publish(kept)
    assert url == f"{PUBLIC}/files/{kept.blob}/sunset.jpg"
    assert len(kept.blob) == blobs.TOKEN_LENGTH
    shown = await filing.shown(kept.blob)
    assert shown is not None
    assert (shown.path.read_bytes(), shown.media_type) == (JPEG, "image/jpeg")
    assert await filing.shown("0" * blobs.TOKEN_LENGTH) is None
    clock.now += 31 * DAY
    assert await filing.shown(kept.blob) is None
    with pytest.raises(FileUnavailable, match="no longer kept"):
        await filing.publish(kept)


async def test_publishing_needs_a_public_address(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileUnavailable, match="no public address"):
        await Filing(store, tmp_path).publish(Attachment("x", "", "", 0, source="https://example.org/x"))


async def test_what_is_over_its_time_goes_unless_somebody_waits_for_it(
    store: Store, filing: Filing, clock: Clock
) -> None:
    await acquainted(filing, store, clock)
    await recorded(filing, store, clock, "", PICTURE)
    clock.now += 31 * DAY
    await filing.tidy()
    assert len(on_disk(filing)) == 1  # it has not been delivered yet
    (one,) = await due(store, clock)
    await settle(store, clock, one)
    await filing.tidy()
    assert on_disk(filing) == []
    assert await rows(store) == 2  # their names are still known
    assert one.delivery.message is not None
    with pytest.raises(FileUnavailable, match=r"sunset\.jpg is no longer kept"):
        await filing.read(one.delivery.message.attachments[0])


async def test_what_belongs_to_nobody_goes_after_a_day(
    store: Store, filing: Filing, clock: Clock
) -> None:
    await filing.keep(PICTURE)
    stray = filing.blobs.write(b"nobody names this")  # a crash before the transaction
    draft_file = filing.blobs.path(stray).with_name("0" * 48 + ".part")  # and one while writing
    draft_file.write_bytes(b"half")
    for file in on_disk(filing):
        os.utime(file, (clock(), clock()))
    await filing.tidy()
    assert len(on_disk(filing)) == 3
    clock.now += DAY + 1
    await filing.tidy()
    assert on_disk(filing) == []


async def test_files_leave_with_their_user(store: Store, filing: Filing, clock: Clock) -> None:
    await recorded(filing, store, clock, "Look", PICTURE)
    await store.do(people.leave, "mail", "mira@localhost", clock())
    await store.do(people.leave, "sms", "mira@localhost", clock())
    clock.now += DAY + 1
    await filing.tidy()
    assert on_disk(filing) == []


# --- what users share ---


@pytest.fixture
async def shared(store: Store, tmp_path: Path, clock: Clock) -> AsyncIterator[tuple[Filing, str, list[str]]]:
    """A filing that may fetch from a web server of a user's, that server's address and its requests."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        if request.path == "/plan":
            return web.Response(body=JPEG)
        return web.Response(status=int(request.path[1:]))

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    place = f"127.0.0.1:{runner.addresses[0][1]}"
    filing = Filing(store, tmp_path / "b", public_url=PUBLIC, allow_hosts=[place], clock=clock)
    yield filing, f"http://{place}", asked
    await runner.cleanup()


async def out(store: Store, clock: Clock, source: str) -> Attachment:
    one = draft("", files=(Attachment("", "", "", 0, source=source),))
    await store.do(recording.record_out, [one], clock())
    lanes = await store.look(claiming.open_lanes, "mail")
    found = await store.look(claiming.claim, "mail", list(lanes), clock(), 50)
    (claimed,) = [one for batch in found.by_lane.values() for one in batch]
    assert claimed.delivery.message is not None
    (file,) = claimed.delivery.message.attachments
    return file


async def test_what_a_user_shares_is_fetched_once(
    store: Store, clock: Clock, shared: tuple[Filing, str, list[str]]
) -> None:
    filing, site, asked = shared
    file = await out(store, clock, f"{site}/plan")
    assert (file.source, file.blob) == (f"{site}/plan", "")
    assert await filing.read(file) == JPEG
    assert await filing.read(file) == JPEG  # also by who still holds what was handed out before
    (again,) = (await store.look(blobs.of_messages, [1]))[1]
    assert (again.name, again.media_type, again.size) == ("plan.jpg", "image/jpeg", len(JPEG))
    assert await filing.read(again) == JPEG
    assert (await filing.publish(again)).startswith(PUBLIC)
    assert asked == ["/plan"]


async def test_what_cannot_be_fetched_says_whether_it_may_come(
    store: Store, clock: Clock, shared: tuple[Filing, str, list[str]]
) -> None:
    filing, site, _ = shared
    with pytest.raises(FileUnavailable) as gone:
        await filing.read(Attachment("", "", "", 0, source=f"{site}/404"))
    assert isinstance(gone.value.fate, Refused)
    with pytest.raises(FileUnavailable) as later:
        await filing.read(Attachment("", "", "", 0, source=f"{site}/503"))
    assert isinstance(later.value.fate, TryLater)
