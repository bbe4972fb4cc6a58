"""An API process that has no patience, and raw connections to it."""

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playpark.errors import ErrorCode

HASTE = {"HEADER_SECONDS": "1", "BODY_SECONDS": "2", "STALL_SECONDS": "1", "MAX_CONNECTIONS": "20"}
POST = "POST /v1/auth/device/register HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@dataclass(frozen=True)
class Server:
    """An API process that is in a hurry; its log is a file."""

    url: str
    pid: int
    log: Path

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        address = urlsplit(self.url)
        return await asyncio.open_connection(address.hostname, address.port)

    async def exchange(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """What comes back until the server closes; `parts` go out with a pause after each."""
        reader, writer = await self.connect()
        answer = asyncio.create_task(reader.read())
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.wait({answer}, timeout=pause)
                if answer.done():
                    break
            return await asyncio.wait_for(answer, 20)
        except ConnectionError:
            return b""
        finally:
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
            writer.close()

    def peak_kib(self) -> int:
        """The most memory that the process has had."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        return int(found[1])


def parsed(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and error of a raw answer, which is in the envelope."""
    head, _, body = answer.partition(b"\r\n\r\n")
    envelope = json.loads(body)
    assert set(envelope) == {"server_time", "request_id", "data", "error"}
    assert envelope["error"]["code"] in set(ErrorCode)
    return int(head.split()[1]), envelope["error"]
