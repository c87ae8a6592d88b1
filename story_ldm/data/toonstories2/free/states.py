"""Faces, hours and weathers as the free form of ToonStories 2 says them, in the orders of `tables.py`."""

from __future__ import annotations

FACE = (  # what is said of somebody who has this face from now on; each begins with its verb
    """<calm> down|<calm> down|<be> calm again|<be> [all right|fine|back to normal|quiet] again|<have/perf> calmed down|<look> calm again|<get>
    over it|<relax> [|again]|<feel> normal again|<compose> {self}|<regain> {his} composure|<take> a deep breath and <calm> down|<be> over it""",
    """<be> happy|<be> happy|<be> happy|<be> [very|so|really] happy|<smile>|<smile>|<smile> [broadly|from ear to ear|happily|at
    everyone]|<beam> [|with joy]|<look> happy|<feel> happy|<be> glad|<be> [cheerful|delighted|overjoyed|pleased|in a good mood|full of joy|as
    happy as can be|thrilled|in high spirits|on top of the world|jolly|merry|joyful]|<laugh>|<laugh> [out loud|happily|and
    <laugh>]|<giggle>|<grin> [|from ear to ear]|<chuckle>|<glow> with joy|<look> [cheerful|pleased|delighted]|<have> a big smile|<brighten>
    up|<can/neg> stop [smiling|laughing]|<feel> [great|wonderful|on top of the world]|<shine> with happiness|<rejoice>|<smirk>|<get>
    happy|<become> happy|<turn> happy""",
    """<be> sad|<be> sad|<be> sad|<be> [very|so|really] sad|<look> sad|<feel> sad|<get> sad|<become> sad|<be> [unhappy|miserable|down in the
    dumps|heartbroken|gloomy|downcast|glum|tearful|sorrowful|upset]|<cry>|<cry>|<cry> [bitterly|a little|quietly|and <cry>]|<weep>
    [|bitterly]|<sob> [|quietly]|<shed> [a tear|tears]|<have> tears in {his} eyes|<look> [unhappy|gloomy|miserable|glum]|<feel> [miserable|like
    crying|unhappy]|<sniffle>|<wail> |<burst> into tears|<grieve>|<mope>|<whimper>|<have> a long face|<howl>|<blubber>|<fight> back the
    tears|<hang> {his} head""",
    """<be> angry|<be> angry|<be> angry|<be> [very|so|really] angry|<look> angry|<get> angry|<become> angry|<be>
    [cross|furious|mad|grumpy|annoyed|livid|in a bad temper|irritated|enraged|in a rage|hopping mad]|<frown>|<frown>
    angrily|<scowl>|<fume>|<grumble>|<growl>|<glare>|<rage>|<lose> {his} temper|<look> [cross|furious|grim|annoyed|grumpy]|<grit> {his}
    teeth|<clench> {his} teeth|<boil> with rage|<snarl>|<pull> an angry face|<have> had enough and <be> angry|<stamp> {his} foot in anger|<get>
    [cross|mad|furious]|<seethe>|<grumble> angrily|<make> an angry face""",
    """<be> surprised|<be> surprised|<be> surprised|<be> [very|quite|so] surprised|<look> surprised|<get> a surprise|<be>
    [astonished|amazed|startled|stunned|taken aback|speechless|flabbergasted|dumbfounded|astounded|lost for words]|<gasp>|<gasp> [in
    surprise|with surprise|aloud]|<can/neg> believe {his} eyes|<stare> in surprise|<open> {his} mouth in surprise|<look>
    [astonished|amazed|startled]|<raise> {his} eyebrows|<gape> [|in surprise]|<have> eyes as big as saucers|<get> a
    [shock|fright]|<marvel>|<make> big eyes|<look> quite surprised|<wonder> with an open mouth""",
)
FACE_ADJECTIVES = (
    "calm",
    "happy|happy|cheerful|smiling|laughing|merry|jolly|beaming|joyful|grinning|delighted",
    "sad|sad|unhappy|crying|weeping|gloomy|miserable|tearful|sobbing|glum",
    "angry|angry|cross|furious|grumpy|scowling|fuming|annoyed|frowning",
    "surprised|surprised|astonished|amazed|startled|astounded|gaping",
)
FACE_ADVERBS = (
    "calmly",
    """happily|happily|joyfully|cheerfully|merrily|with a big smile|with a laugh|gleefully|in a good mood|full of joy|with a smile|with a happy
    face|smiling|with a grin""",
    "sadly|sadly|unhappily|in tears|with a sad face|miserably|gloomily|with a heavy heart|sobbing|crying|with wet eyes|mournfully",
    "angrily|angrily|furiously|crossly|with an angry face|in a rage|grumpily|with a frown|scowling|fuming|in anger",
    "in surprise|in surprise|in amazement|with a surprised face|in astonishment|with a gasp|with an open mouth|quite surprised|astonished",
)
FELT = """{S} {P}|{S} {P}|{S} {P}|{S} {P}|{S} {P}|{S} {P}|now {S} {P}|and {S} {P}|suddenly {S} {P}|{S} {P} [because of that|for some reason|at
that]|you <can> see that {S} {P}|something <have/s> happened: {S} {P}|and so {S} {P}|it <be/s> plain to see: {S} {P}|{S}, by the way, {P}|at
that, {S} {P}|{S} {P}, as you <can> see|look: {S} {P}|no wonder {S} {P}|as for {S.w}, {he} {P}|all of a sudden, {S} {P}|who <know/s> why, but
{S} {P}|what now? ^{S} {P}|{S} {P}, and everyone <can> see it"""
FELT_PLAIN = "{S} {P}"
FACE_PLAIN = ("<calm> down", "<be/full> happy", "<be/full> sad", "<be/full> angry", "<be/full> surprised")

