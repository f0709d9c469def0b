"""The use cases: what happens when a stanza, a raw input, a report or a registration comes in.

Decides who may do what, and records. Sends nothing: whatever follows is a recorded delivery.
"""

from bridge.gateway.facade import Gateway

__all__ = ["Gateway"]
