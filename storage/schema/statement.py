"""When two hypotheses say the same, as SQL text, defined once."""

from __future__ import annotations

QUOTED = '“[^”]*”|"[^"]*"|«[^»]*»|‘[^’]*’|`[^`]*`'
LIST = rf"({QUOTED})(\s*(,|and|or|/|,\s*and|,\s*or)?\s*({QUOTED}))*"
GAP = "◌"  # stands for a quotation: a symbol, so that it outlives the punctuation
LEAST_WORDS = 3  # that a hypothesis needs beside what it quotes: of fewer, the quotation is what it says


def statement_of(text: str) -> str:
    """Write what a hypothesis says: its words in lower case, without punctuation, what it quotes left out as "…".

    Hypotheses with equal statements say the same, each with examples of its own. Symbols such as + and < stay.

    Args:
        text: an expression, the hypothesis.
    """
    whole, beside = words(text), words(f"regexp_replace({text}, '{LIST}', ' {GAP} ', 'g')")
    enough = f"len(list_filter(string_split({beside}, ' '), lambda word: word <> '{GAP}')) >= {LEAST_WORDS}"
    return f"(CASE WHEN {enough} THEN replace({beside}, '{GAP}', '…') ELSE coalesce(nullif({whole}, ''), {text}) END)"


def words(text: str) -> str:
    """Write a text's words in lower case, with one space between two of them."""
    return f"trim(regexp_replace(lower(nfc_normalize({text})), '[\\s\\p{{Z}}\\p{{P}}]+', ' ', 'g'))"


def examples_of(text: str) -> str:
    """Write the list of what a hypothesis quotes, without the marks, each once, in order of appearance."""
    quoted_parts = f"list_transform(regexp_extract_all({text}, '{QUOTED}'), lambda quoted: quoted[2:-2])"
    return f"list_filter({quoted_parts}, lambda quoted, place: list_position({quoted_parts}, quoted) = place)"