TIME_NOW = (  # as it is at first
    """it <be/s> day|it <be/s> daytime|it <be/s> [morning|noon|midday|early afternoon|the middle of the day]|it <be/s> broad daylight|the day <be/s>
    bright|it <be/s> light [out|outside|]""",
    """it <be/s> evening|it <be/s> evening|it <be/s> [dusk|sunset|twilight|late in the day|an evening like any other]|the sun <be/s>
    setting|the sun <go/s> down|dusk <be/s> falling|the sun <sink/s>|the day <be/s> nearly over|evening <have/s> come|the sun <be/s> low""",
    """it <be/s> night|it <be/s> night|it <be/s> night|it <be/s> [midnight|late at night|the middle of the night|pitch-dark|dark|a dark
    night|night-time]|night <have/s> fallen|the moon <shine/s>|stars <twinkle/p> in the sky|everyone else <be/s> in bed|the sky <be/s> dark""",
)
TIME_COMES = (
    """day <break/s>|morning <come/s>|the sun <rise/s>|a new day <begin/s>|it <get/s> light|it <be/s> day again|the night <be/s> over|dawn
    <break/s>|it <be/s> morning now|the sun <come/s> up|now it <be/s> day""",
    """evening <come/s>|dusk <fall/s>|the sun <go/s> down|the sun <set/s>|it <be/s> evening now|the day <draw/s> to a close|the shadows
    <grow/p> long|evening <fall/s>|now it <be/s> evening|the sun <sink/s>|it <be/s> getting dark""",
    """night <fall/s>|night <come/s>|it <be/s> night now|darkness <fall/s>|now it <be/s> night|the moon <rise/s>|it <get/s> pitch-dark|the stars
    <come/p> out|midnight <come/s>|it <be/s> dark now""",
)
TIME_LEADS = (
    "by day,|during the day,|one morning,|one afternoon,|at noon,|early one morning,|one fine morning,|in broad daylight,|in the morning,",
    "one evening,|one evening,|in the evening,|at sunset,|at dusk,|this evening,|late one evening,|as the sun <set/s>,|towards evening,",
    "one night,|one night,|at night,|in the middle of the night,|late at night,|tonight,|after dark,|at midnight,|in the dark of night,|by night,",
)
TIME_NOUNS = ("day|day|morning|afternoon", "evening", "night")
WEATHER_NOW = (
    """the sky <be/s> clear|the sky <be/s> clear|there <be/s> not a cloud in the sky|the weather <be/s> [fine|lovely|good|nice|beautiful]|no
    cloud <be/s> to be seen|the air <be/s> clear|the weather <be/s> fine""",
    """it <rain/s>|it <rain/s>|it <be/s> raining|it <be/s> raining|rain <fall/s>|it <pour/s>|it <be/s> [rainy|wet|pouring|drizzling]|the rain <come/s>
    down|raindrops <fall/p>|it <drizzle/s>|everything <be/s> wet from the rain|rain <patter/s> down|the weather <be/s> rainy""",
    """it <snow/s>|it <snow/s>|it <be/s> snowing|it <be/s> snowing|snow <fall/s>|snowflakes <fall/p>|thick flakes <fall/p>|it <be/s> snowy|the
    snow <come/s> down|white flakes <float/p> down|the weather <be/s> snowy""",
    """it <be/s> windy|it <be/s> windy|the wind <blow/s>|a wind <blow/s>|a strong wind <blow/s>|it <be/s> blowing hard|the wind <howl/s>|there
    <be/s> a strong wind|it <be/s> breezy|leaves <fly/p> about in the wind|gusts of wind <sweep/p> by|the weather <be/s> windy""",
    """it <be/s> foggy|it <be/s> foggy|there <be/s> fog|it <be/s> misty|fog <hang/s> in the air|thick fog <lie/s> over everything|mist <cover/s>
    everything|fog <be/s> everywhere|the weather <be/s> foggy""",
    """there <be/s> a storm|there <be/s> a storm|a storm <rage/s>|it <be/s> stormy|thunder <roll/s>|lightning <flash/s>|there <be/s> thunder
    and lightning|it <thunder/s>|a thunderstorm <rage/s>|the weather <be/s> stormy""",
)
WEATHER_COMES = (
    """the sky <clear/s>|it <clear/s> up|the weather <get/s> fine|the clouds <disappear/p>|the sky <be/s> clear again|the bad weather
    <pass/s>|the weather <clear/s>|the weather <be/s> fine again""",
    """it <start/s> to rain|it <begin/s> to rain|it <start/s> raining|rain <set/s> in|the first raindrops <fall/p>|now it <rain/s>|it <begin/s>
    to pour|it <be/s> raining now|rain <begin/s> to fall""",
    """it <start/s> to snow|it <begin/s> to snow|it <start/s> snowing|snow <begin/s> to fall|the first snowflakes <fall/p>|now it <snow/s>|it
    <be/s> snowing now""",
    """a wind <rise/s>|the wind <rise/s>|it <get/s> windy|a wind <come/s> up|the wind <begin/s> to blow|a strong wind <get/s> up|now it <be/s>
    windy|it <be/s> windy now""",
    """fog <come/s> up|it <get/s> foggy|fog <roll/s> in|mist <rise/s>|it <become/s> misty|fog <creep/s> in|now it <be/s> foggy|the fog <thicken/s>""",
    """a storm <break/s>|a storm <come/s> up|it <get/s> stormy|it <begin/s> to thunder|thunder and lightning <begin/p>|a thunderstorm
    <break/s>|now there <be/s> a storm|a storm <begin/s>""",
)
WEATHER_LEADS = (
    "under a clear sky,|in fine weather,|in lovely weather,",
    "in the rain,|in the pouring rain,|while it <rain/s>,|in the drizzle,|in rainy weather,",
    "while it <snow/s>,|in the falling snow,|among the snowflakes,|in snowy weather,|in a flurry of snowflakes,",
    "in the wind,|in a strong wind,|while the wind <blow/s>,|in windy weather,|in the breeze,",
    "in the fog,|in thick fog,|in the mist,|in foggy weather,",
    "in the storm,|during a storm,|while a storm <rage/s>,|in a thunderstorm,|in stormy weather,|amid thunder and lightning,",
)
WEATHER_ADJECTIVES = (
    "clear|fine|cloudless",
    "rainy|rainy|wet|drizzly",
    "snowy",
    "windy|windy|gusty|blustery|breezy",
    "foggy|foggy|misty",
    "stormy|stormy|thundery",
)
SKY = "{sky}|{sky}|{sky}|{sky}|look, {sky}|{sky}, you know|by the way, {sky}|{sky}, by the way|oh, {sky}|mind you, {sky}"
SKY_INSIDE = "outside, {sky}|outside {sky}|{sky} outside|out of the window you <can> see: {sky}|{sky}|beyond the window {sky}"
SKY_LEADS = "{sky}, and|{sky}, and|when {sky},|as {sky},|{sky}, so"
SKY_FIRST_LEADS = "{sky}, and|{sky} and|as {sky},"

