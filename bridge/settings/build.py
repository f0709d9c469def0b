"""Builds the configured adapters. Nothing starts by this: `check` builds them too."""

from functools import partial

from bridge.ports import Adapter, Context, Files, Forgetful, Memory, NoFiles
from bridge.registry import adapters
from bridge.settings.keys import derive
from bridge.settings.read import Settings


def context_for(
    settings: Settings,
    transport: str,
    master: bytes,
    *,
    memory: Memory | None = None,
    files: Files | None = None,
) -> Context:
    """What the adapter of a transport is told; `master` is the master key. Without a record there is
    neither memory nor files."""
    return Context(
        transport=transport,
        domain=settings.xmpp.domain,
        public_url=settings.gateway.public_url,
        derive_key=partial(derive, master),
        language=settings.gateway.language,
        memory=memory or Forgetful(),
        files=files or NoFiles(),
    )


def adapter_for(
    settings: Settings,
    transport: str,
    master: bytes,
    *,
    memory: Memory | None = None,
    files: Files | None = None,
) -> Adapter:
    """The adapter of a transport. Raises KeyError for an unknown transport, and what the adapter raises."""
    own = settings.transports[transport]
    context = context_for(settings, transport, master, memory=memory, files=files)
    return adapters()[own.adapter].from_settings(own, context)
