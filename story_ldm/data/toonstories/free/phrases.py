"""Words of the free form: kinds, garments, places and actions, each said in many ways. A long file because it is data: tables in the template
language of `templates.py`, alternatives separated by "|". Repeating an alternative makes it likelier. No table names a mark (a hat, a crown …).
"""

from __future__ import annotations

# --- characters, in the order of world.CHARACTERS ----------------------------------------------------------------------------------------

KINDS = (  # nouns of a kind; the first is the world's own
    "bear|bear|bear|bear|teddy bear|teddy|bear cub|brown bear|grizzly|grizzly bear|bruin",
    "rabbit|rabbit|rabbit|rabbit|bunny|bunny|bunny rabbit|hare|cottontail",
    "fox|fox|fox|fox|fox cub|red fox",
    "mouse|mouse|mouse|mouse|field mouse|house mouse|mousie|grey mouse",
    "frog|frog|frog|frog|tree frog|toad|froggy|bullfrog|green frog",
    "duck|duck|duck|duck|duckling|ducky|mallard|yellow duck",
    "robot|robot|robot|robot|bot|android|droid|tin robot|tin man|machine",
    """alien|alien|alien|alien|space alien|martian|extraterrestrial|visitor from space|little green alien|spaceman""",
)
PLAIN_KINDS = (
    "bear",
    "rabbit",
    "fox",
    "mouse",
    "frog",
    "duck",
    "robot",
    "alien",
)
TRAITS = (  # adjectives of one kind
    "furry|shaggy|big brown|fluffy|cuddly|burly|bearish|bulky|fuzzy|woolly",
    "long-eared|fluffy|soft|floppy-eared|velvety|white-tailed|twitchy|furry",
    "sly|bushy-tailed|sharp-eyed|cunning|pointy-eared|rusty-coated|wily|furry",
    "whiskered|long-tailed|teeny|squeaky|pocket-sized|wee|furry|round-eared",
    "slimy|green|bouncy|wide-mouthed|damp|goggle-eyed|spotty|web-footed",
    "feathered|waddling|quacking|downy|orange-beaked|web-footed|chubby|feathery",
    "shiny|clanking|metal|whirring|rusty|battery-powered|silvery|beeping|squeaking",
    "strange|green|big-eyed|antennaed|mysterious|odd-looking|faraway|glowing",
)
ADJECTIVES = """little|little|little|big|small|young|old|happy|cheerful|friendly|brave|good|dear|kind|sweet|clever|funny|sleepy|hungry|tired
|curious|lonely|proud|shy|silly|lively|excited|merry|playful|lucky|tiny|gentle|grumpy|quick|jolly|bored|surprised|polite|noisy|quiet|cheeky
|nervous|bold|wild|calm|clumsy|sporty|dreamy|naughty|careful|charming|chubby|cute|daring|eager|elegant|famous|fearless|forgetful|generous
|giggly|graceful|honest|humble|impatient|jumpy|keen|lazy|mischievous|modest|patient|peaceful|plucky|restless|scruffy|sensible|spirited
|stubborn|talkative|thoughtful|timid|tough|wise|witty|zany|adventurous|absent-minded|bright-eyed|busy|chatty|handsome|hardworking|affectionate|ambitious|anxious|artistic|attentive|awkward|bashful|boisterous|bubbly|carefree|cautious|chirpy|confident|courageous|courteous|crafty|dashing|delightful|diligent|dizzy|down-to-eart
|stubborn|talkative|thoughtful|timid|tough|wise|witty|zany|adventurous|absent-minded|bright-eyed|busy|chatty|handsome|hardworking|affectionate|ambitious|anxious|artistic|attentive|awkward|bashful|boisterous|bubbly|carefree|cautious|chirpy|confident|courageous|courteous|crafty|dashing|delightful|diligent|dizzy|down-to-earth
|drowsy|dutiful|easygoing|energetic|enthusiastic|faithful|fidgety|flustered|freckled|fussy|gallant|gifted|gloomy|good-natured|greedy|gruff|hearty|heroic|hopeful|imaginative|inquisitive|inventive|jaunty|jovial|joyful|keen-eyed|knowing|likeable|loya
|drowsy|dutiful|easygoing|energetic|enthusiastic|faithful|fidgety|flustered|freckled|fussy|gallant|gifted|gloomy|good-natured|greedy|gruff|hearty|heroic|hopeful|imaginative|inquisitive|inventive|jaunty|jovial|joyful|keen-eyed|knowing|likeable|loyal
|lovable|mellow|mild|moody|musical|neat|nimble|nosy|observant|optimistic|outgoing|perky|plump|practical|punctual|puzzled|quick-witted|quirky|rascally|reliable|resourceful|romantic|rosy-cheeked|sassy|serene|serious|shrewd|sincere|skinny|sleek|smiling|snu
|lovable|mellow|mild|moody|musical|neat|nimble|nosy|observant|optimistic|outgoing|perky|plump|practical|punctual|puzzled|quick-witted|quirky|rascally|reliable|resourceful|romantic|rosy-cheeked|sassy|serene|serious|shrewd|sincere|skinny|sleek|smiling|snug
|sociable|soft-hearted|solemn|splendid|sprightly|sturdy|stylish|sulky|tender|tenacious|tidy|trusty|unlucky|upbeat|valiant|vivacious|wandering|warm-hearted|well-behaved|whimsical|wide-eyed|wobbly|world-famous|youthful|zealous""
|sociable|soft-hearted|solemn|splendid|sprightly|sturdy|stylish|sulky|tender|tenacious|tidy|trusty|unlucky|upbeat|valiant|vivacious|wandering|warm-hearted|well-behaved|whimsical|wide-eyed|wobbly|world-famous|youthful|zealous"""
NAME_ADJECTIVES = """little|little|little|dear|dear old|good old|brave|poor|sweet|happy|clever|young|funny|silly|lucky|sleepy|tiny|big"""
FRIEND = """friend|friend|friend|friend|pal|buddy|best friend|good friend|old friend|companion|playmate|dear friend|mate|chum"""
LIMB = (
    "paw|paw|arm|big paw|furry paw",
    "paw|paw|arm|front paw|soft paw",
    "paw|paw|arm|front paw",
    "paw|paw|arm|tiny paw|little paw",
    "hand|hand|arm|webbed hand|front leg",
    "wing|wing|arm|feathery wing",
    "arm|hand|metal arm|claw|metal hand|gripper",
    "hand|arm|tentacle|long arm|green hand",
)
LIMBS = (
    "paws",
    "paws",
    "paws",
    "paws",
    "hands",
    "wings",
    "arms",
    "hands",
)
SOUNDS = (
    "growl",
    "squeak",
    "bark",
    "squeak",
    "croak",
    "quack",
    "beep",
    "hum",
)

