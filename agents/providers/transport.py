"""The HTTP client that both SDKs send through: it asks one server only, and reads no body beyond a limit."""

from __future__ import annotations

import zlib
from typing import Any

from httpx2 import URL, AsyncClient, Limits, ReadError, Request, Response

LIMITS = Limits(max_connections=1000, max_keepalive_connections=100)  # as the SDKs' own clients
OURS_TO_SAY = ("content-encoding", "content-length", "transfer-encoding", "content-type")
"""Headers of the body as it was sent, which is unpacked by now; of the type, the charset is dropped: JSON is UTF-8."""


def origin_of(url: URL) -> tuple[str, str, int | None]:
    """The server of an address."""
    return url.scheme, url.host, url.port


class UnusableBody(ReadError):
    """A response whose body cannot be read, or is too large; the message says what was sent."""


class BoundedClient(AsyncClient):
    """Reads every body whole, and no further than a limit, both as it is sent and unpacked.

    A redirect would carry the question, sample texts included, to a host that nobody named.
    """

    def __init__(self, url: str, *, timeout_s: float, most_bytes: int) -> None:
        # no packing but gzip: that can be unpacked up to a limit, without another package
        super().__init__(timeout=timeout_s, limits=LIMITS, headers={"Accept-Encoding": "gzip"})
        self._most_bytes = most_bytes
        self._origin = origin_of(URL(url))

    async def send(self, request: Request, *, stream: bool = False, **options: Any) -> Response:  # noqa: ARG002
        """Send, and read the body. Raises: UnusableBody; httpx2's errors."""
        if origin_of(request.url) != self._origin:  # Anthropic's SDK fetches results from wherever the server says
            raise UnusableBody(f"an address on another server, which is not contacted: {request.url}")
        options["follow_redirects"] = False
        response = await super().send(request, stream=True, **options)
        try:
            body = await read_body(response, self._most_bytes)
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in OURS_TO_SAY]
        media_type = response.headers.get("content-type", "").partition(";")[0]
        return Response(
            response.status_code,
            headers=[*headers, ("content-type", media_type)],
            content=body,
            request=request,
            extensions=response.extensions,
        )


async def read_body(response: Response, most_bytes: int) -> bytes:
    """Read and unpack a body. Raises: UnusableBody."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("identity", "gzip", "x-gzip", ""):
        raise UnusableBody(f"a compressed answer ({packing}), which was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16) if "gzip" in packing else None
    body, arrived = bytearray(), 0
    async for chunk in response.aiter_raw():
        arrived += len(chunk)
        try:
            body += unpacker.decompress(chunk, most_bytes + 1 - len(body)) if unpacker else chunk
        except zlib.error as error:
            raise UnusableBody(f"a compressed answer that cannot be read ({error})") from None
        if max(arrived, len(body)) > most_bytes:
            raise UnusableBody(f"an answer of more than {most_bytes // 2**20} MiB: no more of it was read")
    if unpacker and arrived and not unpacker.eof:
        raise UnusableBody("an answer that breaks off")
    return bytes(body)