LOOK = "{S} <have/fin> {hair} hair|{S.p} hair <be/s> {hair}|with {his} {hair} hair, you <can/neg> miss {S.o}|{S} <comb/fin> {his} {hair} hair"
LOOK_FUR = "{S} <be/fin> {fur}|{S} <be/fin> {fur} all over|{S} <be/fin> {fur} from head to foot|{S} <be/fin> {fur}, by the way"
HAIR_WORDS = (  # before the kind, and before "hair"; in the order of tables.HAIRS
    ("blond|blonde|fair-haired|blond-haired|golden-haired", "blond|fair|golden"),
    ("brown-haired|chestnut-haired", "brown|chestnut|brown"),
    ("black-haired|raven-haired", "black|jet-black|black"),
    ("red-haired|ginger|red-headed", "red|ginger|red"),
    ("grey-haired|silver-haired", "grey|silver|grey"),
)

BROUGHT = """{H} <have/fin> {aP} with {him}|{H} <carry/fin> {aP}|{H} <carry/fin> {aP}|{H} <hold/fin> {aP}|{H} <hold/fin> {aP}|{H} <have/fin>
{aP} in {his} {limb}|in {H.p} {limb} <be/s> {aP}|{H} <bring/fin> {aP} along|{H} <have/perf> brought {aP}|there <be/s> {aP} in {H.p} {limb}|{H}
<have/fin> {aP}|{H} <be/fin> carrying {aP}|{H} <be/fin> holding {aP}|{aP} <be/s> in {H.p} {limb}|{H} <have/perf> come with {aP}"""
BROUGHT_PLAIN = "{H} <hold/fin> {aP}"
