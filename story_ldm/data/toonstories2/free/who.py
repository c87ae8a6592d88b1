"""Who is in ToonStories 2, what they wear and hold, as the free form says it, in the orders of `tables.py`."""

from __future__ import annotations

KINDS = (
    "bear|bear|bear|bear|bear cub|brown-eyed bear|grizzly|grizzly bear|bruin",
    "rabbit|rabbit|rabbit|rabbit|bunny|bunny|bunny rabbit|hare|cottontail",
    "fox|fox|fox|fox|fox cub|vixen",
    "mouse|mouse|mouse|mouse|field mouse|house mouse|mousie",
    "frog|frog|frog|frog|tree frog|toad|froggy|bullfrog",
    "duck|duck|duck|duck|duckling|ducky|mallard|drake",
    "robot|robot|robot|robot|bot|android|droid|tin robot|toy robot|machine",
    "alien|alien|alien|alien|space alien|martian|extraterrestrial|visitor from space|spaceman",
    "cat|cat|cat|cat|kitten|kitty|pussycat|tomcat|house cat|tabby",
    "dog|dog|dog|dog|puppy|doggy|hound|pup|sheepdog|pooch",
    "pig|pig|pig|pig|piglet|piggy|hog|swine|sow",
    "lion|lion|lion|lion|lion cub|lioness|king of beasts|young lion",
    "penguin|penguin|penguin|penguin|emperor penguin|penguin chick|king penguin",
    "owl|owl|owl|owl|owlet|barn owl|night owl|tawny owl",
    "elephant|elephant|elephant|elephant|elephant calf|jumbo|baby elephant",
    "dragon|dragon|dragon|dragon|baby dragon|fire dragon|fire-breather|dragonet",
    "girl|girl|girl|girl|little girl|schoolgirl|young girl|lass|lassie",
    "boy|boy|boy|boy|little boy|schoolboy|young boy|lad|laddie",
    "woman|woman|woman|woman|lady|lady|young woman|mum|mother|old woman",
    "man|man|man|man|gentleman|young man|dad|father|old man|fellow",
)
PLURALS = (
    *(
        "bears",
        "rabbits",
        "foxes",
        "mice",
        "frogs",
        "ducks",
        "robots",
        "aliens",
        "cats",
        "dogs",
        "pigs",
        "lions",
        "penguins",
        "owls",
        "elephants",
        "dragons",
    ),
    *("girls", "boys", "women", "men"),
)
TRAITS = (
    "furry|shaggy|fluffy|cuddly|burly|bearish|bulky|fuzzy|woolly",
    "long-eared|fluffy|soft|floppy-eared|velvety|white-tailed|twitchy|furry",
    "sly|bushy-tailed|sharp-eyed|cunning|pointy-eared|wily|furry",
    "whiskered|long-tailed|teeny|squeaky|pocket-sized|wee|furry|round-eared",
    "slimy|bouncy|wide-mouthed|damp|goggle-eyed|spotty|web-footed",
    "feathered|waddling|quacking|downy|orange-beaked|web-footed|chubby|feathery",
    "shiny|clanking|metal|whirring|rusty|battery-powered|beeping|squeaking",
    "strange|big-eyed|antennaed|mysterious|odd-looking|faraway|glowing",
    "whiskered|purring|furry|striped|soft-pawed|velvety|nimble|meowing",
    "furry|barking|tail-wagging|floppy-eared|faithful|wet-nosed|shaggy|sniffing",
    "round|curly-tailed|chubby|plump|muddy|grunting|pot-bellied|well-fed",
    "maned|roaring|mighty|strong|regal|tawny|majestic|shaggy",
    "waddling|smart|flippered|feathered|tubby|chilly|well-dressed|sleek",
    "wise|feathered|round-eyed|hooting|fluffy|learned|big-eyed|winged",
    "huge|big|heavy|large-eared|trumpeting|wrinkly|enormous|long-trunked",
    "winged|scaly|fire-breathing|spiky|smoking|mighty|long-tailed|horned",
    "clever|curious|freckled|pigtailed|bright|nimble|inventive|helpful",
    "clever|curious|freckled|tousled|bright|sporty|inventive|helpful",
    "clever|kind|elegant|busy|tall|sensible|helpful|strong",
    "clever|kind|bearded|busy|tall|sensible|helpful|strong",
)
_PAW, _HAND, _WING = "paw|paw|arm|front paw", "hand|hand|arm|right hand", "wing|wing|arm|feathery wing"
LIMB = (
    *(_PAW + "|big paw", _PAW + "|soft paw", _PAW, _PAW + "|tiny paw", "hand|hand|arm|webbed hand", _WING, "arm|hand|metal arm|claw|gripper"),
    *(
        "hand|arm|tentacle|long arm",
        _PAW,
        _PAW,
        "trotter|arm|trotter|hand",
        _PAW + "|big paw",
        "flipper|flipper|wing|arm",
        _WING,
        "arm|arm|trunk",
    ),
    *("claw|arm|claw|arm", _HAND, _HAND, _HAND, _HAND),
)
LIMBS = (
    *("paws", "paws", "paws", "paws", "hands", "wings", "arms", "hands", "paws", "paws", "trotters", "paws", "flippers", "wings", "arms", "claws"),
    *("hands", "hands", "hands", "hands"),
)
SOUNDS = (
    *("growl", "squeak", "bark", "squeak", "croak", "quack", "beep", "hum", "meow", "bark", "oink", "roar", "honk", "hoot", "trumpet blast", "puff"),
    *("call", "shout", "call", "whistle"),
)
FRIEND = """friend|friend|friend|friend|pal|buddy|best friend|good friend|old friend|companion|playmate|dear friend|mate|chum"""
GREETED = """birds|crowd|reader|camera|fish|butterflies|beetles|pigeons|snails|audience|world|whole
world|bees|ladybirds|passers-by|sparrows|robins|swallows|sheep|goats
|cows|horses|ponies|donkeys|squirrels|hedgehogs|bumblebees|dragonflies|crickets|ants|worms|moles|geese|spectators|onlookers|train|bus|ship|aeroplane"""

