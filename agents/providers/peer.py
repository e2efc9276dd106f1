"""The other side of a connection: how its failures are sorted, and what of its words errors may hold."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from blindspot.agents.chat import Unavailable
from blindspot.agents.providers.event_stream import EVENT_STREAM, Join, data_of_events
from blindspot.storage.errors import TeacherError, Unanswered

if TYPE_CHECKING:
    from httpx2 import Response

ANSWER_BYTES = 16 * 2**20  # of one answer, at most
MESSAGE_CHARACTERS = 300  # of a provider's own words, in an error
OVERLOADED = (429, 529)  # too much was asked, by us or (Anthropic's 529) by everybody
OWN_HOSTS = ("api.openai.com", "api.anthropic.com")
SHORTEST_KEY = 8  # characters; a shorter one stands in for a key that no server asks for

ESCAPES = re.compile(
    r"\x1b(?:\][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|[P^_X][^\x1b\x9c]*(?:\x1b\\|\x9c)|\[[0-?]*[ -/]*[@-~]?|[]P^_X])"
)
"""Window titles and links, device strings: with what they hold, unless they never end; colours and moves."""

C = TypeVar("C")
B = TypeVar("B", bound=BaseModel)


class SdkErrors(NamedTuple):
    """The errors of an SDK by what they are about, the narrower ones first."""

    status: type[Any]  # an HTTP status that is not a success; has the `response`
    connection: type[Exception]
    any: type[Exception]


@dataclass(frozen=True, slots=True)
class Peer:
    """The other side: how errors name it, and the key that is blotted out of its words."""

    name: str  # provider:model
    host: str
    key: str = field(repr=False)

    def connect(self, make: Callable[[], C]) -> C:
        """Make an SDK's client, before anything is asked: it reads proxies and certificates of the environment.

        Args:
            make: gives the SDK an HTTP client of its own: the one that the SDK would make complains on standard error
                when it is half made, or not closed. Neither connects or belongs to an event loop before a request.
        Raises: TeacherError, where those cannot be used.
        """
        from httpx2 import InvalidURL  # the SDK has loaded it by now

        try:
            return make()
        except (ImportError, ValueError, OSError, InvalidURL) as error:
            raise TeacherError(
                f"{self.name}: no connection can be set up ({type(error).__name__}: {self.redacted(str(error))}): fix "
                "the proxy settings (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY) or the certificate settings "
                "(SSL_CERT_FILE, SSL_CERT_DIR) of the environment"
            ) from None

    def redacted(self, text: str) -> str:
        """The other side's words as errors hold them: without the key, in one line, not too long, fit to be stored."""
        return storable(short_line(redact(text, self.key)))

    def read_answer(self, response: Response, shape: type[B], join: Join) -> B:
        """Check an answer that comes whole or, whatever was asked for, as server-sent events.

        Args:
            join: puts the events together.
        Raises: Unavailable, as `read`.
        """
        body = response.text
        if response.headers.get("content-type", "").strip().lower() == EVENT_STREAM:
            try:
                body = json.dumps(join(data_of_events(body)))
            except (ValueError, TypeError, RecursionError) as error:  # of parts, too, that are of another type
                raise Unavailable(f"{self.name} sent an unreadable stream ({self.redacted(str(error))})") from None
        return self.read(body, shape)

    def read(self, body: str, shape: type[B]) -> B:
        """Check a body ourselves: the SDKs hand a page of HTML or an object of None on as an answer.

        Returns: what it says, with the key blotted out wherever the other side repeats it.
        Raises: Unavailable: a success status came with a body that is not an answer.
        """
        try:
            answer = shape.model_validate_json(body)
            return shape.model_validate(self.blot(answer.model_dump(exclude_unset=True)))
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise Unavailable(f"{self.name} sent an unreadable answer ({what}): {self.redacted(body)!r}") from None

    def blot(self, value: Any) -> Any:
        """Blot the key out of plain JSON values."""
        if isinstance(value, str):
            return blot(value, self.key)
        if isinstance(value, dict):
            return {blot(name, self.key): self.blot(part) for name, part in value.items()}
        return [self.blot(part) for part in value] if isinstance(value, list) else value

    @contextmanager
    def telling(self, errors: SdkErrors) -> Iterator[None]:
        """Turn an SDK's errors into those to raise: Unavailable, or TeacherError."""
        try:
            yield
        except errors.status as error:
            raise self.refusal(error.response) from None
        except errors.connection as error:
            raise self.unreachable(error) from None
        except errors.any as error:
            raise self.unusable(error) from None

    def refusal(self, response: Response) -> Unavailable | TeacherError:
        """Turn an HTTP error status into the error to raise."""
        status, body = response.status_code, response.text
        if response.is_redirect:
            return TeacherError(self.redirected(status, response.headers["location"]))
        line = f"{self.name} answered {status}: {self.redacted(provider_message(body))}"
        pause_s = retry_after_s(response.headers)
        if "insufficient_quota" in body:
            return TeacherError(f"{line} (the account has no credit left)")
        if status in (408, 409, 429) or status >= 500:
            return Unavailable(line, pause_s, is_refusal=status in OVERLOADED, may_be_billed=False, status=status)
        # these may be about this one text: too long, or against the provider's rules
        return Unanswered(line) if status in (400, 413, 422) else TeacherError(line)

    def redirected(self, status: int, location: str) -> str:
        """Say where a redirect leads: it is not followed, since the question would go to a host that nobody named."""
        return (
            f"{self.name} at {self.host} answered {status}, a redirect to {self.redacted(location)}: redirects are not "
            "followed; if that is the right server, name it with @BASE_URL in the teacher's spec"
        )

    def unreachable(self, error: Exception) -> Unavailable:
        """Say that no usable answer came."""
        if type(error.__cause__).__name__ == "UnusableBody":  # of our transport, which imports much
            return Unavailable(f"{self.name} sent {self.redacted(str(error.__cause__))}")
        cause = f"{error} {error.__cause__ or ''}".strip()
        never_sent = type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout", "PoolTimeout")
        return Unavailable(f"{self.name} at {self.host}: {self.redacted(cause)}", may_be_billed=not never_sent)

    def unusable(self, error: Exception) -> TeacherError:
        """Say that the SDK itself would not send the request."""
        return TeacherError(f"{self.name}: {self.redacted(str(error))}")