# --- garments ------------------------------------------------------------------------------------------------------------------------------

COLOR_WORDS = (  # in the order of world.COLORS
    """red|red|red|red|red|red|bright red|crimson|scarlet|dark red|cherry-red|ruby-red|tomato-red|fire-engine red""",
    """yellow|yellow|yellow|yellow|yellow|yellow|bright yellow|sunny yellow|lemon-yellow|golden yellow|canary-yellow|pale
yellow|mustard-yellow""",
    """green|green|green|green|green|green|bright green|grass-green|emerald|dark green|light green|lime-green|olive-green|emerald-green""",
    """blue|blue|blue|blue|blue|blue|bright blue|sky-blue|navy|dark blue|light blue|navy-blue|royal blue|azure|pale blue""",
    """purple|purple|purple|purple|purple|purple|violet|lilac|dark purple|lavender|plum-coloured|deep purple|bright purple|mauve""",
    """white|white|white|white|white|white|snow-white|plain white|pure white|snowy white|bright white|chalk-white|crisp white""",
)
COLOR_LIKE = (
    "a tomato",
    "the sun",
    "fresh grass",
    "the summer sky",
    "a plum",
    "snow",
)  # "as red as a tomato"
GARMENT = """shirt|shirt|shirt|shirt|shirt|shirt|T-shirt|T-shirt|top|top|tee|sweater|pullover|jersey|tunic|blouse|polo
shirt|sweatshirt|jacket|vest|cardigan|dress|hoodie|jumper|coat|tank top|nightshirt|raincoat|waistcoat|pyjama top|robe"""
GARMENT_LOOK = """||||||||new|old|favourite|favorite|nice|cosy|plain|woolly|baggy|cotton|clean|lovely|smart|comfy|pretty|tight|loose|handmade"""
# {C} a colour, {CG} colour and garment, {aG} the same with its article, {g} the garment
GARMENT_AFTER_NOUN = """in {aG}|in {aG}|in {aG}|in {aG}|wearing {aG}|wearing {aG}|wearing {aG}|dressed in {C}|in
{C}|with {aG}|with {aG} on|clad in {C}
|who <wear/s> {aG}|who <be/s> wearing {aG}|whose {g} <be/s> {C}|in {his} {CG}|dressed in {aG}|who <have/s> {aG} on|who <be/s>
dressed all in {C} |all in {C}|sporting {aG}|in a {g} that <be/s> {C}|with {his} {CG} on|clothed in {C}|proudly wearing {aG}"""
GARMENT_BARE = "{CG}|{CG}|{C} {g}|{C} shirt|in {C}|{C}|wearing {C}"  # between brackets: "(red shirt)"
GARMENT_BEFORE_NOUN = "{C}-shirted|{C}-clad"  # with plain colour words only
GARMENT_SENTENCE = """{S} <wear> {aG}|{S} <be> wearing {aG}|{S} <have/fin> {aG} on|{S.p} {g} <be/s> {C}|{S.p} {g} <be/s> {C}|{S} <be> dressed in {C}
|{S} <be> in {C}|{S.p} {g} <be/s> {C} today|today {S} <wear/fin> {aG}|{S} <have/perf> put on {aG}|{S} <love/fin> {his} {CG}|{S}
always <wear/fin> {aG} |by the way, {S.p} {g} <be/s> {C}|{S.p} {g} <be/s> as {C0} as {like}|you <can> see {S.p} {CG} from far
away|{S.p} {CG} <look/s> nice on {him} |{S} <be> proud of {his} {CG}|everybody <like/s> {S.p} {CG}|the {g} {S} <wear/fin> <be/s>
{C}|the colour of {S.p} {g} <be/s> {C0}|{S} <be> clad in {C} |{S} <have/perf> chosen {aG} for the day|{S.p} {CG} <be/s> brand
new|what a nice {CG} {S} <have/fin>!|{S.p} {CG} <shine/s> in the light|{S} <be> sporting {aG} |{S.p} favourite {g} <be/s> {C},
and {he} <have/fin> it on|it <be/s> {S} who <have/fin> the {CG} on|guess what colour {S.p} {g} <be/s>? It <be/s> {C} |{S}, by
the way, <wear/fin> {aG}|nobody <have/s> a nicer {CG} than {S.o}|{aG} <keep/s> {S.o} warm|{S} <tug/fin> at {his} {CG}|{S}
<smooth/fin> {his} {CG} |there <be/s> a little stain on {S.p} {CG}|{S.p} {CG} <be/s> a bit too big|{S.p} {CG} <flutter/s> in the
breeze|{S} <have/fin> such a pretty {CG}"""
GARMENT_AGAIN = """{S.p} {g} <be/s> {C}|{S} still <wear/fin> {his} {CG}|{S} <smooth/fin> {his} {CG}|you <can> see {S.p} {CG} from far away|{S} <be>
proud of {his} {CG}|{S} <tug/fin> at {his} {CG}|{S.p} {CG} <flutter/s> in the breeze|{S.p} {g}, by the way, <be/s> {C}|there
<be/s> a little stain on {S.p} {CG}|{S.p} {CG} <be/s> getting dirty|as before, {S} <wear/fin> the {CG}"""
GARMENT_PAIR = """{S} <wear/s> {C} and {O} <wear/s> {D}|{S} <be/s> in {C}, {O} in {D}|{S} <have/s> {aG} on, and {O} {aH}|{S.p} {g} <be/s> {C},
{O.p} <be/s> {D} |{S} and {O} <wear/p> {C0} and {D0} shirts respectively|{S} <wear/s> {C}, while {O} <be/s> dressed in {D}|{S}
<be/s> the one in {C}, {O} the one in {D} |the shirts of {S.o} and {O.o} <be/p> {C0} and {D0} respectively|{S} <be/s> dressed in
{C} and {O} in {D}|{S.p} shirt <be/s> {C0}, but {O.p} <be/s> {D0} |{S} <wear/s> {aG}, {O} {aH}|{S} in {C}, {O} in {D}: what a
pair|{S} <wear/s> {aG} and {O} a {D0} one|{S} <have/s> a {C0} {g} and {O} a {D0} one|{S} and {O} <be/p> in {C0} and {D0}, in that order|{S} and
{O} <wear/p> {C0} and {D0}, in this order|{C0} for {S.o}, {D0} for {O.o}|{S}: {C0}; {O}: {D0}|{S} <wear/s> {C}, and {O} {D}|in
{C}: {S}; in {D}: {O}"""
FORMER_PAIR = """{former} <wear/s> {aG}, {latter} {aH}|{former} <be/s> dressed in {C}, {latter} in {D}|{former} <be/s> in {C} and {latter} in {D}
|{former.p} shirt <be/s> {C0}, {latter.p} <be/s> {D0}|{latter} <wear/s> {aH}, {former} {aG}"""

