"""Opens a language-model teacher by its spec."""

from __future__ import annotations

from blindspot.agents.call_log import CallLog
from blindspot.agents.calls import CallLimits
from blindspot.agents.language_model import LanguageModelTeacher
from blindspot.agents.provider import Endpoint, Provider
from blindspot.agents.teacher import TeacherSpec
from blindspot.storage.errors import SettingsError


def open_language_model(spec: TeacherSpec, limits: CallLimits, log: CallLog) -> LanguageModelTeacher:
    """Make a teacher of an `openai:` or `anthropic:` spec; nothing is asked yet.

    Raises: TeacherError, naming the variable to set, when its key is missing.
    """
    return LanguageModelTeacher(str(spec), open_provider(spec, limits), limits, log)


def open_provider(spec: TeacherSpec, limits: CallLimits) -> Provider:
    """Choose the provider's class; only its own SDK is imported."""
    if spec.model is None:
        raise SettingsError(f"teacher.spec: {spec} is no language model")
    endpoint = Endpoint(spec.model, spec.base_url, limits.timeout_s, limits.temperature, limits.max_tokens)
    if spec.provider == "anthropic":
        from blindspot.agents.anthropic import AnthropicProvider

        return AnthropicProvider(endpoint)
    from blindspot.agents.openai import OpenAIProvider

    return OpenAIProvider(endpoint)
