"""Teachers of other packages: an entry point of the group `blindspot.teachers` names a provider.

    [project.entry-points."blindspot.teachers"]
    shout = "my_package.teachers:open_shout"        # then teacher.spec = "shout:REST"

It is called with REST, the spec after its first colon, and the Endpoint; it returns a Provider.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points

from blindspot.agents.chat import Endpoint, Message, Provider, Reply, Tool, ToolUse, Unavailable
from blindspot.agents.providers.peer import short_line, storable
from blindspot.storage.errors import BlindspotError, TeacherError

GROUP = "blindspot.teachers"


def plugin_names() -> tuple[str, ...]:
    """The teachers that installed packages bring, sorted; nothing of theirs is imported."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def open_plugin(name: str, rest: str, endpoint: Endpoint) -> Provider:
    """Open the provider that a package brings.

    Args:
        rest: the spec after the first colon.
    Raises: TeacherError, naming the package, whatever goes wrong in it.
    """
    point = next(iter(entry_points(group=GROUP, name=name)))
    owner = f"the teacher {name!r} of the package {package_of(point)}"
    try:
        provider = point.load()(rest, endpoint)
    except BlindspotError:
        raise
    except Exception as error:  # foreign code: whatever it raises is for the operator to see in one line
        reason = short_line(f"{type(error).__name__}: {error}")
        raise TeacherError(
            f"teacher.spec: {owner} cannot be opened ({reason}): fix or uninstall the package"
        ) from error
    for method in ("complete", "aclose"):
        if not callable(getattr(provider, method, None)):
            raise TeacherError(f"teacher.spec: {owner} has no method {method}: fix or uninstall the package")
    return GuardedProvider(owner, provider)


def package_of(point: EntryPoint) -> str:
    """The name of the distribution that an entry point came with."""
    return point.dist.name if point.dist else point.value


class GuardedProvider:
    """Foreign code behind the contract of Provider: an error of another kind is a failure that may pass."""

    def __init__(self, owner: str, provider: Provider) -> None:
        self._owner = owner
        self._provider = provider

    async def complete(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> Reply:
        """Ask once; see Provider."""
        try:
            reply = await self._provider.complete(messages, tools)
            if isinstance(reply, Reply):
                return storable_reply(reply)
        except (BlindspotError, Unavailable, TimeoutError):
            raise
        except Exception as error:
            raise Unavailable(f"{self._owner} failed: {short_line(f'{type(error).__name__}: {error}')}") from error
        raise Unavailable(f"{self._owner} gave {short_line(repr(reply))} instead of a Reply")

    async def aclose(self) -> None:
        """Release connections."""
        await self._provider.aclose()


def storable_reply(reply: Reply) -> Reply:
    """The same reply in texts that can be stored."""
    uses = (ToolUse(storable(use.use_id), storable(use.name), storable(use.arguments)) for use in reply.uses)
    return replace(reply, text=storable(reply.text), model=storable(short_line(reply.model)), uses=tuple(uses))