# --- places, in the order of world.PLACES ----------------------------------------------------------------------------------------------------

LOC = (
    """in the forest|in the forest|in the forest|in the [woods|wood|deep forest|dark forest|green forest|old forest|pine forest]|among
the trees |under the [trees|tall trees|pines|old oak|fir trees|oaks|birches|beeches|maples|spruces]|between the [trees|tree
trunks|pines|ferns]|deep in the [forest|woods]|at the edge of the [forest|woods|wood] |in the middle of the [forest|woods]|in a
[clearing|glade] [in the forest|in the woods]|out in the woods|on a forest path|beneath the leafy branches |beside a mossy log
in the woods|in the shade of the trees|on the forest floor|surrounded by [trees|tall trees]|near an old oak tree|where the tall
trees <grow/p>|in the woodland|in the leafy wood""",
    """[on|at] the beach|[on|at] the beach|on the beach|by the [sea|seaside|ocean|waves|seashore]|at the
[seaside|seashore|coast|sea|shore]|on the [shore|seashore|coast|sandy beach|sunny beach|shingle] |along the
[shore|seashore|waterline]|near the [waves|sea|ocean]|in the sand [by the sea|at the beach]|under the palm trees on the
beach|next to a sandcastle |at the water's edge|down by the sea|beside the sea|where the waves <roll/p> in|on the shoreline|at
the lagoon|on the warm sand by the water|by the sea shore|in the surf|on the pebble beach|where the tide <come/s> in""",
    """in the kitchen|in the kitchen|in the kitchen|in the kitchen|in the [little|warm|big|cosy|bright|old|tidy|messy] kitchen|by the
[stove|oven|fridge|kitchen sink|kitchen table|kitchen window|cooker] |at the kitchen [table|counter|sink|stove]|next to the
[fridge|stove|oven|dishwasher|refrigerator|breadbin]|in front of the [oven|fridge|stove|kitchen cupboard]|where the pots and
pans <hang/p>|between the pots and pans|on the kitchen floor|where dinner <be/s> cooked |over by the kitchen cupboards|near the
toaster and the kettle|in the kitchen, next to the stove""",
    """in the bedroom|in the bedroom|in the bedroom|in the bedroom|in the [little|cosy|quiet|tidy|messy|sunny] bedroom|[by|next
to|beside] the bed|in front of the bed|upstairs in the bedroom |in the room with the bed|between the pillows and blankets|at the
foot of the bed|by the bedside|on the bedroom carpet|among the pillows|near the bed|in the bedroom, by the wardrobe|beside the
bedside lamp|next to the cot|on the rug by the bed|under the bedroom window""",
    """in the city|in the city|in the city|in [town|the town|the big city|the busy city|the noisy city]|downtown|[on|in] the [busy
street|city streets]|between the [skyscrapers|tall buildings|tower blocks] |on the [pavement|sidewalk|street corner|main
street|high street]|at the traffic lights|in the middle of [the city|town]|in the city [centre|center|square]|among the tall
buildings|amid the traffic|at a crosswalk |in the market square|outside a shop in town|at the bus stop|in the metropolis|where
the cars <honk/p>|on a busy street corner|by the zebra crossing|in a narrow street|in the town centre|between the office blocks""",
    """in the desert|in the desert|in the desert|in the [hot|dry|sandy|wide|endless|lonely] desert|among the [dunes|sand
dunes|cacti]|on the dunes|between the [dunes|sand dunes|cactuses]|[next to|near|beside|by] a [cactus|tall cactus|prickly cactus]
|out in the desert|in the middle of the desert|under the hot desert sun|on top of a [dune|sand dune]|in the dry, hot sand of the
desert|at an oasis|where no rain <fall/s>|on the scorching desert sand|in the Sahara|in the arid desert|where the cacti
<grow/p>|in the dusty wasteland""",
    """on the moon|on the moon|on the moon|on the moon|up on the moon|on the [lunar surface|dusty moon|surface of the moon|grey
moon|silent moon]|in a moon crater|[beside|near|on the rim of] a crater|between the craters |on a moon rock|far away on the
moon|up there on the moon|among the [craters|moon rocks]|where there <be/s> no air|high above the Earth on the moon|in the moon
dust|far from Earth on the moon|next to the lunar lander|in the pale moon dust|at the moon base""",
    """on the mountain|on the mountain|on the mountain|on [a|the] [mountain|mountain top|mountaintop|summit|peak|mountain peak|snowy
peak|mountainside|high mountain|rocky peak]|at the [top|summit|peak] of the mountain |up in the mountains|in the mountains|high
up on the mountain|high in the [mountains|hills|Alps]|on a [cliff|rocky ledge|high ridge|snowy slope] in the mountains|on top of
the mountain|between the peaks |on a steep slope|near the summit|above the clouds on the mountain|at the foot of the mountain|on
the mountain ridge|up on the ridge|by the summit cross|on a mountain trail|in the snowy hills""",
)
GOAL = (
    """to the forest|to the forest|to the [woods|wood|edge of the forest]|into the [forest|woods|wood|trees|deep forest]|out to the
woods|in among the trees|to the woodland""",
    """to the beach|to the beach|to the [seaside|sea|shore|coast|ocean|seashore]|down to the [beach|sea|shore|seashore]|out to the
beach|towards the sea|to the sandy beach|to the lagoon""",
    """to the kitchen|into the kitchen|to the kitchen|[down|over] to the kitchen|through the door into the kitchen|downstairs to the
kitchen|to the warm kitchen|straight into the kitchen""",
    """to the bedroom|into the bedroom|to the bedroom|up to the bedroom|upstairs to the bedroom|upstairs into the bedroom|to the cosy
bedroom|over to the bed""",
    """to the city|into the city|to the [town|big city|city centre|busy city]|into town|to town|downtown|into the streets of the
city|to the market square|to the metropolis""",
    """to the desert|into the desert|to the [dunes|sand dunes|hot desert]|out into the desert|out to the dunes|all the way to the
desert|to the sandy desert|to an oasis in the desert""",
    """to the moon|up to the moon|to the moon|all the way to the moon|into space and to the moon|by rocket to the moon|to the surface
of the moon|to the faraway moon""",
    """to the mountain|to the mountains|up the mountain|to the top of the mountain|to the [summit|peak|mountain top]|up to the
[summit|peak|mountain top]|up into the mountains|to the high mountains""",
)
PLC = (
    """the forest|the forest|the woods|the wood|the green forest|the edge of the forest|the dark woods|the woodland""",
    "the beach|the beach|the seaside|the shore|the coast|the sandy beach|the seashore|the sea",
    "the kitchen|the kitchen|the cosy kitchen|the warm kitchen",
    "the bedroom|the bedroom|the cosy bedroom|the little bedroom",
    "the city|the city|the town|the big city|the city centre|the busy city|the metropolis",
    "the desert|the desert|the dunes|the hot desert|the sandy desert|the sand dunes",
    "the moon|the moon|the surface of the moon|the faraway moon",
    "the mountain|the mountain|the mountains|the top of the mountain|the summit|the peak|the mountain top",
)
HEADING = (  # of panel notes
    "the forest|the woods|a forest|a clearing in the woods|forest|forest, day|deep woods",
    "the beach|the seaside|a sunny beach|the shore|beach|beach, day|seashore",
    "the kitchen|a kitchen|a cosy kitchen|kitchen|kitchen, evening|kitchen, day",
    "the bedroom|a bedroom|a small bedroom|bedroom|bedroom, night|bedroom, morning",
    "the city|a city street|downtown|city|city, noon|a busy street in the city|street in the city",
    "the desert|a desert|sand dunes|desert|desert, noon|desert with cacti",
    "the moon|the surface of the moon|lunar surface|moon|moon, craters everywhere",
    "the mountain|a mountain top|a snowy peak|mountain|mountain, dawn|a mountain summit",
)
SCENES = (  # what else there is to see or hear; changes nothing
    """the leaves <rustle/p> in the wind|birds <sing/p> in the branches|it <smell/s> of moss and mushrooms|an owl <hoot/s>
somewhere|squirrels <look/p> down from the branches|a woodpecker <hammer/s> away |a cuckoo <call/s>|sunlight <fall/s> through
the leaves|the ferns <be/p> still wet with dew|acorns <drop/p> to the ground|a deer <peep/s> out of the bushes|ants <march/p>
over a root|pine needles <cover/p> the ground""",
    """the waves <roll/p> in|the sea <be/s> [calm|blue|wild|sparkling]|seagulls <screech/p> overhead|the sand <be/s>
[warm|hot|soft|fine]|it <smell/s> of salt|the water <be/s> cold|a crab <crawl/s> by|a sailing boat <pass/s> |shells <lie/p> all
around|the tide <be/s> going out|a lighthouse <blink/s>|dolphins <leap/p> far out|foam <bubble/s> on the sand|a ship <hoot/s>""",
    """it <smell/s> of [soup|pancakes|fresh bread|cookies|cake|onions|cinnamon]|the kettle <whistle/s>|a pot <bubble/s> on the
stove|dinner <be/s> almost ready|there <be/s> cake on the table|the dishes <be/p> dirty |the tap <drip/s>|butter <melt/s> in the
pan|the fridge <hum/s>|crumbs <lie/p> everywhere|the clock <tick/s>|a pie <cool/s> on the windowsill|spoons <clatter/p>|the
toast <be/s> burnt""",
    """the bed <be/s> [soft|unmade|warm]|the pillows <be/p> fluffy|a lamp <glow/s> on the night table|the curtains <be/p> closed|it
<be/s> nearly bedtime|toys <lie/p> on the carpet|slippers <wait/p> under the bed |the blanket <have/s> slipped to the floor|the
alarm clock <tick/s>|the wardrobe door <creak/s>|moonlight <fall/s> through the window|a nightlight <shine/s>""",
    """cars <honk/p>|the traffic <be/s> loud|lights <shine/p> from the windows|a bus <go/s> by|people <hurry/p> past|the buildings
<be/p> [tall|huge]|a tram <ring/s> its bell|pigeons <flutter/p> about|a siren <wail/s> |shop windows <glitter/p>|a taxi
<stop/s>|somebody <sell/s> ice cream|music <come/s> out of a cafe|cyclists <whizz/p> by|the lights <turn/p> green""",
    """it <be/s> terribly hot|the sun <burn/s> down|sand <blow/s> everywhere|there <be/s> no water anywhere|a lizard <hide/s> under a
stone|not a cloud <be/s> in the sky|a camel <trot/s> by|the air <shimmer/s>|a vulture <circle/s> above |a scorpion <scuttle/s>
away|tumbleweed <roll/s> past|the cactus <be/s> in bloom|the wind <draw/s> patterns in the sand""",
    """the Earth <look/s> small and blue from there|far stars <twinkle/p>|everything <be/s> grey and silent|there <be/s> no wind at
all|everything <feel/s> light|the sky <be/s> black|dust <hang/s> in the emptiness|a satellite <drift/s> by |a comet <whoosh/s>
past|footprints <stay/p> in the dust|a rocket <stand/s> in the distance|the sun <be/s> very bright""",
    """the view <be/s> [great|wonderful|amazing|beautiful]|the air <be/s> [thin|cold|fresh|clear]|snow <lie/s> on the rocks|the wind
<howl/s>|an eagle <circle/s> above|a goat <bleat/s>|the valley <lie/s> far below|clouds <drift/p> by |icicles <glitter/p>|a
marmot <whistle/s>|an avalanche <rumble/s> far away|pebbles <roll/p> downhill|the path <be/s> steep""",
)

