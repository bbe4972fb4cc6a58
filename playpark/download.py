"""One large answer that is loaded over a line which breaks: it goes on where it broke off (R37)."""

import re
import zlib

import httpx

LARGEST = 64 * 1024 * 1024
"""Bytes of an answer, unpacked: no list of a park is larger."""
_BEGINS_ANEW = {
    *(httpx.codes.OK, httpx.codes.PARTIAL_CONTENT),
    httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE,
}
_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/")


class Part:
    """What is here of the answer to one question, as it was on the line."""

    def __init__(self, asked: str) -> None:
        self.asked = asked
        self.taken = False
        """The last answer was, or goes on with, what was asked for; else it is a refusal."""
        self._etag: str | None = None
        self._gzip = False
        self._bytes = bytearray()

    @property
    def resumable(self) -> bool:
        """Something is here, and the server has named it by a tag that stands for each byte."""
        return bool(self._bytes) and self._etag is not None

    def wanted(self) -> dict[str, str]:
        """The headers of the next request."""
        if not self.resumable or self._etag is None:
            return {}
        return {"Range": f"bytes={len(self._bytes)}-", "If-Range": self._etag}

    def takes(self, response: httpx.Response) -> bool:
        """Whether the body of this answer is to be added; what does not fit to it is let go."""
        status = response.status_code
        goes_on = status == httpx.codes.PARTIAL_CONTENT and self._fits(response)
        self.taken = goes_on or status == httpx.codes.OK
        if not goes_on and status in _BEGINS_ANEW:
            tag = response.headers.get("ETag", "")
            # Only a strong tag may be asked to go on with (RFC 9110, 13.1.5).
            self._etag = tag if tag.startswith('"') else None
            self._gzip = response.headers.get("Content-Encoding", "").lower() == "gzip"
            self._bytes.clear()
        return self.taken

    def add(self, piece: bytes) -> None:
        self._bytes += piece

    def whole(self) -> bytes:
        """The answer, unpacked; what was here is let go. Blocks. Raises ValueError where it is
        broken, or larger than any that is right."""
        content = bytes(self._bytes)
        self._bytes.clear()
        if not self._gzip:
            return content
        unpacking = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            content = unpacking.decompress(content, LARGEST)
        except zlib.error as broken:
            raise ValueError(str(broken)) from broken
        if not unpacking.eof:
            msg = "it is cut off, or too large"
            raise ValueError(msg)
        return content

    def _fits(self, response: httpx.Response) -> bool:
        found = _RANGE.match(response.headers.get("Content-Range", ""))
        begins = found is not None and int(found.group(1)) == len(self._bytes)
        return self.resumable and begins and response.headers.get("ETag", "") == self._etag


class Download:
    """The parts of one kind of answer; one is kept, of the last question."""

    def __init__(self) -> None:
        self._part = Part("")

    def begin(self, asked: str) -> Part:
        """What is here of the answer to this; nothing where something else was asked last."""
        if self._part.asked != asked:
            self._part = Part(asked)
        self._part.taken = False
        return self._part
