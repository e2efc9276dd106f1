"""Sentences written for these tests: reviews of places and things, and pairs that say the same or do not.

They have what attacks stumble over: names, numbers, contractions, hyphens, quotation marks, repeated words.
"""

from __future__ import annotations

REVIEWS = (
    ("The baker remembered my name and slipped a warm roll into the bag.", "positive"),
    ("Our room smelled of paint, and nobody at the desk seemed to care.", "negative"),
    ("I laughed so hard in the second act that my glasses fell off.", "positive"),
    ("After forty minutes the soup arrived, cold and without a spoon.", "negative"),
    ("This lamp is sturdy, bright and easy to clean.", "positive"),
    ("The zip broke on the first morning of our trip.", "negative"),
    ("Mrs. Okafor's garden tour was the loveliest hour of the whole week.", "positive"),
    ("The ending felt rushed, as if the author had run out of paper.", "negative"),
    ("Fresh bread, kind waiters and a view of the harbour: we'll be back.", "positive"),
    ("It rattles, it leaks, and it costs more than my bicycle.", "negative"),
    ("A patient teacher who explains every chord until it finally clicks.", "positive"),
    ("They lost our luggage twice and blamed the weather both times.", "negative"),
    ("My grandmother's old radio sounds wonderful again, thanks to this shop.", "positive"),
    ("The seats were sticky and the sound kept cutting out.", "negative"),
    ("Even on a rainy Tuesday the little museum was a delight.", "positive"),
    ("I'd rather walk home barefoot than take that bus again.", "negative"),
    ("The new ferry is quiet, punctual and surprisingly comfortable.", "positive"),
    ("What a dull, joyless evening of dry chicken and drier speeches.", "negative"),
    ("She sang the last song without a microphone, and the hall held its breath.", "positive"),
    ("The instructions are wrong, so the shelf leans like a tired horse.", "negative"),
    ("Ten years on, these boots still keep the snow out.", "positive"),
    ("Half the pages were blank and the other half were upside down.", "negative"),
    ("A clever, generous book about bees that I've given to three friends.", "positive"),
    ("The guide shouted at the children and skipped the castle.", "negative"),
    ("Crisp apples, honest prices, and a dog that greets everyone.", "positive"),
    ("The battery dies before lunch, every single day.", "negative"),
    ("He fixed the boiler in twenty minutes and wouldn't take a tip.", "positive"),
    ("Rude staff, dirty cups, and a bill with two mistakes in it.", "negative"),
    ("The orchestra played with such warmth that strangers hugged afterwards.", "positive"),
    ("I asked for \"no onions\" and got a plate of nothing but onions.", "negative"),
    ("Our campsite by the river was peaceful, clean and full of stars.", "positive"),
    ("The well-known chef was away, and you could taste it.", "negative"),
)  # fmt: skip
"""(text, label)"""

PAIRS = (
    (("The mill closed in March after a flood.", "A flood shut the mill down in March."), "same"),
    (("Lena sold her boat to a neighbour.", "Lena bought a boat from a neighbour."), "different"),
    (("Trains to the coast leave every half hour.", "Every thirty minutes a train leaves for the coast."), "same"),
    (("The council planted 200 trees last year.", "Last year the council cut down 200 trees."), "different"),
    (("The bridge reopens on Friday, the mayor said.", "According to the mayor, the bridge opens again on Friday."),
     "same"),
    (("Heavy snow delayed the morning flights.", "Fog delayed the evening flights for two hours."), "different"),
    (("A retired nurse found the missing cat in her shed.", "The missing cat was found in a retired nurse's shed."),
     "same"),
    (("The library lends tools as well as books.", "The library no longer lends books to visitors."), "different"),
    (("Olive prices rose by a third this autumn.", "This autumn olives became a third more expensive."), "same"),
    (("The team won its first match since May.", "The team has not won a match since May."), "different"),
    (("Workers repaired the church roof over the summer.", "Over the summer the roof of the church was repaired."),
     "same"),
    (("The school will get a new kitchen.", "The hospital will get a new kitchen and garden."), "different"),
)  # fmt: skip
"""((one sentence, another), whether they say the same)"""
