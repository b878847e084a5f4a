"""Short English sentences from a small grammar: data for text models without a download."""

import numpy as np

SEED = 0


def _forms(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(word.split("/")) for word in text.split())


# Nouns: singular, plural.
NOUNS = {
    "people": _forms(
        "man/men woman/women child/children teacher/teachers farmer/farmers girl/girls boy/boys doctor/doctors"
    ),
    "animals": _forms("dog/dogs cat/cats horse/horses bird/birds elephant/elephants"),
    "food": _forms("apple/apples cake/cakes egg/eggs orange/oranges pear/pears"),
    "things": _forms("book/books letter/letters picture/pictures box/boxes lamp/lamps"),
}
# Subject, object: plural, singular, past.
VERBS = (
    ("people", "people", _forms("help/helps/helped thank/thanks/thanked meet/meets/met")),
    ("people", "animals", _forms("feed/feeds/fed wash/washes/washed follow/follows/followed")),
    ("people", "food", _forms("eat/eats/ate buy/buys/bought share/shares/shared")),
    ("people", "things", _forms("carry/carries/carried find/finds/found sell/sells/sold")),
    ("people", "", _forms("sing/sings/sang work/works/worked laugh/laughs/laughed")),
    ("animals", "people", _forms("follow/follows/followed watch/watches/watched")),
    ("animals", "animals", _forms("chase/chases/chased watch/watches/watched")),
    ("animals", "food", _forms("eat/eats/ate steal/steals/stole")),
    ("animals", "", _forms("sleep/sleeps/slept run/runs/ran wait/waits/waited")),
)
ADJECTIVES = {
    "people": ["old", "young", "happy", "tired", "angry"],
    "animals": ["old", "young", "happy", "tired", "big", "small"],
    "food": ["fresh", "sweet", "big", "small", "expensive"],
    "things": ["old", "new", "big", "small", "expensive"],
}
PREPOSITIONS = ["in", "near", "behind"]
PLACES = ["garden", "house", "school", "market", "forest", "kitchen", "station", "church"]
TIMES = {"past": "yesterday", "present": "every day", "future": "tomorrow"}
DETERMINERS = (["the", "a", "my"], ["the", "two", "some", "my"])  # singular, plural


def make_sentences(count: int = 3000) -> list[str]:
    """Make the sentences of `labelled_sentences`."""
    return labelled_sentences(count)[0]


def labelled_sentences(count: int = 3000) -> tuple[list[str], list[str]]:
    """Make different sentences of 3 to 12 words, in a fixed order; 3,000 have a vocabulary of 142 words.

    Returns:
      The sentences, and the tense of each: "past", "present" or "future".

    The verb agrees with its subject in number, and with the time ("yesterday", "every day", "tomorrow") in tense; "a"
    is "an" before a vowel; subjects and objects fit their verbs.
    """
    raw = np.random.PCG64(SEED).random_raw  # the bits of PCG64 are the same in every NumPy; those of Generator need not

    def pick(choices):
        return choices[raw() % len(choices)]

    def chance(percent):
        return raw() % 100 < percent

    def noun_phrase(kind, many):
        words = [pick(ADJECTIVES[kind])] * chance(40) + [pick(NOUNS[kind])[many]]
        determiner = pick(DETERMINERS[many])
        return ["an" if determiner == "a" and words[0][0] in "aeiou" else determiner, *words]

    def sentence():
        (subject, objects, verbs), many, tense = pick(VERBS), chance(40), pick(list(TIMES))
        plain, one, past = pick(verbs)
        verb = {"past": [past], "present": [plain if many else one], "future": ["will", plain]}[tense]
        clause = noun_phrase(subject, many) + verb + (noun_phrase(objects, chance(40)) if objects else [])
        clause += [pick(PREPOSITIONS), "the", pick(PLACES)] if chance(45) else []
        time = TIMES[tense].split() if chance(45) else []
        return " ".join(time + clause if chance(50) else clause + time), tense

    made: dict[str, str] = {}
    while len(made) < count:
        words, tense = sentence()
        made.setdefault(words, tense)
    return list(made), list(made.values())
