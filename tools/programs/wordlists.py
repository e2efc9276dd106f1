"""The words that programs bring with them: names, places, auxiliaries, and how people write in haste or with care."""

from __future__ import annotations

from collections.abc import Mapping

FIRST_NAMES = (
    "Alice", "Amir", "Anna", "Carlos", "Chen", "Daniel", "Elena", "Emma", "Fatima", "George", "Grace", "Hannah", "Ivan",
    "James", "Julia", "Kofi", "Laura", "Liam", "Maria", "Martin", "Mei", "Nadia", "Noah", "Olga", "Omar", "Paul",
    "Priya", "Rosa", "Samuel", "Sofia", "Thomas", "Yuki",
)  # fmt: skip
LAST_NAMES = (
    "Adams", "Baker", "Bennett", "Carter", "Cohen", "Diaz", "Evans", "Fischer", "Garcia", "Hughes", "Ibrahim", "Jansen",
    "Kowalski", "Kumar", "Larsen", "Lopez", "Mensah", "Miller", "Morris", "Novak", "Okafor", "Parker", "Petrov",
    "Rossi", "Sato", "Silva", "Tanaka", "Turner", "Walker", "Weber", "Young", "Zhang",
)  # fmt: skip
PLACES = (
    "Athens", "Berlin", "Boston", "Cairo", "Chicago", "Denver", "Dublin", "Glasgow", "Lagos", "Leeds", "Lima", "Lisbon",
    "London", "Madrid", "Manila", "Nairobi", "Oslo", "Paris", "Prague", "Rome", "Seattle", "Sydney", "Tokyo", "Vienna",
)  # fmt: skip
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
TIMES = tuple(
    time for hour in range(1, 13) for time in (f"{hour} am", f"{hour} pm", f"{hour}:15", f"{hour}:30", f"{hour}:45 pm")
)
AMOUNTS = tuple(f"${amount}" for amount in (3, 5, 8, 12, 20, 35, 49.99, 75, 99, 120, 150, 250, 400, 650, 1000, 2500))
NUMBERS = tuple(map(str, (*range(2, 100), *range(100, 1000, 25))))

BUILT_IN_SLOTS: Mapping[str, tuple[str, ...]] = {
    "number": NUMBERS,
    "name": FIRST_NAMES,
    "time": TIMES,
    "day": DAYS,
    "month": MONTHS,
    "place": PLACES,
    "amount": AMOUNTS,
}

NUMBER_WORDS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty")

NEGATED: Mapping[str, str] = {
    **{
        word: f"{word}n't"
        for word in (
            "is", "are", "was", "were", "has", "have", "had", "do", "does", "did", "would", "should", "could", "must",
        )
    },
    "can": "can't",
    "will": "won't",
}  # fmt: skip
"""Auxiliaries with their contracted negations."""
UNCONTRACTED = ("am", "may", "might")
"""Auxiliaries that are negated by "not" alone."""

EXPANSIONS: Mapping[str, str] = {
    **{contracted: f"{word} not" for word, contracted in NEGATED.items()},
    "can't": "cannot",
    "i'm": "I am", "i've": "I have", "i'll": "I will", "i'd": "I would",
    "you're": "you are", "you've": "you have", "you'll": "you will", "you'd": "you would",
    "we're": "we are", "we've": "we have", "we'll": "we will", "we'd": "we would",
    "they're": "they are", "they've": "they have", "they'll": "they will", "they'd": "they would",
    "he's": "he is", "he'll": "he will", "he'd": "he would", "she's": "she is", "she'll": "she will",
    "she'd": "she would", "it's": "it is", "it'll": "it will", "that's": "that is", "there's": "there is",
    "what's": "what is", "who's": "who is", "let's": "let us",
}  # fmt: skip

SMS: Mapping[str, str] = {
    "you": "u", "your": "ur", "you're": "ur", "are": "r", "be": "b", "see": "c", "why": "y", "for": "4", "to": "2",
    "too": "2", "and": "n", "because": "cos", "please": "pls", "thanks": "thx", "thank you": "thx", "tonight": "2nite",
    "tomorrow": "tmrw", "today": "2day", "great": "gr8", "before": "b4", "later": "l8r", "wait": "w8", "late": "l8",
    "okay": "ok", "people": "ppl", "with": "w", "going to": "gonna", "want to": "wanna", "got to": "gotta",
    "give me": "gimme", "let me": "lemme", "do not know": "dunno", "don't know": "dunno", "love": "luv", "what": "wat",
    "message": "msg", "text": "txt", "weekend": "wkend", "by the way": "btw", "to be honest": "tbh",
    "in my opinion": "imo", "as soon as possible": "asap", "something": "smth", "someone": "sb", "really": "rly",
    "though": "tho", "through": "thru", "about": "abt", "know": "kno", "have": "hv", "very": "v", "good": "gd",
    "from": "frm", "just": "jst", "minutes": "mins", "this": "dis", "the": "d", "that": "dat",
    "them": "em", "sorry": "sry", "probably": "prob", "favourite": "fav", "favorite": "fav", "picture": "pic",
    "photo": "pic", "birthday": "bday", "hello": "hey",
    **{contracted: contracted.replace("'", "") for contracted in EXPANSIONS if contracted not in ("you're", "it's")},
}  # fmt: skip
FORMAL: Mapping[str, str] = {
    **EXPANSIONS,
    "gonna": "going to", "wanna": "want to", "gotta": "have to", "gimme": "give me", "lemme": "let me",
    "dunno": "do not know", "kinda": "somewhat", "sorta": "somewhat", "cos": "because", "cuz": "because",
    "u": "you", "ur": "your", "r": "are", "pls": "please", "plz": "please", "thx": "thank you",
    "thanks": "thank you", "hi": "good day", "hey": "good day", "hello": "good day", "bye": "goodbye",
    "ok": "very well", "okay": "very well", "yeah": "yes", "yep": "yes", "yup": "yes", "nope": "no",
    "guy": "man", "guys": "people", "kid": "child", "kids": "children", "movie": "film", "movies": "films",
    "awesome": "excellent", "cool": "pleasing", "lots of": "many", "a lot of": "much", "a lot": "considerably",
    "stuff": "material", "get": "obtain", "got": "obtained", "buy": "purchase", "bought": "purchased",
    "really": "truly", "pretty much": "largely", "sucks": "disappoints", "ppl": "people", "msg": "message",
    "asap": "as soon as possible", "tbh": "to be honest", "btw": "by the way", "luv": "love", "gr8": "great",
    "b4": "before", "2nite": "tonight", "tmrw": "tomorrow", "txt": "text message", "dont": "do not", "im": "I am",
    "cant": "cannot", "isnt": "is not", "didnt": "did not", "doesnt": "does not", "wasnt": "was not",
}  # fmt: skip

KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
LOOK_ALIKES: Mapping[str, str] = {
    "a": "а@", "c": "с", "e": "е3", "i": "і1", "l": "1", "o": "о0", "p": "р", "s": "ѕ5", "x": "х", "y": "у",
}  # fmt: skip
"""Cyrillic letters and digits that look like Latin letters."""