# --- actions, in the order of world.ACTIONS; each begins with its verb -----------------------------------------------------------------------

ACTION = (
    """<look> around|<look> around|<stand> [still|there|around|quite still|upright|motionless|idly by]|<wait> [for a
while|patiently|quietly|a bit|in silence]|<wait>|<stand> there|<look> at the [sky|clouds|view|ground|sun|horizon] |<do> nothing
[at all|special]|<stay> put|<admire> the [view|scenery]|<enjoy> the [view|peace and quiet]|<take> a look around|<gaze> into the
distance|<stare> [at the sky|at the horizon|into space]|<stand> [on two legs|on tiptoe|and <wait>|and <think>|in silence]
|<pause> for a moment|<listen> [carefully|to the wind|closely]|<keep> still|<look> about|<peer> around|<wait> to see what
<happen/s>|<stop> and <look> [up|around|about]|<think> hard|<stand> as still as a statue|<observe> everything |<examine>
[everything|the place]|<linger> a while|<ponder> [|a while]|<contemplate> the view|<survey> the scene|<wonder> what to do
next|<take> in the scenery|<daydream> [|a little]|<breathe> in deeply|<watch> the [birds|clouds|sky]|<stand> around
waiting|<loiter> [|a bit]|<dawdle>|<hover> about|<idle> about|<gape> at the [sky|view]|<scan> the horizon|<inspect> the
[place|surroundings]|<reflect> [|quietly]|<meditate>|<muse> in silence|<tarry> a moment|<gawk> at everything|<remain> still""",
    """<wave>|<wave>|<wave>|<wave> [hello|hi|happily|both {limbs}|with both {limbs}|wildly|like mad|eagerly|hello to everyone|at {X}|to
{X}|at {X}]|<wave> {his} {limb}|<wave> {his} {limb} [in the air|about|happily|at {X}|to say hello|from side to side] |<wave>
with {his} {limb}|<give> [a|a big|a little|a friendly|a cheerful|a shy|a quick|a happy|a small|a huge] wave|<give> {X} a
[friendly|little|big] wave|<say> [hello|hi|hey] with {his} {limb} |<greet> {X} [with a wave|by waving|with a raised {limb}|with
a friendly wave]|<raise> {his} {limb} [in greeting|to say hello|to greet {X}|and <wave>]|<lift> {his} {limb} [in greeting|to say
hi|and <wave>]|<hold> up {his} {limb} to [say hello|greet {X}] |<stick> {his} {limb} in the air and <wave>|<swing> {his} {limb}
to say hello|<signal> with {his} {limb}|<throw> {X} a wave|<wiggle> {his} {limb} to say hi|<stretch> out {his} {limb} and
<wave>|<send> {X} a wave|<move> {his} {limb} back and forth in greeting |<wave> [as hard as {he} <can/fin>|for a long time|once
more|again and again|a friendly hello|a warm hello]|<flap> {his} {limb} in greeting|<put> up {his} {limb} to wave|<beckon> to
{X}|<welcome> {X} with a wave|<wave> [at|to] the {greeted}|<say> hello to the {greeted} with a wave |<greet> the {greeted} with
[a wave|{his} {limb}]|<wave> with all {his} might|<wave> until {his} {limb} <hurt/fin>|<salute> with {his} {limb}|<gesture>
hello [|with {his} {limb}]|<wag> {his} {limb} [at {X}|in greeting]|<hail> {X} with a raised {limb}|<motion> hello|<flutter>
{his} {limb} in greeting|<say> hello to {X} with a wave|<bid> {X} hello with a wave|<wave>
[frantically|enthusiastically|gently|warmly|proudly]""",
    """<jump>|<jump>|<jump>|<jump> [up|up and down|around|high|high into the air|in the air|for joy|about|with joy|as high as {he}
<can/fin>|over a {thing}|on the spot|with delight|up high|three times|like a kangaroo|like a flea]|<hop> |<hop> [up and
down|around|about|high|on one leg|on the spot|from one foot to the other|like a kangaroo|with joy|over a {thing}|here and
there|back and forth]|<leap> [up|into the air|for joy|high|about|over a {thing}|with excitement|around] |<bounce> [up and
down|around|about|like a ball|like a rubber ball|on the spot|with joy|off the ground]|<spring> [up|into the air|up and
down|about|high]|<make> [a|a big|a high|a little|a huge|a giant] [jump|leap|hop]|<do> [a|a big|a high] [jump|leap|hop] |<take> a
[big|giant|flying] leap|<give> a [little|happy|big] [hop|jump|leap]|<bob> up and down|<try> to touch the [sky|clouds] with a
jump|<go> up and down like a spring|<vault> over a {thing}|<bound> [up and down|into the air|about]|<push> off and <leap> high
|<jump> up and down like a spring|<skip> and <leap>|<do> jumping jacks|<hop> three times|<jump> [higher and higher|so high that
nobody <believe/s> it]|<clear> a {thing} in a single bound|<bounce> as if on a trampoline|<practise> jumping|<play>
hopscotch|<leapfrog> over a {thing}|<jump> into the air with a squeal|<hurdle> over a {thing}|<pogo> up and down|<hop>
[gleefully|merrily|tirelessly]|<jump> [energetically|weightlessly|skywards]|<soar> into the air with a jump|<launch> {self} into
the air|<propel> {self} upwards|<bounce> [rhythmically|springily]|<pounce> into the air|<hop> like a grasshopper|<frisk> about""",
    """<sit> down|<sit> down|<sit> down|<sit>|<sit> [down on a {seat}|on a {seat}|on the ground|still|quietly|there|for a while|and
<rest>|down to rest|down with a sigh|cross-legged|down on {his} bottom]|<take> a [seat|rest|break|little rest|breather on a
{seat}|seat on a {seat}] |<have> a [seat|rest|sit-down|little rest|break|breather]|<rest> [for a while|on a {seat}|{his} legs|on
the ground|a bit]|<rest>|<plop> down [on the ground|on a {seat}]|<settle> down [on a {seat}|on the ground]|<settle> on a
{seat}|<drop> [down onto a {seat}|to the ground to rest] |<sink> [down onto a {seat}|onto a {seat}]|<flop> down [|on a
{seat}]|<perch> on a {seat}|<squat> down|<crouch> down|<find> a place to sit|<find> a {seat} and <sit> down|<relax> on a
{seat}|<lower> {self} onto a {seat}|<put> {his} feet up|<make> {self} comfortable on a {seat}|<slump> down on a {seat} |<stay>
seated [|on a {seat}]|<lean> back on a {seat}|<pull> up a stool and <sit> down|<collapse> onto a {seat}|<park> {self} on a
{seat}|<lounge> on a {seat}|<doze> on a {seat}|<curl> up on a {seat}|<sit> and <think>|<sit> down because {his} legs
<hurt/p>|<squeeze> onto a {seat}|<snuggle> down on a {seat}|<nestle> down on a {seat}|<recline> on a {seat}|<sprawl> on a
{seat}|<loll> on a {seat}|<slouch> on a {seat}|<hunker> down|<unwind> on a {seat}|<kick> back on a {seat}|<seat> {self} on a
{seat}|<plonk> {self} down [|on a {seat}]|<deposit> {self} on a {seat}|<sit> bolt upright on a {seat}|<squash> {self} onto a
{seat}""",
    """<dance>|<dance>|<dance>|<dance> [around|about|happily|to the music|in circles|with joy|a little|a jig|a waltz|around a
{thing}|like nobody <be/s> watching|on tiptoe|on and on|wildly|the polka|the tango]|<do> a [little|happy|silly|funny] dance|<do>
a dance|<spin> around |<spin> [in circles|round and round|like a top|on the spot]|<twirl> [around|about|on one leg|round and
round]|<whirl> [around|about|in circles]|<sway> [to the music|to the beat|back and forth to a tune]|<waltz> [around|about|in
circles]|<perform> a [little |]dance|<pirouette> [|like a ballerina]|<tap-dance>|<shake> {his} hips to the music |<move> to the
[music|beat|rhythm]|<boogie> [|down|all around]|<groove> to the [beat|music]|<shimmy> [about|to the beat]|<swing> {his}
hips|<turn> in circles to the music|<jig> about|<prance> about|<break> into a dance|<show> off {his} dance moves|<practise>
{his} dance steps|<dance> until {he} <be/fin> dizzy|<wiggle> to the [beat|music]|<strut> to the beat|<bust> a move|<step> to the
rhythm|<try> out a new dance|<jive>|<bop> [|about|to the beat]|<swirl> [around|about]|<sashay> [around|about]|<cavort> about to
the music|<rumba>|<samba>|<tango>|<breakdance>|<disco-dance>|<rock> to the [beat|rhythm]|<dance> [ballet|salsa|a minuet|a
quickstep|the twist|the mambo|the flamenco]|<revolve> to the music|<gyrate> to the beat|<wriggle> to the tune|<skip> and
<twirl>|<glide> across the dance floor""",
    """<run>|<run>|<run>|<run> [around|about|in circles|fast|as fast as {he} <can/fin>|here and there|back and forth|like the wind|at
full speed|around a {thing}|past a {thing}|for {his} life|a race|up and down]|<dash> [about|around|back and forth|past a
{thing}|here and there]|<race> [about|around|in circles|back and forth|at top speed|past a {thing}] |<sprint>
[|around|about|past a {thing}|at full tilt]|<jog> [|around|about|a little|in circles]|<rush> [about|around|here and
there|past]|<hurry> [about|around|along]|<speed> [about|around|along]|<go> for a [run|jog|quick run]|<gallop>
[about|around|along]|<scamper> [about|around|here and there] |<zoom> [about|around|past a {thing}]|<whizz> [about|around]|<dart>
[about|around|from {thing} to {thing}]|<bolt> past a {thing}|<tear> [about|around]|<trot> [about|along|in circles]|<scurry>
[about|around]|<charge> [about|around|ahead]|<chase> [{his} own shadow|a butterfly|the wind|after a butterfly]|<run> so fast
that the dust <fly/s>|<do> some running|<do> laps|<run> laps around a {thing}|<play> tag|<hurtle> [about|along]|<streak> past a
{thing}|<scoot> [about|along]|<bustle> about|<hasten> along|<canter> [about|along]|<skedaddle>|<barrel> along|<race> against the
clock|<run> [a marathon|hither and thither|helter-skelter]|<storm> along|<flit> [about|here and there]|<rocket> along|<thunder>
past|<career> around|<hustle> about|<scuttle> about|<accelerate> and <run> on""",
    """<cheer>|<cheer>|<cheer>|<cheer> [loudly|happily|with joy|out loud|at the top of {his} voice|for joy|wildly|with all {his}
might|and <clap>|again and again]|<celebrate>|<celebrate> [loudly|with joy|a little|the day]|<shout> [hooray|hurray|for joy|with
joy|hurrah|yippee]|<shout> hooray |<cry> [hooray|hurray|out for joy|hurrah]|<call> out [hooray|hurrah]|<clap> {his} {limbs}
[|and <cheer>|for joy]|<yell> [hooray|with joy|yippee|for joy]|<whoop> [|with joy|loudly]|<rejoice> [|loudly]|<throw> {his}
{limbs} up [with joy|and <cheer>|in triumph]|<raise> both {limbs} and <cheer>|<let> out a [cheer|whoop|big cheer|cry of joy|loud
hooray]|<give> [a cheer|a loud cheer|three cheers|a mighty hooray] |<pump> {his} [fist|{limb}] in the air|<scream> with
joy|<jubilate>|<exclaim> with joy|<lift> {his} {limbs} in triumph|<fling> {his} {limbs} up in celebration|<have> a little
celebration|<hurrah> at the top of {his} lungs|<applaud> [loudly|wildly]|<chant> hip, hip, hooray|<holler> [hooray|for
joy]|<exult>|<roar> with delight|<squeal> with joy|<shriek> with joy|<cheer> [deafeningly|frenetically|jubilantly]|<hurray>
loudly|<bellow> hooray|<yodel> with joy|<sing> out hooray|<clap> and <stamp>|<burst> into cheers|<erupt> in cheers|<celebrate>
[exuberantly|noisily]|<trumpet> hooray""",
)
MOVING = {  # actions that are also a way to go or come: "hops to the beach", "comes running along"
    2: "<hop>|<leap>|<bounce>|<jump>|<bound>",
    4: "<dance>|<dance>|<waltz>|<twirl>|<prance>|<boogie>",
    5: """<run>|<run>|<run>|<rush>|<race>|<dash>|<hurry>|<sprint>|<jog>|<gallop>|<scamper>|<dart>|<scurry>|<zoom>|<trot>""",
}
CALLS = (  # speech that fits the action
    """Hmm|What a view|Let's wait here|What now?|I wonder what comes next|Listen|So quiet here|Let me think|Where is everybody?""",
    """Hello|Hello there|Hi|Hi, everybody|Hey, over here|Yoo-hoo|Good morning|Good day|Look, it's me|Hey you|Ahoy|Howdy|Hiya|Greetings""",
    """Boing, boing|Up, up, up|Look how high I am|Whee|Wheee|Higher, higher|Watch me jump|I can almost fly|One, two, three, hop|Hop,
hop, hop|Boing""",
    """Phew|Time for a break|My feet hurt|I need a rest|Let's sit down|I'm so tired|That's better|My poor legs|Finally, a seat|What a
long day""",
    """La la la|I love this song|Music, please|Watch my moves|Tra la la|Come on, dance with me|One, two, cha-cha-cha|Let's dance|Shall
we dance?|Turn up the music""",
    """Catch me if you can|Faster, faster|I'm the fastest|Run, run, run|Ready, steady, go|Try and catch me|Hurry, hurry|Out of my
way|Zoom|Last one is a snail""",
    """Hooray|Hurray|Yippee|Yay|Woohoo|Hip, hip, hooray|We did it|Bravo|Hurrah|Yes, yes, yes|Yeah|Three cheers for today|Woo""",
)
INVERTED = (  # the action with the verb before its subject
    "there <stand/fin> {S.n}|motionless <stand/fin> {S.n}|all alone <stand/fin> {S.n}",
    "up <go/fin> {S.p} {limb}, and {he} <wave/fin>|with a wave {S} <say/fin> hello",
    """up {S} <jump/fin>|up and down <hop/fin> {S.n}|into the air <leap/fin> {S.n}|up <spring/fin> {S.n}|up in the air {S}
<spring/fin>|boing, boing, <go/fin> {S.n}, jumping|high into the air <leap/fin> {S.n}""",
    """down <sit/fin> {S.n}|down {S} <plop/fin>|down {S} <sit/fin>|on a {seat} <sit/fin> {S.n}|there <sit/fin> {S.n}|on the ground
<sit/fin> {S.n}|down onto a {seat} <sink/fin> {S.n}""",
    """round and round <spin/fin> {S.n}|round and round {S} <whirl/fin>|to the music <dance/fin> {S.n}|in circles <twirl/fin>
{S.n}|around and around <dance/fin> {S.n}""",
    """off <run/fin> {S.n}|off <race/fin> {S.n}, round and round|round and round <run/fin> {S.n}|up and down <run/fin> {S.n}|back and
forth {S} <race/fin>|faster and faster <run/fin> {S.n}|away <dash/fin> {S.n}, in a big circle""",
    """"Hooray!" <go/fin> {S.n}|"Hip, hip, hooray!" <shout/fin> {S.n}|loudly <cheer/fin> {S.n}|"Hurray!" <be/s> all {S} <can/fin> say""",
)
WATCH = """<watch>|<watch>|<watch> [quietly|with big eyes|closely|in silence|from a few steps away]|<look> on|<look> on [quietly|with a
smile|in surprise|curiously]|<stand> by|<stand> there watching|<stay> still|<wait>|<look> around |<smile> and <watch>|<stand>
around|<do> nothing|<stay> put|<stand> still|<observe> all this|<stand> by and <smile>|<keep> still|<wait> quietly|<admire> the
scene|<nod> and <wait>"""
SEAT = """log|bench|deckchair|big pillow|tree stump|swing|towel|blanket|sofa|crate|suitcase|barrel|low
wall|step|boulder|mat|rock|stone|stool|chair|cushion|armchair|bucket|wooden
box|carpet|rug|couch|mushroom|hammock|footstool|fallen tree|flat stone |heap of leaves|picnic
blanket|beanbag|sack|doorstep|garden chair|folding chair|stepladder|ottoman|tuffet|haystack|pile of
books|tyre|trunk|basket|milking stool|mattress|sleeping bag|toadstool|drum|pouffe|saddle|gate|railing|treasure chest|tin
bucket|cardboard box|patchwork quilt|yoga mat|garden wall|kitchen chair|broken chair|straw bale|rubber ring|deck|tree
root|hump|bollard|plank|platform|ledge|windowsill|trampoline|ladder|pedestal|toy chest|laundry
basket|drainpipe|cartwheel|anvil|coil of rope|bundle of hay|stack of newspapers|rolled-up tent|rucksack|paving stone|camping
stool|wicker chair|piano stool|feather bed"""
THING = """puddle|log|stone|table|rock|chair|box|bucket|barrel|crate|rope|stick|shoe|suitcase|tent|cushion|tin can|heap of leaves|big
root|little
wall|snail|fence|hedge|pumpkin|sack|basket|wheelbarrow|teapot|beetle|skateboard|hurdle|branch|melon|bike|trolley|lamp|broom|kite|doll|tricycle|kettle|ribbon|bottle|jar|turtle|hedgehog|waterin
wall|snail|fence|hedge|pumpkin|sack|basket|wheelbarrow|teapot|beetle|skateboard|hurdle|branch|melon|bike|trolley|lamp|broom|kite|doll|tricycle|kettle|ribbon|bottle|jar|turtle|hedgehog|watering
can|garden
gnome|scarecrow|signpost|telescope|toolbox|trumpet|violin|wagon|yo-yo|globe|typewriter|radio|vase|candlestick|pillow|scooter|surfboard|canoe|anchor|lantern|statue|bathtub|sausage|cabbage|cauliflower|pineapple|coconut|turnip|potato|beetroot|walnut|tortoise|lizard|hamster|woode
gnome|scarecrow|signpost|telescope|toolbox|trumpet|violin|wagon|yo-yo|globe|typewriter|radio|vase|candlestick|pillow|scooter|surfboard|canoe|anchor|lantern|statue|bathtub|sausage|cabbage|cauliflower|pineapple|coconut|turnip|potato|beetroot|walnut|tortoise|lizard|hamster|wooden
horse|cogwheel|tuba|accordion|parcel|letterbox|milk churn|doormat|picture frame|chessboard|dustbin|trapdoor"""
BOX = """box|bucket|barrel|crate|suitcase|tent|sack|basket|wheelbarrow|drawer|chest|bag|cupboard|big
jar|parcel|rucksack|hamper|trunk|dustbin|cardboard box|handbag|wagon|cart"""
GREETED = """birds|neighbours|sun|clouds|reader|camera|passers-by|cat|sailors|fish|people|children|crowd|pilot|bus
driver|postman|pigeons|beetles|butterflies|tourists|baker|gardener|snails|audience|world|whole
world|farmer|fishermen|plumber|mayor|teacher|twins|grandparents|astronauts|mechanics|painters|librarian|policeman|firemen|nurses|carpenter|shepherd|milkman|electrician|photographer|acrobats|clowns|drummers|dolphins|hedgehogs|swallows|geese|sheep|goats|cows|horses|ponies|donkeys|squirrels|sparrows|robins|seagulls|owls|bumblebees|dragonflies|ladybirds|crickets|ants|worms|moles|kittens|puppies|babies|visitors|travellers|guests|strangers|onlookers|villagers|queue""
world|farmer|fishermen|plumber|mayor|teacher|twins|grandparents|astronauts|mechanics|painters|librarian|policeman|firemen|nurses|carpenter|shepherd|milkman|electrician|photographer|acrobats|clowns|drummers|dolphins|hedgehogs|swallows|geese|sheep|goats|cows|horses|ponies|donkeys|squirrels|sparrows|robins|seagulls|owls|bumblebees|dragonflies|ladybirds|crickets|ants|worms|moles|kittens|puppies|babies|visitors|travellers|guests|strangers|onlookers|villagers|queue"""
CALM_ADVERB = """quietly|for a while|patiently|for a moment|without a word|calmly|for a long time|silently|as before|all day long"""
ADVERB = """happily|slowly|again|once more|with a big smile|cheerfully|proudly|a little|for fun|all day long|with a
laugh|merrily|excitedly|full of joy|without a word|with great care|as always|very carefully|quietly|with a grin|a lot|for a
while|for hours|gleefully |with pleasure|in high spirits|in a good mood|once again|at last|gladly|as usual|in the sunshine|just
like that|over and over|for a moment|for a long time|eagerly|calmly|bravely|with a sigh|with shining eyes|nonstop|like
crazy|dreamily|lazily|enthusiastically|with
style|smoothly|noisily|loudly|politely|playfully|joyfully|blissfully|secretly|tirelessly|unexpectedly|willingly|wonderfully|elegantly|clumsily|gracefully|vigorously|furiously|fearlessly|hopefully|heartily|impatiently|jauntily|majestically|mischievously|patiently|peacefully|perfectly|quickly|recklessly|repeatedly|restlessly|shyly|skilfully|softly|solemnly|splendidly|stubbornly|stylishly|swiftly|tenderly|triumphantly|wholeheartedly|wildly|zestfully|daintily|dutifully|effortlessly|absent-mindedly|boldly|brightly|carelessly|confidently|courageously""
style|smoothly|noisily|loudly|politely|playfully|joyfully|blissfully|secretly|tirelessly|unexpectedly|willingly|wonderfully|elegantly|clumsily|gracefully|vigorously|furiously|fearlessly|hopefully|heartily|impatiently|jauntily|majestically|mischievously|patiently|peacefully|perfectly|quickly|recklessly|repeatedly|restlessly|shyly|skilfully|softly|solemnly|splendidly|stubbornly|stylishly|swiftly|tenderly|triumphantly|wholeheartedly|wildly|zestfully|daintily|dutifully|effortlessly|absent-mindedly|boldly|brightly|carelessly|confidently|courageously"""
PROP_WORDS = (  # in the order of world.PROPS
    "ball|ball|ball|beach ball|rubber ball|football",
    "balloon|balloon|balloon|party balloon",
    "umbrella|umbrella|umbrella|parasol|brolly",
    "flag|flag|flag|banner|pennant",
    "book|book|book|storybook|picture book",
)
PROP_USE = (  # what its holder says or does with it; changes nothing
    "it <be/s> round and light|it <be/s> just the right size|nobody <know/s> whose ball it <be/s>",
    "it <be/s> very light|it <float/s> on its string|it <bob/s> in the air",
    "perhaps it will rain|now the rain <can/s> come|it <be/s> a good umbrella",
    "it <flutter/s> nicely|it <be/s> a fine flag|it <flap/s> in the wind",
    "it <be/s> about pirates|it <have/s> a hundred pages|it <look/s> exciting",
)

# --- several characters --------------------------------------------------------------------------------------------------------------------

SINGULAR_GROUPS = ("everybody", "everyone", "the pair", "the duo", "the trio", "the whole gang", "the little group")
EVERYBODY = {
    2: """both|both|both friends|both of them|the two|the two of them|the two friends|the friends|the pair|the duo|everyone|everybody
    |the two companions""",
    3: """all three|all three|the three of them|the friends|the three friends|everyone|everybody|the trio|the whole gang|all of them
    |the little group|all three friends""",
}
PLURALS = ("bears", "rabbits", "foxes", "mice", "frogs", "ducks", "robots", "aliens")
OTHERS = "the others|the others|the other two|the two others|the rest of them|the other two friends"
OTHER = "the other one|the other|the other friend"
