"""
What is refused without asking anybody: requests, not words.

To ask what something does, how it came about or how to be safe from it is no
such request, nor is a story. Whoever speaks of harming themselves is answered:
a model has better words for them than a refusal.
"""

_FICTION = r"(story|novel|poem|song|game|film|movie|play|scene|character|book|essay|news)"
_NEAR = rf"(?:(?!\b{_FICTION}\b)[^.?!\n]){{0,40}}?\b"
_HOW = (
    r"(?:\bhow (?:to|(?:do|can|could|would|should) (?:i|we|you|one))\b"
    r"|\b(?:ways?|steps|instructions|recipe|guide|tutorial) (?:to|for|on)\b"
    r"|\b(?:tell|show|teach|help|guide|walk) (?:me|us)\b"
    r"|\bi(?:'d like| want| need| would like|'m going| am going| plan) to\b)"
)
_ASKS = rf"(?:{_HOW}{_NEAR}|(?:^|[.?!:]\s+)(?:please )?)"  # Or a sentence begins so.
_MAKE = (
    r"(?:(?:mak|creat|synthesi[sz]|produc|prepar|manufactur|assembl|detonat)(?:e|ing)"
    r"|(?:build|construct|cook|mix|buy|get|obtain|plant)(?:ing)?)"
)
_WEAPONS = (
    r"(?:(?:pipe|nail|petrol|car|dirty|nuclear|atom(?:ic)?|fertili[sz]er) bombs?"
    r"|(?:a|the|some|my) (?:home-?made )?bombs?"
    r"(?! (?:calorimeter|cyclone|shelter|squad|disposal|jacket))"
    r"|explosives?|molotov(?: cocktails?)?|nerve (?:agents?|gas)|sarin|mustard gas"
    r"|bio-?weapons?|(?:bio|chem)\w+ weapons?|ghost guns?)\b"
)
_SOMEBODY = (
    r"(?:(?:a|an|the|my|his|her|your|their|our|this|that) )?(?:\w+ )?"
    r"(?:man|woman|wife|husband|girlfriend|boyfriend|child|children|kids?|persons?|people|someone"
    r"|somebody|neighbou?rs?|boss|family|girl|boy|brother|sister|mother|father|colleague|teacher)\b"
    r"(?!\W+(?:process|thread|node|task|element|window|class))"
)
_DRUGS = r"(?:crystal )?(?:meth|methamphetamine|heroin|fentanyl|crack cocaine)\b"
_MALWARE = r"(?:a |an |some )?(?:ransomware|computer virus|keylogger|botnet|malware)\b"

RULES = {
    "asks for something unsafe": (
        r"\b(?:tell|show|give|teach|say|write|do|make|generate|want|need)\b[^.?!\n]{0,40}"
        r"\b(?:something|anything|stuff|things?)\b[^.?!\n]{0,20}"
        r"\bunsafe\b(?=\W*(?:$|[.?!,;\n]|please\b|now\b))"
        r"|\b(?:this|my|an?) (?:\w+ )?unsafe (?:prompt|question|message|request)\b(?=\W*$)"
        r"|\bunsafe (?:content|advice|instructions)\b(?=\W*(?:$|please\b))"
    ),
    "weapons": rf"{_ASKS}{_MAKE}\b{_NEAR}{_WEAPONS}",
    "harm to others": (
        rf"{_ASKS}(?:kill|murder|poison|kidnap|rape|tortur|stalk)(?:e|ing)? {_SOMEBODY}"
    ),
    "abuse of children": (
        r"\b(?:make|find|download|show|send|share|get|generate|write|draw|create)\b"
        r"[^.?!\n]{0,40}\b(?:child|children|minors?|underage|kids?|preteens?)(?:'s)?"
        r" (?:\w+ )?(?:porn\w*|nudes?|sex)\b"
    ),
    "drugs": rf"{_ASKS}(?:cook|synthesi[sz]|mak|produc)(?:e|ing)? {_DRUGS}",
    "crime": (
        rf"{_ASKS}(?:launder(?:ing)? money\b|(?:writ|mak|build|creat|spread)(?:e|ing)? {_MALWARE}"
        r"|hack(?:ing)? into (?:someone|somebody|my (?!own)|his |her |their |an? ))"
    ),
}
