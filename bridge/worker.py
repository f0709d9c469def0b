"""A process of its own that reads raw inputs: what a hostile mail does there hurts nobody else.

    python -m bridge.worker

Speaks over standard input and output: frames of a 4-byte length and a pickle. It imports little: the
parsers come with their first use. The other side is `bridge.intake`.
"""

import contextlib
import os
import pickle
import resource
import struct
import sys
from collections.abc import Sequence
from typing import BinaryIO

from bridge.model import Envelope, Incoming, Report
from bridge.ports import Parser

HEADER = struct.Struct(">I")
_MEMORY = 1 << 30  # bytes of address space: a bomb ends this process, not the machine

# A task: what reads, and what is to be read. An answer: what each holds, or None if it broke the parser.
Task = tuple[Parser, Sequence[tuple[bytes, Envelope]]]
Answer = list[list[Incoming | Report] | None]


def read_all(task: Task) -> Answer:
    """Read each input; one that breaks its parser spoils no other."""
    parser, inputs = task
    answer: Answer = []
    for raw, envelope in inputs:
        try:
            answer.append(list(parser(raw, envelope)))
        except Exception:
            answer.append(None)
    return answer


def serve(source: BinaryIO, target: BinaryIO) -> None:
    """Say that we are there by an empty frame, then answer tasks until the other side closes."""
    target.write(HEADER.pack(0))
    target.flush()
    while len(header := source.read(HEADER.size)) == HEADER.size:
        task: Task = pickle.loads(source.read(*HEADER.unpack(header)))
        answer = pickle.dumps(read_all(task), pickle.HIGHEST_PROTOCOL)
        target.write(HEADER.pack(len(answer)) + answer)
        target.flush()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with contextlib.suppress(OSError):
        os.nice(5)
    # Whatever a library prints must not stand between two frames.
    target = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        serve(sys.stdin.buffer, target)


if __name__ == "__main__":
    main()