def is_own(base_url: str | None) -> bool:
    """Whether requests go to the provider itself, by its own or a regional host, and not to another server."""
    host = urlsplit(base_url).hostname if base_url else None
    return base_url is None or f".{host}".endswith(tuple(f".{own}" for own in OWN_HOSTS))


def check_key(key: str, variable: str) -> str:
    """Strip a key, and refuse one that no HTTP header can carry. The message never holds the key."""
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise TeacherError(f"{variable} contains characters that cannot be part of a key: set it again")
    return key


def provider_message(body: str) -> str:
    """Take the provider's own words out of an error body, whatever of the usual shapes it has."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    for name in ("error", "message", "detail"):
        while isinstance(value, dict) and value.get(name):
            value = value[name]
    return value if isinstance(value, str) else body


def printable(text: str) -> str:
    """Leave out the sequences that steer a terminal, and every character that is not seen, but white space."""
    return "".join(letter for letter in ESCAPES.sub("", text) if letter.isprintable() or letter.isspace())


def short_line(text: str) -> str:
    """Fold white space, leave out what is not seen, and keep the beginning."""
    text = " ".join(printable(text).split())
    return text if len(text) <= MESSAGE_CHARACTERS else f"{text[:MESSAGE_CHARACTERS]}…"


def blot(text: str, key: str) -> str:
    """Blot out the key."""
    return text.replace(key, "[key]") if len(key) >= SHORTEST_KEY else text


def redact(text: str, key: str) -> str:
    """Blot out the key, what looks like one (providers echo them half masked), and who is named in a URL, as proxies'
    passwords are."""
    looks = re.sub(r"\bsk-[\w*.…-]+", "[key]", blot(text, key))
    return re.sub(r"(?<=://)[^/\s@]+@", "[user]@", looks)


def without_secrets(url: str) -> str:
    """A URL as messages show it: its scheme and server, without a user, a password, a path or a query.

    Any of them may hold a key, and where one ends is not known of a URL that cannot be used.
    """
    scheme, separator, rest = url.partition("://")
    before, at, after = rest.rpartition("@")
    if not separator or re.search(r"[?#]", before):
        return "…"
    return printable(f"{scheme}://{'[user]@' if at else ''}{re.split('[/?#]', after)[0]}…")


def storable(text: str) -> str:
    """Replace halves of characters, which JSON can name and neither a file in UTF-8 nor the store can hold."""
    return re.sub(r"[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read how long a provider wants to be left alone, in seconds: a number or an HTTP date."""
    milliseconds, text = headers.get("retry-after-ms"), headers.get("retry-after")
    for value, unit in ((milliseconds, 1000.0), (text, 1.0)):
        try:
            seconds = float(value) / unit if value is not None else math.nan
        except ValueError:
            continue
        if not math.isnan(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time()) if text else None
    except (ValueError, OverflowError):
        return None
