"""The composition root: the only module that knows all parts, and in which order they start and stop.

Start: record, listeners of adapters, dispatcher, web, XMPP. What can bring work comes after what takes it.
Stop: the reverse; what is on its way gets a grace time, everything else waits in the record.
"""

import asyncio
import contextlib
import gc
import math
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from xml.etree.ElementTree import Element

import structlog

from bridge import bell, service
from bridge.accounts import OwnAccounts
from bridge.commands.services import Services
from bridge.directory import Directory, directory_of
from bridge.dispatcher import Dispatcher
from bridge.estate import Estate
from bridge.events import Transport
from bridge.files import Filing
from bridge.gateway import Gateway
from bridge.importing import Importing
from bridge.intake import Intake
from bridge.memory import Memories
from bridge.office import Office
from bridge.policy import DAY, RetryPolicy
from bridge.ports import Outlet, TakesWebhooks, TellsHealth
from bridge.settings import Settings
from bridge.settings.build import adapter_for
from bridge.settings.keys import derive, master_key
from bridge.store import inputs, queue, upkeep
from bridge.store.engine import Store, StoreFailed, database_url, locked, ping
from bridge.store.schema import migrate, needs_migration, require_current
from bridge.telemetry import METRICS
from bridge.web.files import FilePages
from bridge.web.pages import Probes
from bridge.web.server import Answer, Listening, serving
from bridge.wishes import Wishes
from bridge.xmpp import own
from bridge.xmpp.component import Component
from bridge.xmpp.outlet import XmppOutlet
from bridge.xmpp.stanzas import Reading
from bridge.xmpp.stanzas import read as read_stanza
from bridge.xmpp.stream import StreamLost
from bridge.xmpp.uploads import Uploads

log = structlog.get_logger()

AGAIN = 75  # exit status (EX_TEMPFAIL): start me again, with the settings as they are now
GRACE = 10.0  # seconds that a stop gives to what is on its way
_UPKEEP_EVERY = 3600.0
_PRESUME_EVERY = 300.0


