"""The token counts of an answer: a server may say anything, and the ledger and the rate limiter believe them."""

from __future__ import annotations

from dataclasses import replace

from blindspot.agents.chat import Reply

SLACK = 2  # times the most that a request may take: a server may wrap a question in words of its own
SLACK_TOKENS = 1_000


def with_plausible_counts(reply: Reply, most_in: int, most_out: int) -> Reply:
    """Replace counts that cannot be by the most that the request may have taken.

    They cannot be where they are negative or beyond that, or where only one of them is given.

    Args:
        most_in, most_out: tokens of the question and of its answer, upper bounds.
    """
    if reply.tokens_in == reply.tokens_out == 0:  # it counts nothing: the ledger takes the worst case
        return reply
    is_in_fine = 0 < reply.tokens_in <= SLACK * most_in + SLACK_TOKENS
    is_out_fine = (not reply.text or reply.tokens_out > 0) and 0 <= reply.tokens_out <= SLACK * most_out + SLACK_TOKENS
    tokens_in, tokens_out = reply.tokens_in if is_in_fine else most_in, reply.tokens_out if is_out_fine else most_out
    return replace(reply, tokens_in=tokens_in, tokens_out=tokens_out)


def named_count(count: int) -> str:
    """Write a count for a message; one that no server means is not written out."""
    return str(count) if abs(count) < 10**20 else "10^20 or more"
