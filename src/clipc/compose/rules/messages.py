"""Messages between the sandbox and its child process.

A message consists of the lengths of its two parts as little-endian 64-bit integers, a header as JSON, and a table as
an Arrow IPC stream, which is empty if there is no table.
"""

import errno
import json
import struct
from typing import IO, Any

import pyarrow as pa

Message = tuple[dict[str, Any], pa.Table | None]

OUT_OF_MEMORY = errno.ENOMEM
"""The exit code of a child process that needs more memory than it may take."""


def send(stream: IO[bytes], header: dict[str, Any], table: pa.Table | None = None) -> None:
    """Writes one message and flushes the stream."""
    body = memoryview(b"")
    if table is not None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        body = memoryview(sink.getvalue())
    head = json.dumps(header).encode()
    stream.write(struct.pack("<QQ", len(head), len(body)) + head)
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> Message:
    """Reads one message; the table is None if there is none.

    Raises:
        EOFError: The other process has closed the stream.
    """
    head_size, body_size = struct.unpack("<QQ", _read_exactly(stream, 16))
    header: dict[str, Any] = json.loads(_read_exactly(stream, head_size))
    return header, pa.ipc.open_stream(_read_exactly(stream, body_size)).read_all() if body_size else None


def _read_exactly(stream: IO[bytes], count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data
