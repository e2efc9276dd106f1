"""Opens a language-model teacher by its spec."""

from __future__ import annotations

from dataclasses import replace

from blindspot.agents.calls.caller import CallLimits
from blindspot.agents.calls.ledger import Ledger
from blindspot.agents.calls.log import CallLog
from blindspot.agents.chat import Endpoint, Provider
from blindspot.agents.providers.plugins import open_plugin
from blindspot.agents.spec import LANGUAGE_MODELS, OBJECT, PLACES, TeacherSpec, place_of
from blindspot.agents.teachers.language_model import LanguageModelTeacher
from blindspot.storage.errors import SettingsError

UNLIMITED = 10**12  # requests per minute and second, and tokens, of what is looked up in files


def open_language_model(spec: TeacherSpec, limits: CallLimits, log: CallLog, ledger: Ledger) -> LanguageModelTeacher:
    """Make a teacher of any spec but `rules`; nothing is asked yet.

    Raises: TeacherError, naming the variable to set, when its key is missing; see `open_provider`.
    """
    return LanguageModelTeacher(str(spec), open_provider(spec, limits), paced(spec, limits), log, ledger)


def open_provider(spec: TeacherSpec, limits: CallLimits) -> Provider:
    """Choose the provider's class; only its own SDK is imported.

    Raises: SettingsError, where a file or folder cannot be used. TeacherError, where a key or a plug-in cannot.
    """
    endpoint = Endpoint(spec.model or "", spec.base_url, limits.timeout_s, limits.temperature, limits.max_tokens)
    if spec.provider == "file":
        from blindspot.agents.batch.file_provider import FileProvider

        return FileProvider(place_of(spec), endpoint)
    if spec.provider == "replay":
        from blindspot.agents.batch.replay import ReplayProvider

        return ReplayProvider(place_of(spec))
    if spec.provider in ("rules", OBJECT):
        raise SettingsError(f"teacher.spec: {spec} is not a language model")
    if spec.provider not in LANGUAGE_MODELS:
        return open_plugin(spec.provider, spec.model or "", endpoint)
    if spec.provider == "anthropic":
        from blindspot.agents.providers.anthropic import AnthropicProvider

        return AnthropicProvider(endpoint)
    from blindspot.agents.providers.openai import OpenAIProvider

    return OpenAIProvider(endpoint)


def paced(spec: TeacherSpec, limits: CallLimits) -> CallLimits:
    """The limits at which a teacher is asked: nobody's account is spared by looking files up slowly."""
    if spec.provider not in PLACES:
        return limits
    return replace(limits, requests_per_minute=UNLIMITED, requests_per_second=UNLIMITED, tokens_per_minute=UNLIMITED)
