"""What names a teacher: `rules`, `openai:MODEL`, `file:FOLDER` and the others, read and checked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from blindspot.agents.providers.peer import without_secrets
from blindspot.agents.providers.plugins import plugin_names
from blindspot.storage.errors import SettingsError

LANGUAGE_MODELS = ("openai", "anthropic")
PLACES = {"file": "FOLDER", "replay": "FILE"}
OBJECT = "object"  # begins the spec of a teacher that is an object in Python
OBJECT_NAME = re.compile(r"[A-Za-z0-9][\w.:/@+-]{0,99}", re.ASCII)
KNOWN_SPECS = "rules, openai:MODEL[@BASE_URL], anthropic:MODEL[@BASE_URL], file:FOLDER, replay:FILE"


@dataclass(frozen=True, slots=True)
class TeacherSpec:
    """The name of a teacher, taken apart."""

    provider: str  # rules | openai | anthropic | file | replay | object | the name of an installed plug-in
    model: str | None = None  # of openai and anthropic; of an object or a plug-in whatever follows the colon
    base_url: str | None = None  # None: the provider's own
    path: str | None = None  # absolute: of file its folder, of replay its file

    @classmethod
    def parse(cls, text: str, *, setting: str = "teacher.spec") -> TeacherSpec:
        """Read `rules`, `openai:MODEL[@BASE_URL]`, `anthropic:…`, `file:FOLDER`, `replay:FILE` or `PLUGIN[:REST]`.

        A relative path begins at the current folder.

        Args:
            setting: that holds the spec, for errors.
        Raises: SettingsError, saying what is wrong and what is known; a URL with a password in it is not repeated.
        """
        provider, colon, rest = text.strip().partition(":")
        if provider == "rules" and not colon:
            return cls("rules")
        if provider in PLACES:
            if not rest:
                raise SettingsError(f"{setting}: {provider} needs a path: write {provider}:{PLACES[provider]}")
            return cls(provider, path=os.path.abspath(os.path.expanduser(rest)))
        if provider == OBJECT:
            if not OBJECT_NAME.fullmatch(rest):
                raise SettingsError(
                    f"{setting}: {rest[:100]!r} is not a name for a teacher object; use up to 100 letters, "
                    "digits and . _ - : / @ +, e.g. my-teacher"
                )
            return cls(provider, rest)
        if provider not in LANGUAGE_MODELS:
            plugins = plugin_names()
            if provider in plugins and provider != "rules":
                return cls(provider, rest or None)
            known = ", ".join([KNOWN_SPECS, *(f"{name}:… (an installed plug-in)" for name in plugins)])
            raise SettingsError(f"{setting}: unknown teacher {provider!r}; known: {known}")
        model, base_url = split_base_url(rest, setting)
        if not model:
            raise SettingsError(f"{setting}: {provider} needs a model: write {provider}:MODEL")
        return cls(provider, model, base_url)

    def __str__(self) -> str:
        name = self.path or self.model
        base_url = f"@{self.base_url}" if self.base_url else ""
        return f"{self.provider}{f':{name}' if name else ''}{base_url}"


def split_base_url(rest: str, setting: str = "teacher.spec") -> tuple[str, str | None]:
    """Split `MODEL@BASE_URL`; a model's own name may hold an @, so only `@http://` and `@https://` split."""
    match = re.fullmatch(r"(?P<model>.*?)@(?P<base_url>https?://.*)", rest)
    if match is None:
        if "@" in rest.lstrip("@") or re.match(r"[a-z]+://", rest):
            raise SettingsError(
                f"{setting}: the base URL after @ must begin with http:// or https://: write e.g. "
                "openai:MODEL@http://127.0.0.1:8000/v1"
            )
        return rest, None
    model, base_url = match["model"], match["base_url"].rstrip("/")
    try:
        parts = urlsplit(base_url)
        usable = bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if usable and (parts.username or parts.password):
        raise SettingsError(f"{setting}: the base URL contains a user or password; keys belong in the environment")
    if not usable or re.search(r"[\s?#]", base_url):
        raise SettingsError(
            f"{setting}: not a usable base URL: {without_secrets(base_url)!r}; use no spaces, ? or #, and a port "
            "up to 65535: write e.g. http://127.0.0.1:8000/v1"
        )
    return model, base_url


def place_of(spec: TeacherSpec) -> Path:
    """The file or folder that a spec names."""
    assert spec.path is not None, spec
    return Path(spec.path)
