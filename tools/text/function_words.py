"""English function words: the closed classes, which carry grammar and little meaning."""

from __future__ import annotations

DETERMINERS = "a an the this that these those each few both all any some such other no own same more most"
PRONOUNS = """
    i me my mine myself we us our ours ourselves you your yours yourself yourselves
    he him his himself she her hers herself it its itself they them their theirs themselves
    who whom whose which what
"""
PREPOSITIONS = """
    of to in for on with at by from up about into over after against between through during
    before above below under down out off until
"""
CONJUNCTIONS = "and but or nor if because as while than so when where why how"
AUXILIARIES = """
    am is are was were be been being have has had having do does did doing can will should
    don't doesn't didn't isn't aren't wasn't weren't haven't hasn't hadn't won't wouldn't shouldn't couldn't
    mustn't mightn't needn't shan't it's she's you're you've you'll you'd that'll should've
"""
ADVERBS = "not only very too just then once here there now again further"
CLIPPED = "s t d m o y ll re ve don isn aren wasn weren haven hasn hadn doesn didn won wouldn shouldn couldn"

ENGLISH: tuple[str, ...] = tuple(
    sorted(set(f"{DETERMINERS} {PRONOUNS} {PREPOSITIONS} {CONJUNCTIONS} {AUXILIARIES} {ADVERBS} {CLIPPED}".split()))
)