async def run(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT (users see the transports go), or SIGHUP (they do not: it comes back at
    once). Answers the exit status: 0, AGAIN after SIGHUP, 1 if a part has broken for good."""
    told: asyncio.Event = asyncio.Event()
    again = False

    def come_again() -> None:
        nonlocal again
        again = True
        told.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    loop.add_signal_handler(signal.SIGHUP, come_again)
    async with running(settings) as state:
        waiting = asyncio.create_task(told.wait())
        await asyncio.wait([waiting, *state.streams], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        state.farewell = told.is_set() and not again
        log.info("stopping", told=told.is_set())
        for stream in state.streams:
            if stream.done() and not stream.cancelled() and (error := stream.exception()) is not None:
                log.error("a stream ended that never should", exc_info=error)
    if again:
        return AGAIN
    return 0 if told.is_set() else 1


@dataclass(slots=True)
class Running:
    """The gateway at work."""

    gateway: Gateway
    dispatcher: Dispatcher
    components: Mapping[str, Component]
    store: Store
    public_port: int | None
    admin_port: int | None
    streams: tuple[asyncio.Task[None], ...] = ()  # one for each component; they end at the stop only
    farewell: bool = False  # tell users at the stop that the transports are gone


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *, read: Callable[[Element], Reading] = read_stanza
) -> AsyncIterator[Running]:
    """Everything, for as long as it is entered. `read` is the components' (see there)."""
    began = time.monotonic()
    data_dir = settings.gateway.data_dir
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    url = database_url(settings.gateway.database, data_dir)
    async with contextlib.AsyncExitStack() as stack:
        if settings.gateway.database == "sqlite":
            stack.enter_context(locked(data_dir))
            await _migrated(url)
        else:
            await asyncio.to_thread(require_current, url)
        store = await stack.enter_async_context(Store(url))
        files = _filing(settings, store)
        transports = build_transports(settings, Memories(store), files)
        gateway = Gateway(
            store,
            transports,
            settings.gateway.allow,
            files=files,
            language=settings.gateway.language,
        )
        await gateway.load()
        wishes = Wishes(gateway, store, files)
        services = Services(
            wishes,
            Office(gateway, store, settings.gateway.admins),
            OwnAccounts(gateway, wishes, store),
            Estate(gateway, store, files),
            importing := await stack.enter_async_context(_importing(settings, wishes, store, files)),
        )
        directory = directory_of(settings.address_book, wishes, store, files)
        components = {
            name: Component(transport, gateway, settings.xmpp, read=read, services=services)
            for name, transport in transports.items()
        }
        uploads = {name: Uploads(one, settings.xmpp.domain, files) for name, one in components.items()}
        dispatcher = _dispatcher(settings, store, gateway, components, uploads)
        _introduce(gateway, dispatcher, components, uploads)
        services.office.switch = dispatcher
        await services.office.load()
        await importing.tell_cut_off()
        await stack.enter_async_context(_intake(store, gateway, files, wishes))
        for name, transport in transports.items():
            await stack.enter_async_context(transport.adapter.running(gateway.inbox(name)))
        look = partial(_look, gateway, dispatcher, components)
        await stack.enter_async_context(bell.listening(data_dir, look))
        await stack.enter_async_context(dispatcher)
        listening = await stack.enter_async_context(
            _web(settings, store, gateway, dispatcher, components, files, directory)
        )
        state = Running(gateway, dispatcher, components, store, listening.public, listening.admin)
        stack.push_async_callback(_drain, dispatcher)
        await stack.enter_async_context(_connected(state))
        await stack.enter_async_context(_chores(settings, store, gateway, files))
        await stack.enter_async_context(_searching(components, uploads))
        await stack.enter_async_context(directory.kept())
        _rest_the_collector()
        log.info("running", transports=list(transports), seconds=round(time.monotonic() - began, 3))
        yield state


def _rest_the_collector() -> None:
    """What was loaded for the start stays for good, and values that come and go by the thousand hold no
    circles: looking for some after every 700 costs a tenth of the time under load. While all was being
    loaded it did not work at all (see `passerelle run`)."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


async def _migrated(url: str) -> None:
    """SQLite is brought up to date by `run` itself, which says so."""
    if not await asyncio.to_thread(needs_migration, url):
        return
    log.info("preparing the database; an older one is copied beside itself first")
    service.still_starting(900)
    before, after = await asyncio.to_thread(migrate, url)
    log.info("the database is ready", before=before, after=after)


def _filing(settings: Settings, store: Store) -> Filing:
    own = settings.gateway
    return Filing(
        store,
        own.data_dir / "blobs",
        public_url=own.public_url if settings.web.listen is not None else "",
        keep_for=own.keep_bodies_days * DAY,
        allow_hosts=own.fetch_allow,
    )


def _importing(settings: Settings, wishes: Wishes, store: Store, files: Filing) -> Importing:
    return Importing(wishes, store, files, derive(master_key(settings), "address books"))


def build_transports(settings: Settings, memories: Memories, files: Filing) -> dict[str, Transport]:
    """Each configured adapter, bound to its component."""
    master = master_key(settings)
    built = {}
    for name, one in settings.transports.items():
        adapter = adapter_for(settings, name, master, memory=memories.of(name), files=files)
        transport = Transport.of(
            name,
            one.jid,
            one.secret.get_secret_value(),
            adapter,
            _TITLES.get(adapter.capabilities.identity[1], name),
            one.limits.per_minute,
            one.limits.per_day,
        )
        built[name] = replace(
            transport,
            strangers=one.strangers,
            proven_addresses=one.proven_addresses,
            helpers=settings.gateway.contact or tuple(f"xmpp:{jid}" for jid in settings.gateway.admins),
            kept_hours=settings.gateway.keep_bodies_days * 24,
            # Else it takes an upload service, and whether there is one is not known yet.
            exports=bool(settings.gateway.public_url) and settings.web.listen is not None,
        )
    return built


# What a transport is called in service discovery, by its disco type.
_TITLES = {"smtp": "Email", "sms": "SMS"}


def _dispatcher(
    settings: Settings,
    store: Store,
    gateway: Gateway,
    components: Mapping[str, Component],
    uploads: Mapping[str, Uploads],
) -> Dispatcher:
    outlets: dict[str, Outlet] = {}
    retry: dict[str, RetryPolicy] = {}
    for name, transport in gateway.transports.items():
        outlets[name] = transport.adapter
        outlets[f"xmpp:{name}"] = towards_users = XmppOutlet(components[name], places=uploads[name])
        privilege = components[name].privilege
        towards_users.settled = privilege.settled
        towards_users.ahead = components[name].acquaintance.rosters.ahead
        towards_users.gone = components[name].acquaintance.gone
        towards_users.write_own = partial(own.write, privilege, gateway.languages.of, transport.jid)
        retry[name] = RetryPolicy(give_up_after=settings.transports[name].retry_days * DAY)
        retry[f"xmpp:{name}"] = RetryPolicy(give_up_after=4 * DAY, tell_delay_after=math.inf)
    return Dispatcher(store, outlets, retry, on_sent=gateway.note_sent)


def _introduce(
    gateway: Gateway,
    dispatcher: Dispatcher,
    components: Mapping[str, Component],
    uploads: Mapping[str, Uploads],
) -> None:
    """Those who need each other, and could not be built with the other at hand."""
    gateway.ring = dispatcher.ring
    gateway.changes.untouched = dispatcher.untouched
    for name, component in components.items():
        component.puts_files(uploads[name])
        component.acquaintance.trouble = partial(_trouble, dispatcher, name)
        gateway.sources.show_read[name] = partial(_show_read, component, gateway)


def _show_read(component: Component, gateway: Gateway, user: str, contact: str, about: str) -> None:
    """The user has read something in another program: their clients may know."""
    mark = own.displayed(component.privilege, user, contact, about, gateway.new_name())
    if mark is not None:
        component.reply(mark)


def _look(gateway: Gateway, dispatcher: Dispatcher, components: Mapping[str, Component]) -> None:
    """The command line has changed something."""
    gateway.forget_lines()
    dispatcher.look()
    for component in components.values():
        component.acquaintance.rosters.look()


def _trouble(dispatcher: Dispatcher, transport: str) -> str:
    """Why a transport cannot send just now, in a sentence; empty if it can."""
    return dispatcher.paused().get(transport, "")


@contextlib.asynccontextmanager
async def _intake(
    store: Store, gateway: Gateway, files: Filing, wishes: Wishes
) -> AsyncIterator[None]:
    parsers = {name: one.adapter.parser() for name, one in gateway.transports.items()}
    intake = Intake(
        store,
        parsers,
        gateway.grounds,
        gateway.receipts_on_sent,
        gateway.ring,
        files=files,
        learn=wishes.cards.learn,
    )
    gateway.ring_intake = intake.ring
    async with intake:
        yield


async def _drain(dispatcher: Dispatcher) -> None:
    await dispatcher.drain(GRACE)


@contextlib.asynccontextmanager
async def _connected(state: Running) -> AsyncIterator[None]:
    """The component streams."""
    state.streams = tuple(
        asyncio.create_task(one.run(), name=f"xmpp {one.jid}") for one in state.components.values()
    )
    ready = asyncio.create_task(_tell_ready(state))
    try:
        yield
    finally:
        service.stopping()
        ready.cancel()
        await asyncio.gather(*(one.stop(GRACE, farewell=state.farewell) for one in state.components.values()))
        await asyncio.gather(ready, *state.streams, return_exceptions=True)


@contextlib.asynccontextmanager
async def _searching(
    components: Mapping[str, Component], uploads: Mapping[str, Uploads]
) -> AsyncIterator[None]:
    """Finds the chat server's upload service as soon as there is a stream: what users share comes from
    there, and the guard must know it."""

    async def search(name: str) -> None:
        while await components[name].wait_connected():
            with contextlib.suppress(StreamLost):
                await uploads[name].find()
                return

    tasks = [asyncio.create_task(search(name), name=f"uploads {name}") for name in components]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _tell_ready(state: Running) -> None:
    """systemd hears READY when every component is connected for the first time; the watchdog from then on."""
    for component in state.components.values():
        await component.wait_connected()
    log.info("connected", components=len(state.components))
    service.ready("connected")
    await service.keep_alive()


@contextlib.asynccontextmanager
async def _web(
    settings: Settings,
    store: Store,
    gateway: Gateway,
    dispatcher: Dispatcher,
    components: Mapping[str, Component],
    files: Filing,
    directory: Directory,
) -> AsyncIterator[Listening]:
    hooks: dict[str, Answer] = {
        name: one.adapter.webhook
        for name, one in gateway.transports.items()
        if isinstance(one.adapter, TakesWebhooks)
    }
    probes = Probes(
        readiness=_readiness(store, gateway, dispatcher, components),
        measure=partial(_measure, store, components),
        remarks={"address book": lambda: directory.trouble},
    )
    async with serving(
        settings.web.listen,
        settings.web.admin,
        hooks=hooks,
        probes=probes,
        files=FilePages(files.shown),
        sizes={
            name: one.adapter.capabilities.webhook_bytes
            for name, one in gateway.transports.items()
            if one.adapter.capabilities.webhook_bytes
        },
    ) as listening:
        yield listening


def _readiness(
    store: Store, gateway: Gateway, dispatcher: Dispatcher, components: Mapping[str, Component]
) -> dict[str, Callable[[], Awaitable[str]]]:
    async def writable() -> str:
        try:
            await store.do(ping)
        except StoreFailed as error:
            return f"the database cannot be written: {error}"
        return ""

    async def connected(component: Component) -> str:
        return "" if component.connected else "not connected to the XMPP server"

    async def healthy(name: str) -> str:
        adapter = gateway.transports[name].adapter
        own = adapter.health() if isinstance(adapter, TellsHealth) else ""
        return own or dispatcher.paused().get(name, "")

    probes: dict[str, Callable[[], Awaitable[str]]] = {"database": writable}
    for name, component in components.items():
        probes[f"xmpp {name}"] = partial(connected, component)
        probes[name] = partial(healthy, name)
    return probes


async def _measure(store: Store, components: Mapping[str, Component]) -> None:
    METRICS.set_queue(await store.look(queue.depths, time.time()))
    METRICS.intake.set(await store.look(inputs.waiting))
    for name, component in components.items():
        METRICS.connected.labels(name).set(component.connected)


@contextlib.asynccontextmanager
async def _chores(
    settings: Settings, store: Store, gateway: Gateway, files: Filing
) -> AsyncIterator[None]:
    """Removes what need not be kept any longer, every hour; gives receipts that nobody reports on."""

    async def tidy() -> None:
        await upkeep.tidy_all(store, time.time(), settings.gateway.keep_bodies_days * DAY)
        await files.tidy()

    async def repeat(work: Callable[[], Awaitable[None]], every: float) -> None:
        while True:
            await asyncio.sleep(every)
            try:
                await work()
            except StoreFailed as error:
                log.warning("a chore failed", error=str(error)[:200])
            except Exception as error:  # a bug here must not end the chores of all days to come
                log.exception("a chore broke", error=type(error).__name__)

    tasks = [
        asyncio.create_task(repeat(tidy, _UPKEEP_EVERY), name="upkeep"),
        asyncio.create_task(repeat(gateway.presume, _PRESUME_EVERY), name="presume"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