COLOR_WORDS = (
    "red|red|red|red|red|red|bright red|crimson|scarlet|dark red|cherry-red|ruby-red|tomato-red|fire-engine red",
    "orange|orange|orange|orange|orange|orange|bright orange|tangerine|pumpkin-orange|dark orange|carrot-coloured|apricot",
    "yellow|yellow|yellow|yellow|yellow|yellow|bright yellow|lemon-yellow|golden yellow|canary-yellow|pale yellow|mustard-yellow",
    "green|green|green|green|green|green|bright green|grass-green|emerald|dark green|light green|lime-green|olive-green|emerald-green",
    "blue|blue|blue|blue|blue|blue|bright blue|sky-blue|navy|dark blue|light blue|navy-blue|royal blue|azure|pale blue",
    "purple|purple|purple|purple|purple|purple|violet|lilac|dark purple|lavender|plum-coloured|deep purple|bright purple|mauve",
    "pink|pink|pink|pink|pink|pink|bright pink|rose-pink|rosy|hot pink|pale pink|salmon-pink|bubblegum-pink|fuchsia",
    "white|white|white|white|white|white|snow-white|plain white|pure white|bright white|chalk-white|crisp white|milk-white",
    "black|black|black|black|black|black|jet-black|coal-black|pitch-black|plain black|raven-black|ink-black",
)
COLOR_LIKE = ("a tomato", "a carrot", "a lemon", "fresh grass", "a cornflower", "a plum", "a rosebud", "milk", "coal")
PROP_WORDS = (
    "ball|ball|ball|ball|beach ball|rubber ball|football",
    "balloon|balloon|balloon|balloon|toy balloon",
    "umbrella|umbrella|umbrella|parasol|brolly",
    "flag|flag|flag|flag|banner|pennant",
    "book|book|book|book|storybook|picture book",
    "kite|kite|kite|kite|paper kite|toy kite",
    "gift|gift|present|present|parcel|birthday present",
    "lantern|lantern|lantern|lamp|paper lantern",
    "bucket|bucket|bucket|pail|tin bucket",
    "basket|basket|basket|picnic basket|hamper|wicker basket",
    "drum|drum|drum|drum|toy drum|little drum",
    "guitar|guitar|guitar|guitar|ukulele",
    "key|key|key|key|big key|door key|old key",
    "letter|letter|letter|envelope|love letter",
    "ice cream|ice cream|ice cream|ice-cream cone|ice lolly|popsicle",
    "teddy|teddy|teddy bear|teddy bear|toy bear",
    "boat|boat|toy boat|toy boat|paper boat|model ship",
    "pinwheel|pinwheel|pinwheel|windmill toy|toy windmill",
    "cup|cup|cup|mug|teacup|cup of tea",
    "suitcase|suitcase|suitcase|case|travel bag|trunk",
)
EVERYBODY = {
    2: """both|both|both friends|both of them|the two|the two of them|the two friends|the friends|the pair|the duo|everyone|everybody|the two
    companions""",
    3: """all three|all three|the three of them|the friends|the three friends|everyone|everybody|the trio|the whole gang|all of them|the little
    group|all three friends""",
    4: """all four|all four|the four of them|the friends|the four friends|everyone|everybody|the quartet|the whole gang|all of them|the little
    group|all four friends""",
}
OTHERS_BY_COUNT = {
    2: "the others|the others|the other two|the two others|the rest of them|the other two friends",
    3: "the others|the others|the other three|the three others|the rest of them|the other three friends",
}
SINGULAR_GROUPS = ("everybody", "everyone", "the pair", "the duo", "the trio", "the quartet", "the whole gang", "the little group")
MOOD = (  # neither tells a face
    """tired|bored|hungry|nervous|hot|cold|thirsty|content|worn out|a little shy|exhausted|deep in thought|weary|at ease|dizzy|quite
    relaxed|unsure what to do|in no hurry|curious|patient|comfortable""",
    """curious|full of energy|wide awake|restless|full of beans|brave|playful|lively|ready for anything|bored of
    waiting|proud|energetic|impatient|full of ideas|in a hurry|on form""",
)
MOOD_PLAIN = (
    "tired|bored|hungry|nervous|thirsty|weary|hot|cold|dizzy|thoughtful|relaxed|patient|curious|comfortable",
    "curious|proud|brave|lively|restless|playful|energetic|impatient|bold|busy|fit|bored|eager",
)
ONE_DAY = "once|right now|just now|and now|this time|today"
TOO = "tired|lazy|busy|shy|hungry|weak|old|proud|clever|bored|small|thirsty"
