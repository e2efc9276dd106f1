"""OpenAI, Anthropic and plug-ins: one request, one reply, or one sorted error."""
