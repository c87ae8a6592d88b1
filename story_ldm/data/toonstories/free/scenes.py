"""Sentences of the free form: each kind of event as many writers put it. A long file because it is data, in the language of `templates.py`.

Roles: S who acts, O the others on stage, N who arrives, L who leaves, A everybody on stage, B one of them and R the rest, X somebody else or
the world at large. {S.w} is an object that the next verb agrees with ("…, who"). {V} is the action, {V2} one that nobody does, {M} the action as
a way to move, {W} what onlookers do; {At} and {at} are the place before and after the clause, or nothing.
"""

from __future__ import annotations

MOOD = (  # one table for whoever rests, one for whoever is lively
    """tired|bored|a bit lonely|hungry|nervous|hot|cold|sleepy|content|a little sad|worn out|a little shy|homesick|calm|exhausted|deep
in thought|weary|at ease|dizzy|peaceful|quite relaxed|unsure what to do|in no hurry""",
    """happy|glad|excited|proud|cheerful|curious|full of energy|pleased|in a good mood|delighted|overjoyed|in high spirits|wide
awake|thrilled|relieved|restless|full of beans|amazed|over the moon|as happy as can be|grateful|tickled pink|in the mood for
fun|merry|playful|bursting with joy""",
)
MOOD_PLAIN = (  # after "so" and "very"
    """tired|bored|lonely|hungry|nervous|sleepy|content|weary|calm|hot|cold|sad|homesick|dizzy|thoughtful|relaxed""",
    """happy|glad|excited|proud|cheerful|curious|pleased|thrilled|relieved|amazed|brave|jolly|lively|restless|merry|grateful|playful""",
)
TOO = "tired|lazy|busy|shy|hungry|weak|sleepy|old|proud|clever|bored"
TOPIC = """astronomy|geography|history|multiplication|a magnifying glass|porcupines|kangaroos|flamingos|camels|hippos|octopuses|jellyfish|a
lighthouse keeper|lemonade|doughnuts|waffles|mustard|pepper|vinegar|mushroom
soup|chimneys|wallpaper|furniture|blackboards|rainforests|icebergs|waterfalls|earthquakes|hurricanes|rainbows|supper|the
weather|breakfast|Grandma's birthday|the holidays|pancakes|a riddle|yesterday|pirates|dinosaurs|a funny dream|ice cream|the
neighbours|an old song|the next adventure|trains|cheese|whales|a secret plan|the circus |knights and castles|volcanoes|a lost
sock|the postman|school|homework|grammar|arithmetic|football|chess|marmalade|spaghetti|a letter from an aunt|the dentist|the
library|a broken clock|cartoons|elephants|penguins|a hedgehog|giraffes|crocodiles|parrots|the zoo |museums|a magic trick|a
treasure map|electricity|gravity|magnets|snowflakes|thunder and lightning|autumn leaves|winter evenings|the harvest|a birthday
cake|candles|presents|a wedding|the orchestra|violins|trumpets|a piano lesson|poetry|fairy tales|witches
|wizards|ghosts|unicorns|mermaids|submarines|helicopters|tractors|bicycles|motorbikes|lorries|bridges|tunnels|windmills|cabbage
soup|strawberries|raspberries|peaches|cucumbers|tomatoes|garlic|toothpaste|shampoo|laundry|an itchy back|growing up|good manners"""

# --- what a story or a frame may open with -----------------------------------------------------------------------------------------------

ONCE = """one [morning|day|evening|afternoon|sunny day|fine day|summer morning|rainy day|winter's day],|on a
[sunny|windy|cold|warm|lovely] [morning|day|afternoon|evening],|today,|early in the morning,|after breakfast,|one fine spring
morning,|on a day in [May|June|July|October],|early one morning,|on
[Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday],|at the weekend,|on a holiday,|in the middle of summer,|at
sunrise,|at dawn,|right after breakfast,"""
ONCE_PAST = """once upon a time,|once upon a time,|once,|long ago,|late one evening,|not so long ago,|last
[Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday],|many years ago,|once upon a time, long ago,|yesterday,|the other
day,|a long, long time ago,"""
THEN = """then|then|then|then|and then|now|now|next,|after that,|a little later,|soon|soon after,|suddenly,|all of a sudden,|a moment
later,|in the end,|at last|finally,|later,|later on,|after a while,|some time later,|the next day,|at noon,|in the evening,|not
long after, |a few minutes later,|an hour later,|before long,|at that moment,|just then,|at once|of course,|so|and so|and|but
then|as always,|this time,|once again,|by and by,|as the day <go/s> on,|as soon as the clock <strike/s>
[two|three|four|five|six],|to everybody's surprise, |without warning,|out of the blue,|for no reason at all,|when the sun
<come/s> out,|when nobody <look/s>,|after lunch,|before supper,|guess what:|and what <happen/s> next?^|the following morning,|in
no time,|half an hour later,|eventually|at long last,|luckily,|strangely enough, |by teatime,|shortly afterwards,|in a
flash,|little by little,|to cut a long story short,|on second thought,|as luck <have/s> it,|believe it or not,"""
FRONT = """out of breath,|overjoyed,|full of joy,|laughing,|with a laugh,|with a sigh,|tired from the long day,|in high spirits,|feeling
[silly|happy|great|brave|lonely|cheerful|a bit odd],|with shining eyes,|beaming,|just for fun,|smiling,|happy as can
be,|exhausted,|bored,|excited,|to celebrate the day, |to warm up,|to say thank you,|glad about the good news,|filled with
[joy|energy|hope],|delighted,|worn out,|thrilled,|as if by magic,|humming a tune,|giggling,|deep in thought,|whistling
softly,|grinning from ear to ear,|with a loud {sound},|sniffing the air,|blinking in the light,|yawning, |chuckling,|without
thinking twice,|full of curiosity,|wide awake,|encouraged by this,|half asleep,|with a cheeky grin,|red-faced with
excitement,|for the first time ever,|munching a biscuit,|singing softly,|with a twinkle in the eye,|taking heart,|not a bit
afraid,|in the best of moods,"""

# --- open: nobody has been spoken of ---------------------------------------------------------------------------------------------------------

OPEN = """{At}{S} {V}{at}|{At}{S} {V}{at}|{At}{S} {V}{at}|{S} {V}{at}|{S} <be/fin> {loc}. ^{he} {V}|{S} <be/fin> {loc} and {V}|{S}
<be/fin> {loc}, {V.ing}|there <be> {S.n} {loc}. ^{he} {V}|here <be> {S.n}, {V.ing} {loc} |this <be/s> a story about {S.w}.
^{loc}, {he} {V}|this <be/s> the story of {S.w}. ^{he} <be/fin> {loc} and {V}|meet {S.w}! ^{he} <be/fin> {loc} and {V}|say hello
to {S.w}! ^{he} {V} {loc} |{loc} <live/fin> {S.n}. ^{one_day} {he} {V}|{S} <live/fin> {loc}. ^{one_day} {he} {V}|once upon a
time there <be/past> {S.n}. ^{he} {V} {loc}|there once <be/past> {S}, and {he} {V} {loc}|{S} <wake/fin> up {loc} and {V}|{S}
<be/fin> {loc}, {V.ing} |{S} <have/perf> come {goal}. ^there {he} {V}|it <be/s> a [lovely|beautiful|sunny|quiet|windy|fine|cold]
[day|morning|evening]. ^{S} {V} {loc}|where <be> {S}? ^{he} <be/fin> {loc}, {V.ing}|{S} <decide/fin> to {V.inf} {loc}, and so
{he} <do/fin> |"{call}!" <say/fin> {S.n}. ^{he} <be/fin> {loc} and {V}|"{call}!" <call/fin> {S.n} and {V} {loc}|{S} <play>
{loc}. ^{he} {V}|{At}you <can> see {S.w} {V.ing}{at}|{front} {S} {V} {loc} |let me tell you about {S.w}. ^{he} <be/fin> {loc}
and {V}|our story <begin/s> with {S.w}. ^{he} <be/fin> {loc} and {V}|{S} <have/fin> a day off. ^{loc}, {he} {V}|{S} <have/fin>
fun {V.ing} {loc}|{S} <be/fin> so {mood1} that {he} {V} {loc}"""
OPEN_MANY = """two friends, {S}, {V} {loc}|two friends <be/p> {loc}: {S}. ^{he} {V}|{S} <be> {loc} together. ^{he} {V}|{S} <meet> {loc} and
{V}|{S} <be/fin> best friends. ^{loc}, {he} {V} [together|side by side|]|{S} {V} together{at}|{S} <run/fin> into each other
{loc}. ^{he} {V} |the two of them, {S}, <be/p> {loc} and {V}|both {S} {V}{at}|{S} <be/fin> good friends, and {loc} {he} {V}|two
[friends|pals|buddies|characters] <meet> {loc}: {S}. ^{he} {V}|side by side, {S} {V}{at}"""

# --- act -----------------------------------------------------------------------------------------------------------------------------------

ACT = """{At}{S} {V}{at}|{At}{S} {V}{at}|{At}{S} {V}{at}|{At}{S} {V}{at}|{At}{S} {V}{at}|{At}{S} {V}{at}|{At}{S} {V}{at}|{At}{S}
{V}{at}|{S} {V}{at}|{S} {V}{at}|{S} <start/fin> to {V.inf}{at}|{S} <begin/fin> to {V.inf}{at}|{At}{S} <start/fin>
{V.ing}{at}|{At}{S} <can/neg> stop {V.ing}{at} |{S} <can/neg> help {V.ing}{at}|{S} <decide/fin> to {V.inf}, and so {he}
<do/fin>|"{call}!" <say/fin> {S.n} and {V}{at}|"{call}!" <cry/fin> {S}, {V.ing}{at}|"{call}!" <shout/fin> {S.n} and
{V}|"{call}!" <call/fin> {S.n}. ^{he} {V}{at}|{S} <say/fin>: "{call}!" ^then {he} {V}|{S} {V} and <say/fin>: "{call}!"
|"{call}," <say/fin> {S.n} and {V}|"{call}," <think/fin> {S.n} and {V}{at}|{S} <feel/fin> {mood} and {V}{at}|{S} <be/fin> so
{mood1} that {he} {V}{at}|{S} {V}{at} because {he} <be/fin> {mood}|since {S} <be/fin> {mood}, {he} {V}{at}|{S} {V}, for {he}
<be/fin> {mood} |{front} {S} {V}{at}|{front} {S} {V}{at}|{front} {S} {V}|instead of {V2.ing}, {S} {V}{at}|{S} <have/fin> had
enough of {V2.ing} and {V}|{S} <do/fin> not want to {V2.inf}, so {he} {V}{at}|{S} <be/fin> too {too} to {V2.inf}, so {he}
{V}|tired of {V2.ing}, {S} {V}{at} |there <be> {S.n}, {V.ing}{at}|you <can> see {S.w} {V.ing}{at}|{S} <spend/fin> the time
{V.ing}{at}|{S} <enjoy/fin> {V.ing}{at}|what <do/fin> {S} do? ^{he} {V}|{S} <love/fin> to {V.inf}, and that <be/s> just what
{he} <do/fin>{at}|look, {S} <be/fin> {V.ing}!|look how {S} {V}! |{S} {V}{at}. ^{he} <be/fin> {mood}|{S} <be/fin> {mood}. ^{he}
{V}{at}|{S} <be/fin> {mood}, so {he} {V}{at}|{S} <be/fin> [busy|still] {V.ing}{at}|all {S} <want/fin> <be/s> to {V.inf}, so {he}
{V}|{S} <have/fin> [fun|a good time|a great time|lots of fun] {V.ing}{at}|nothing <be/s> better than {V.ing}, <think/fin> {S.n},
and {V} |it <be/s> time for {S.w} to {V.inf}|{S} <try/fin> to {V2.inf} but then {V}|{inverted}{at}|{inverted}|{S} <want/fin> to
{V.inf}, and {he} <do/fin>|{S} <keep/fin> {V.ing}{at}|{S} <go/fin> on {V.ing}{at}|{S} <be/fin> {loc}, {V.ing}|how {S} <love/fin>
{V.ing}! ^{he} {V}|the music <play/s>, and {S} {V} |{S}, who <be/fin> {mood}, {V}{at}|{S.n}, {mood}, {V}{at}|while the clock
<tick/s>, {S} {V}|when {S} <hear/fin> the news, {he} {V}|as soon as {S} <feel/fin> better, {he} {V}{at}|{S} <look/fin> {mood}
and {V}{at}|{S} <smile/fin> and {V}{at}|{S} <think/fin> of {topic} and {V}|{S} <know/fin> what to do: {he} {V} |would you
believe it? ^{S} {V}{at}|again and again, {S} {V}|no wonder {S} {V}|{S} <feel/fin> like {V.ing}, so {he} {V}{at}|{S} <take/fin>
a deep breath and {V}|{S} <laugh/fin> and {V}{at}|a little tune <play/s> somewhere. ^{S} {V}"""
ONE_DAY = "one day|one day|one morning|one afternoon|one evening|early one morning"
ACT_ONE = """it <be/s> {S} who {V}{at}|the first thing {S} <do/fin> <be/s> to {V.inf}|nobody <can> {V.inf} like {S.o}. ^{he} {V}{at}|what {S}
<like/fin> best <be/s> {V.ing}, and so {he} {V}|{S} <be/fin> the one who {V}{at}|{S} can be seen {V.ing}{at}|{S.n}, all by
{self}, {V}{at}"""
ACT_MANY = """{S} {V} together{at}|{S} {V} side by side{at}|{S} {V} at the same time|hand in hand, {S} {V}{at}|{S} {V}, one after the
other|together, {S} {V}{at}|as a team, {S} {V}|{S} <look/fin> at each other and {V}|{S} <laugh/fin> together and {V}|{S}
<agree/fin>: it <be/s> time to {V.inf}. ^{he} {V}"""

# --- enter and return: N is new on stage ---------------------------------------------------------------------------------------------------

ENTER = """{N} <arrive> and {V}|{N} <arrive> and {V}|{N} <come> [along|by|over] and {V}|{N} <come> [along|by|over] and {V}|{N} <show> up
and {V}|{N} <turn> up and {V}|{N} <join> {O.o} and {V}|{N} <join> {O.o} and {V}|{N} <have/perf> arrived and {V}|{N} <appear>.
^{he} {V}|along <come/fin> {N}. ^{he} {V}|along <come/fin> {N.n} and {V} |here <come/fin> {N.n}! ^{he} {V}|{N} <drop> by and
{V}|who <be/s> that? ^it <be/s> {N}! ^{he} {V}|{O} <meet> {N.w}, who {V}|{O} <see/fin> {N.w} {V.ing}|{O} <get/fin> a visit from
{N.w}, who {V}|{O} <be/fin> no longer alone, for {N} <have/perf> come. ^{he} {V}|from behind a {thing} <come/fin> {N.n} and {V}
|"Hello!" <say/fin> {N.n}. ^{he} <have/perf> come to visit {O.o} and {V}|{O} <hear/fin> steps. ^{N} <arrive> and {V}|{O}
<hear/fin> a {sound}: {N} <be/fin> coming. ^{he} {V}|{N}, who <have/perf> heard the noise, <come> over and {V}|{N} <step> in and
{V}|{N} <come> to play with {O.o} and {V}|{N} <walk> up to {O.o} and {V} |{O} <be/fin> surprised: {N} <be/fin> here, too! ^{he}
{V}|look who <be/s> coming: {N}! ^{he} {V}|there <come/fin> {N.n}, and {he} {V}|{N} <want/fin> to play, too, so {he} <come/fin>
along and {V}|a new friend <arrive/s>: {N}. ^{he} {V}|now {N} <be/fin> here, too, {V.ing}|{N} <visit> {O.o} and {V}|{N} <stroll>
up, and {he} {V} |{O} <make/fin> a new friend: {N}. ^{he} {V}|{O} <find/fin> {N.w} {V.ing} [there|nearby]|{N} <be/fin> there,
too, and {V}|{O} <invite/fin> {N.w} over. ^{he} {V}|{N} <pop> up and {V}|{N} <pass> by, <stop> and {V}|when {N} <arrive/fin>,
{he} {V}|who should come along but {N}? ^{he} {V}|out of a {box} <climb/fin> {N.n}. ^{he} {V}"""
ENTER_MOVING = """{N} <come/fin> {M.ing} [along|up|over|in|]|{N} <come/fin> {M.ing} [along|up|over|in] to join {O.o}|{N} {M} [in|up to {O.o}|over
to {O.o}|onto the scene]|here <come/fin> {N.n}, {V.ing}|suddenly {N} {M} [in|onto the scene]|{O} <see/fin> {N.w} {M.ing} up|{N}
{M} out from behind a {thing}|{M.ing}, {N} <arrive/fin>"""
ENTER_CALLING = """{N} <come/fin> [along|over|by], {V.ing}|{N} <arrive/fin>, {V.ing}|{N} <appear/fin>, {V.ing}|"{call}!" ^here <come/fin> {N.n},
{V.ing}|"{call}!" <shout/fin> {N.n}, who <have/perf> just arrived, and {V}"""
ENTER_SITTING = """{N} <join/fin> {O.o} and <sit/fin> down|{N} <come/fin> and {V} next to {O.o}|{O} <find/fin> {N.w} sitting on a {seat}|{N}
<come/fin> to sit with {O.o}|{N} <arrive/fin> and <drop/fin> onto a {seat}|{O} <see/fin> {N.w} sitting there"""
RETURN = """{N} <come> back and {V}|{N} <come> back and {V}|{N} <return> and {V}|{N} <return> and {V}|{N} <be/fin> back and {V}|{N} <be/fin>
back. ^{he} {V}|{N} <have/perf> come back and {V}|{N} <have/perf> returned. ^{he} {V}|here <be> {N.n} again! ^{he} {V}|look who
<be/s> back: {N}! ^{he} {V}|{N} <rejoin> {O.o} and {V}|back <come/fin> {N.n}, {V.ing} |{O} <be/fin> glad that {N} <be/fin> back.
^{he} {V}|{N} <come> back to {O.o} and {V}|{N} <show> up again and {V}|"I'm back!" <call/fin> {N.n} and {V}|"I'm back,"
<say/fin> {N.n}. ^{he} {V}|{O} <see/fin> {N.w} again, {V.ing}|{N} <can/neg> stay away for long. ^{he} <come/fin> back and
{V}|{N} <join> {O.o} again and {V} |there <be> {N.n} again, {V.ing}|{N} <have/perf> forgotten something, so {he} <come/fin> back
and {V}|{N} <turn> up once more and {V}|at last {N} <return/fin> to {O.o} and {V}|{N} <be/fin> here again, {V.ing}|guess who
<be/s> back? ^{N}! ^{he} {V}|{O} <have/fin> missed {N.w}, who now <return/fin> and {V}"""
RETURN_MOVING = """{N} <come/fin> {M.ing} back|{N} {M} back [to {O.o}|]|back <come/fin> {N.n}, {M.ing}|{N} <return/fin>, {M.ing}"""

# --- leave: L goes, S stays and acts ---------------------------------------------------------------------------------------------------------

LEAVE = """{L} <go> home[,|] and {S} {V}|{L} <go> home[,|] and {S} {V}|{L} <leave/fin>[,|] and {S} {V}|{L} <leave>. ^{S} {V}|{L} <leave>.
^{S} {V}|{L} <go> home. ^{S} {V}|{L} <say/fin> goodbye and <leave/fin>. ^{S} {V}|{L} <have/fin> to go. ^{S} {V}|it <be/s> time
for {L.o} to go home. ^{S} {V}|off <go/fin> {L.n}, and {S} {V}|{L} <walk> [off|away|home]; {S} {V} |when {L} <leave/fin>, {S}
{V}|after {L} <have/perf> left, {S} {V}|now that {L} <be/fin> gone, {S} {V}|with {L.o} gone, {S} {V}|once {L} <be/fin> gone, {S}
{V}|"Bye!" <call/fin> {L.n} and <go/fin> home. ^{S} {V}|"I have to go," <say/fin> {L.n}, and off {he} <go/fin>. ^{S} {V}|{S} {V}
as {L} <walk/fin> away|{S} {V} while {L} <walk/fin> home|{L} <wander> off, so {S} {V} |{L} <head> home, but {S} <stay/fin> and
{V}|{L} <set> off for home. ^{S} {V}|{L} <disappear>, and {S} {V}|{L} <slip> away, and {S} {V}|{L} <be/fin> tired and <go/fin>
home. ^{S} {V}|{L} <have/fin> had enough and <go/fin> home. ^{S} {V}|{L} <be/fin> off. ^{S} {V}|{L} <have/perf> gone home, and
{S} {V}|{L} <have/perf> left. ^{S} {V}|{L} <leave/fin> {S.w} behind, and {he} {V} |as {L} <leave/fin>, {S} {V}|{L} <say/fin>
goodbye to {S.w} and <go/fin> home. ^{he} {V}|without {L.o}, {S} {V}. ^{L} <have/perf> gone home|{L} <hurry> off. ^{S} {V}|{L}
<run> home, and {S} {V}|{L} <vanish> round the corner. ^{S} {V}|off {L} <go/fin>. ^{S} {V}|bye-bye, {L.o}! ^{S} {V}|{L}
<take/fin> {his} leave. ^{S} {V} |{L} <must> leave. ^{S} {V}|away <go/fin> {L.n}. ^{S} <stay/fin> and {V}|{L} <be/fin> called
home. ^{S} <stay/fin> behind and {V}|supper <be/s> ready for {L.o}, who <go/s> home. ^{S} {V}|{S} <see/fin> {L.o} off and
{V}|{L} <trudge> home and {S} {V}|{L} <remember/fin> something and <leave/fin>. ^{S} {V}"""
LEFT_ALONE = """{S} <be/fin> alone now. ^{he} {V}|only {S} <be/fin> left. ^{he} {V}|now {S} <be/fin> all alone and {V}|{S} <be/fin> on {his} own
now and {V}|{S} <be/fin> the only one left and {V}|everybody else <have/s> gone, and {S} {V}|nobody <be/s> left but {S.w}. ^{he}
{V}"""  # one stays
LEFT_TOGETHER = "only {S} <be/fin> left. ^{he} {V}|now it <be/s> just {S.w}. ^{he} {V}"  # two stay
WAVE_OFF = """{S} <wave> goodbye to {L.o}|{L} <leave/fin>, and {S} <wave/fin> goodbye|{S} <wave/fin> as {L} <leave/fin>|{L} <go/fin> home; {S}
<wave/fin>|{S} <wave> goodbye until {L} <be/fin> gone|{S} <wave> farewell to {L.w}, who <go/fin> home|{L} <set/fin> off, and {S}
<wave/fin> [after {him}|]|{S} <see/fin> {L.o} off with a wave"""

# --- move and back: everybody goes -------------------------------------------------------------------------------------------------------------

MOVE = """{A} <go> {goal} and {V}|{A} <go> {goal} and {V}|{A} <go> {goal} and {V}|{A} <walk> {goal} and {V}|{A} <walk> {goal}. ^there {he}
{V}|{A} <travel> {goal} and {V}|{A} <head> {goal}. ^{he} {V}|{A} <wander> {goal} and {V}|{A} <stroll> {goal}, where {he} {V}|{A}
<march> {goal} and {V}|{A} <make/fin> {his} way {goal} and {V}|{A} <set/fin> off {goal}. ^there {he} {V} |{A} <visit> {plc} and
{V}|{A} <arrive/fin> {loc} and {V}|{A} <leave/fin> {oplc} and <go/fin> {goal}, where {he} {V}|{A} <be/fin> {loc} now. ^{he}
{V}|{A} <be/fin> now {loc}, {V.ing}|later, {loc}, {A} {V}|off {A} <go/fin> {goal}. ^{he} {V}|"Off {goal}!" <cry/fin> {A.n}.
^there {he} {V}|tired of {oplc}, {A} <go/fin> {goal} and {V}|from {oplc}, {A} <go/fin> {goal}. ^{he} {V} |a
[bus|train|taxi|cart|big bird|magic carpet|balloon|rocket|boat] <take/s> {A.w} {goal}, where {he} {V}|{A} <move> on {goal} and
{V}|{A} <have/perf> gone {goal}. ^there {he} {V}|{A} <have/perf> arrived {loc}. ^{he} {V}|{A} <reach/fin> {plc} and {V}|once
{loc}, {A} {V}|{A} <want/fin> to see {plc}, so {he} <go/fin> there and {V}|{A} <take/fin> a trip {goal} and {V} |{A}
<explore/fin> {plc} and {V}|{A} <change/fin> places: now {he} <be/fin> {loc} and {V}|the trip <lead/s> {A.w} {goal}, and {he}
{V}|{A} <pack/fin> {his} things and <go/fin> {goal}. ^there {he} {V}|{A} <go> off {goal}. ^on arrival, {he} {V}|after {V2.ing},
{A} <go/fin> {goal} and {V}|{A} <trot> {goal} and {V}|{A} <find> {his} way {goal} and {V} |now the adventure <go/s> on {loc}.
^{A} {V}|{A} <end/fin> up {loc} and {V}|{A} <leave/fin> {oplc}, where {he} <have/perf> been {V2.ing}. ^{he} <go/fin> {goal} and
{V}|{A} <tiptoe> {goal} and {V}|"Let's go {goal}," <say/fin> {A.n}, and off {he} <go/fin>. ^{he} {V}|{A} <ride> {goal} and
{V}|{A} <hike> {goal}. ^there {he} {V}|next stop: {plc}. ^there {A} {V}|{A} <say/fin> goodbye to {oplc} and <move/fin> on
{goal}. ^{he} {V}"""
MOVE_ONE = """"I want to see {plc}," <say/fin> {A.n}. ^so {he} <go/fin> there and {V}|{A} <follow> a butterfly {goal} and {V}|all alone, {A}
<go/fin> {goal} and {V}|"I'm going {goal}," <say/fin> {A.n}, and off {he} <go/fin>. ^{he} {V}"""
MOVE_MANY = """{B} <take/fin> {R.o} {goal}. ^there {A} {V}|{B} <lead/fin> the way {goal}, and {R} <follow/fin>. ^there {A} {V}|{B} <go/fin>
{goal} with {R.o}. ^there {A} {V}|{B} <follow/fin> {R.o} {goal}, where {A} {V}|together, {A} <go/fin> {goal} and {V}|{A} <go>
{goal} together and {V}|"Let's go {goal}!" <say/fin> {B.n}. ^so {A} <go/fin> there and {V} |{B} <invite/fin> {R.o} {goal}, and
off {A} <go/fin>. ^{he} {V}|side by side, {A} <walk/fin> {goal} and {V}|{B} and {R} <go/p> {goal}. ^{A} {V}"""
MOVE_MOVING = """{A} {M} {goal}|{A} {M} {goal}|{A} {M} all the way {goal}|off {A} {M}, {goal}|{M.ing}, {A} <go/fin> {goal}|{A} {M} from {oplc}
{goal}|{A} <come/fin> {M.ing} {goal}"""
BACK = """{A} <go> back to {plc} and {V}|{A} <go> back to {plc} and {V}|{A} <walk> back to {plc} and {V}|{A} <return> to {plc} and {V}|{A}
<return> to {plc}. ^there {he} {V}|{A} <head> back to {plc} and {V}|{A} <come> back to {plc} and {V}|back {loc}, {A} {V}|once
back {loc}, {A} {V}|{A} <be/fin> back {loc} and {V}|{A} <be/fin> {loc} again, {V.ing}|{A} <be/fin> back {loc}. ^{he} {V} |{A}
<have/perf> returned to {plc}. ^{he} {V}|it <be/s> time to go back to {plc}. ^there {A} {V}|back to {plc} {A} <go/fin>, and {he}
{V}|"Let's go back," <say/fin> {A.n}. ^{loc}, {he} {V} once more|{A} <leave/fin> {oplc} and <go/fin> back to {plc}. ^{he}
{V}|{A} <want/fin> to be back {loc}, so {he} <return/fin> and {V}|the way back <lead/s> {A.w} to {plc}, and there {he} {V}|{A}
<miss/fin> {plc}, so {he} <go/fin> back and {V}"""
BACK_UNNAMED = """{A} <go> back and {V}|{A} <go> back and {V}|{A} <walk> back and {V}|{A} <turn> round and <go> back. ^{he} {V}|{A} <return> to
where {he} <have/perf> been before and {V}|{A} <go> back the way {he} <have/perf> come. ^{he} {V}|{A} <head> back and {V}|{A}
<go> back to where {he} <have/perf> come from and {V}|{A} <have/fin> seen enough and <go/fin> back. ^{he} {V}"""
BACK_MOVING = "{A} {M} back to {plc}|{A} {M} all the way back to {plc}|back to {plc} {A} {M}"

# --- the prop ------------------------------------------------------------------------------------------------------------------------------

PICK_UP = """{S} <pick> up {aP}{at}|{S} <pick> up {aP}{at}|{At}{S} <find> {aP}{at}|{At}{S} <find> {aP}{at}|{S} <get> {aP}|{S} <take>
{aP}{at}|{S} <grab> {aP}|{At}{S} <discover> {aP}{at} and <take> it|there <lie/s> {aP}, and {S} <pick> it up|{At}{S} <hold> {aP}
[in {his} {limb}|]{at}|look what {S} <have/perf> found: {aP}!|{S} <have/fin> {aP} now |{S} <buy> {aP}|somebody <give/s> {S.o}
{aP}|{S} <see/fin> {aP} on the ground and <pick/fin> it up|{S} <reach> for {aP} and <hold> it|{S} <fetch> {aP}|"What's this?"
<ask/fin> {S.n} and <pick/fin> up {aP}|{aP} <lie/s> on the ground. ^{S} <pick/fin> it up|{S} <have/perf> found {aP}|{S} <carry>
{aP} around|{S} <pull/fin> {aP} out of a {box}|{S} <borrow> {aP} |{S} <spot> {aP} and <take> it|{S} <win/fin> {aP}|{S} <get/fin>
{aP} as a present|"Mine!" <call/fin> {S.n} and <grab/fin> {aP}|{S} <pick/fin> up a {p}. ^it <be/s> {PC}|{S} <find/fin> a {p},
and it <be/s> {PC}|{aP}! ^{S} <take/fin> it at once|{S} <lift> {aP}|{S} <choose> {aP} and <keep> it|{S} <get> hold of {aP}"""
PUT_AWAY = """{S} <put> away {theP}|{S} <put> {theP} away|{S} <put> {theP} away|{S} <put> down {theP}|{S} <put> {theP} down|{S} <let> go of
{theP}|{S} <let> {theP} go|{S} <drop> {theP}|{S} <give> {theP} back|{S} <lay> {theP} aside|{S} <have/fin> had enough of {theP}
and <put/fin> it away|{S} <be/fin> done with {theP} and <put/fin> it away |{S} <want/neg> {theP} any more and <put/fin> it
down|{S} <get> rid of {theP}|{theP} <be/s> too heavy, so {S} <put/fin> it down|{S} no longer <have/fin> {theP}|{S} <set> {theP}
down on the ground|{S} <lose> {theP}|{S} <return> {theP} to its place|{S} <stow> {theP} away|away with {theP}! ^{S} <put/fin> it
down|{S} <have/perf> put {theP} away"""
HOLDING = """{H} still <hold/fin> {theP}|{H} <have/fin> {theP} with {him}|{H} <let/neg> go of {theP}|{theP} <be/s> still in {H.p} {limb}|{H}
<hold/fin> on to {theP}|{H} <keep/fin> {theP} close"""

GIVE = """{S} <give/fin> {G.o} {theP}|{S} <give/fin> {theP} to {G.o}|{S} <give/fin> {theP} to {G.o}|{S} <hand/fin> {theP} to {G.o}|{S}
<hand/fin> {G.o} {theP}|{S} <pass/fin> {theP} [on|over|] to {G.o}|now {G} <have/fin> {theP}|{G} <take/fin> {theP} from
{S.o}|{G} <get/fin> {theP} from {S.o}|"Here you are," <say/fin> {S.n} and <give/fin> {theP} to {G.o}|{S} <let/fin> {G.o} have
{theP}|{S} <have/perf> given {theP} to {G.o}|"Can I have it?" <ask/fin> {G.n}, and {S} <give/fin> {theP} to {him}|{theP} <go/s>
from {S.w} to {G.w}|{S} <lend/fin> {theP} to {G.o}|it <be/s> {G} who <have/fin> {theP} now|{S} <share/fin> {theP} with {G.o},
who <take/fin> it|{G} <grab/fin> {theP} from {S.o}|{S} <throw/fin> {theP} to {G.o}, who <catch/fin> it"""

CHANGE = """{S} <change/fin> into {aG}|{S} <change/fin> into {aG}|{S} <put/fin> on {aG}|{S} <put/fin> on {aG}|{S} <have/perf> changed into
{aG}|{S} <swap/fin> {his} shirt for {aG}|{S} <take/fin> off {his} shirt and <put/fin> on {aG}|{S} now <wear/fin> {aG}|{S} <be/fin> wearing
{aG} now|now
{S} <be/fin> in {C}|{S} <slip/fin> into {aG}|{S} <have/fin> another shirt on now: {aG}|{S.p} {g} <be/s> {C} now|{S} <have/perf> put on {aG}|{S}
<get/fin> changed: now {his} {g} <be/s> {C}|{S} <want/fin> to look nice, so {he} <put/fin> on {aG}|{S} <have/fin> a new {g}: it <be/s>
{C}|underneath,
{S} <have/fin> {aG} on|{S} <need/fin> a change of clothes and <pick/fin> {aG}|{S} no longer <wear/fin> the old shirt but {aG}|{S} <try/fin> on
{aG}|"Do you like my new {g}?" <ask/fin> {S.n}. ^it <be/s> {C}|{S.p} old shirt <be/s> dirty, so {he} <put/fin> on {aG}|{S} <dress/fin> in {C} now"""

# --- what the others do who do not act with the subjects (`train_wide` only) ----------------------------------------------------------------

ALSO = """{S} {V}|{S} {V}|{S} {V}|{S} {V}|and {S} {V}|but {S} {V}|meanwhile, {S} {V}|{S}, on the other hand, {V}|as for {S.w}, {he}
{V}|{S} <start/fin> to {V.inf}|{S} <be/fin> {V.ing}|{S} <be/fin> {V.ing}|{S} <decide/fin> to {V.inf}|"{call}!" <say/fin> {S.n}
and {V}|what about {S.w}? ^{he} {V}|only {S} {V}|{S} <prefer/fin> to {V.inf}|and {S}? ^{he} {V}|next to {O.o}, {S} {V}|{S} <be/fin>
{mood} and {V}|at the same time, {S} {V}|beside {O.o}, {S} <be/fin> {V.ing}|{S}, though, {V}|{S} {V} instead|{S} <be/fin> too {too} to
{V2.inf} and {V}|{S} <keep/fin> {V.ing}|{S} <be/fin> busy {V.ing}|{S} <can/neg> stop {V.ing}|then {S} {V}|because of that, {S}
{V}|{S} <love/fin> that and {V}|{S} <do/fin> not want to {V2.inf}, so {he} {V}"""
JOINED_ACTING = """{core} and {O} {U}|{core}, and {O} {U}|{core}, and {O} {U}|{core}, but {O} {U}|{core} while {O} {U}|{core}, while {O} {U}|while
{O} {U}, {core}|{core} as {O} {U}|{core}; {O} {U}|{core}. ^{O} {U}|{core}. ^{O} {U}|{core}, {O} {U}|{core}, so {O} {U}|when
{O} {U}, {core}|{core}, whereas {O} {U}|{O} {U} and {core}|{O} {U}, {core}|{O} {U}. ^{core}|{O} {U}, and {core}|{O} {U}, but
{core}|{core}, and that <be/s> why {O} {U}"""
ALSO_PANEL = """{S.n}, {V.ing}|{S.n} {V.ing}|{S} {V}|{S.n} next to {O.o}, {V.ing}|behind {O.o}: {S.w}, {V.ing}|{S.n} beside {O.o}, {V.ing}|{S.n}
in the background, {V.ing}|{S.n}: "{call}!" ^{he} {V}|in front: {S.w}, {V.ing}"""
ALSO_CAPTION = """{S} <be/fin> {V.ing}|{S} <be/fin> {V.ing}|{S} {V}|next to {O.o}, {S} <be/fin> {V.ing}|meanwhile, {S} <be/fin> {V.ing}|{S},
in contrast, <be/fin> {V.ing}|{S} can be seen {V.ing}|beside {O.o}, {S} {V}"""

# --- who comes, goes or is there, and does nothing of note (`train_wide` only) ---------------------------------------------------------------

QUIET = {
    "open": """{S} <be/fin> {loc}|{S} <be/fin> {loc}|{loc} <be> {S.n}|there <be> {S.n} {loc}|here <be> {S.n}, {loc}|{S} <live/fin>
{loc}|once upon a
time there <be/past> {S.n}. ^{he} <live/fin> {loc}|{S} <wake/fin> up {loc}|meet {S.w}! ^{he} <be/fin> {loc}|this <be/s> {S.w}. ^{he} <be/fin>
{loc}|{S} <spend/fin> the day {loc}|{S} <have/perf> come {goal}|{loc}, we <see/p> {S.w}|it <be/s> a [lovely|sunny|windy|cold] day, and {S}
<be/fin>
{loc}|look, {loc} <be> {S.n}!|{At}it <be/s> {S.w}|{S} <love/fin> it {loc}|this <be/s> a story about {S.w}, {loc}|{S} <be/fin> {loc}. ^{he} {F}""",
    "enter": """{N} <come/fin> [along|by|over|in|]|{N} <arrive/fin>|{N} <have/perf> arrived|{N} <have/perf> come along|{N} <join/fin>
{O.o}|there <come/fin>
{N}|here <come/fin> {N.n}|along <come/fin> {N}|who <be/s> that? ^it <be/s> {N}|then {N} <turn/fin> up|{N} <come/fin> to
[play|visit|help]|now {N} <be/fin>
here, too|{O} <meet/fin> {N.w}|{O} <see/fin> {N.w}|{N} <have/perf> turned up|{N} <walk/fin> up to {O.o}|{N} <pay/fin> {O.o} a visit|{N} <show/fin>
up|look, {N} <be/fin> coming|from far away <come/fin> {N}|{O} <be/fin> no longer alone: {N} <be/fin> there|{N} <come/fin> {goal}|{goal} <come/fin>
{N}|"Hello!" <say/fin> {N.n}|"Can I play too?" <ask/fin> {N.n}""",
    "return": """{N} <be/fin> back|{N} <come/fin> back|{N} <return/fin>|{N} <have/perf> come back|{N} <have/perf> returned|here <be> {N.n}
again|{N}
<be/fin> here again|look who <be/s> back: {N}|back <come/fin> {N}|"I'm back," <say/fin> {N.n}|{N} <join/fin> {O.o} again|{O} <be/fin> glad,
for {N}
<be/fin> back""",
    "leave": """{L} <go/fin> home|{L} <go/fin> home|{L} <leave/fin>|{L} <leave/fin>|{L} <have/perf> gone home|{L} <have/perf> left|{L}
<be/fin> gone|{L}
<say/fin> goodbye and <leave/fin>|{L} <say/fin> goodbye|{L} <walk/fin> [off|away]|off <go/fin> {L}|{L} <have/fin> to go|{L} <have/perf> had
enough and
<have/perf> gone home|"Bye!" <call/fin> {L.n}, and off {he} <go/fin>|{L} <leave/fin> {S.o} alone|it <be/s> late, and {L} <go/fin> home|{L}
<run/fin>
away|{L} <disappear/fin>|only {S} <be/fin> left|{S} <stay/fin> behind when {L} <leave/fin>|{L} <wave/fin> goodbye and <go/fin>|{L} <be/fin>
called home|{L}
<leave/fin> to catch {his} bus|now {S} <be/fin> alone, for {L} <have/perf> gone""",
    "move": """{A} <go/fin> {goal}|{A} <go/fin> {goal}|{A} <walk/fin> {goal}|{A} <have/perf> gone {goal}|{A} <be/fin> {loc} now|now {A}
<be/fin> {loc}|{A}
<arrive/fin> {loc}|{A} <travel/fin> {goal}|off {A} <go/fin> {goal}|{A} <take/fin> the [bus|train|boat] {goal}|"Let's go {goal}," <say/fin>
{A.n}|{A} <leave/fin> {oplc} and <go/fin> {goal}|the next morning {A} <be/fin> {loc}|{A} <move/fin> on {goal}|{A} <reach/fin> {plc}|{A}
<visit/fin>
{plc}|{A} <set/fin> off {goal}""",
    "back": """{A} <go/fin> back to {plc}|{A} <walk/fin> back to {plc}|{A} <be/fin> back {loc}|{A} <return/fin> to {plc}|{A} <have/perf>
gone back to
{plc}|back to {plc} {A} <go/fin>|{A} <come/fin> back to {plc}|{A} <be/fin> {loc} again|{A} <go/fin> back|{A} <turn/fin> round and <go/fin>
back""",
}
QUIET_PLAIN = {
    "open": "{S} <be/full> {loc}",
    "enter": "{N} <arrive/fin>",
    "return": "{N} <come/fin> back",
    "leave": "{L} <go/fin> home",
    "move": "{A} <go/fin> {goal}",
    "back": "{A} <go/fin> back {goal}",
}

# --- asides: they change nothing ---------------------------------------------------------------------------------------------------------

KIND_LATE = """{S} <be/fin> {aK}|{S} <be/fin> {aK}, you know|{S} <be/fin> {aK}, by the way|by the way, {S} <be/fin> {aK}|in case you wonder,
{S} <be/fin> {aK}|{S} <be/fin> {aK}, and a {adj} one|as you may know, {S} <be/fin> {aK}"""
FIDGET = """<fiddle> with {his} buttons|<stroke> {his} chin|<adjust> {his} collar|<straighten> {his} sleeves|<brush> some
[dust|crumbs|fluff] off|<rummage> in {his} pockets|<murmur> something|<babble> a bit|<prattle> about {topic}|<chatter> about
{topic}|<gossip> about {topic}|<philosophise> about {topic}|<argue> about {topic}|<quarrel> with a wasp|<bargain> with a
sparrow|<devour> a [pie|muffin|cucumber]|<gobble> up a [plum|tart]|<slurp> some soup|<unwrap> a [sweet|lolly|parcel]|<swap> a
[marble|sticker|button]|<burp>|<snivel>|<grumble> a bit|<stammer> a little|<stutter>|<rehearse> a speech|<memorise> a
poem|<calculate> something|<predict> rain|<confess> a secret|<sneeze>|<hiccup>|<nod>|<wink>|<blink>|<blush>|<shiver>|<mutter>
something|<whisper> something|<scratch> {his} [ear|nose|chin|belly|back]|<sniff> the air|<lick> {his} lips|<rub> {his}
[eyes|nose|belly] |<cough> a little|<yawn>|<chuckle>|<snigger>|<beam>|<frown>|<gulp>|<swallow> hard|<munch> a
[biscuit|carrot|banana|pear|sandwich|pretzel|radish]|<nibble> [a cracker|a nut|some cheese]|<sip> some
[tea|juice|lemonade|cocoa|milk]|<chew> gum|<taste> a [berry|cherry|plum] |<whistle> a tune|<mumble> [a rhyme|a poem]|<recite> a
poem|<count> to [ten|twelve|twenty|a hundred]|<tell> a joke|<invent> a [song|rhyme|game|recipe]|<solve> a riddle|<guess> the
time|<check> the time|<tie> a shoelace|<button> up {his} collar|<roll> up {his} sleeves |<polish> {his} buttons|<search> {his}
pockets|<collect> [pebbles|feathers|stamps|buttons]|<sketch> a little picture|<plan> a [party|picnic|surprise|journey]|<imagine>
a [castle|dragon|pirate ship|treasure]|<pretend> to be a [knight|pirate|king|queen|detective|dragon] |<complain> about the
[noise|heat|cold|wind]|<apologise> for the noise|<mention> the weather|<explain> everything|<ask> a question|<answer> a
question|<promise> to write a letter|<admit> to being hungry|<agree>|<boast> a bit|<blame> the wind|<thank> everybody|<praise>
the weather |<compare> two pebbles|<notice> a [spider|ladybird|caterpillar|bumblebee|grasshopper]|<discover> a
footprint|<recognise> an old tune|<study> a map|<measure> a leaf|<sort> some buttons|<tickle> a beetle|<feed> a sparrow|<pat> a
beetle|<befriend> a snail|<photograph> the view|<swat> a fly |<gasp>|<snort>|<purr> with delight|<squint> into the
light|<shrug>|<tremble> a little|<sweat>|<glow> with pride|<relish> the moment|<treasure> this moment|<forgive> everyone|<mope>
a little|<fret> a bit|<worry> about nothing|<hesitate>|<rub> {his} tummy|<crave>
[chocolate|noodles|porridge|pudding|jam|popcorn]"""
FEELING = """{S} {F}|{S} {F}|{S} {F}|{S} {F}|{S} {F} and {F}|{S} {F}, and why not?|first {S} {F}, then {he} {F}|{S} <be/fin>
[very|so|quite|really|a bit|terribly] {mood1}|{S} <love/fin> days like this|{S} <have/fin> [a lovely day|such a good time|no
time to lose|a funny feeling|nothing to fear]|{S} <think/fin> about {topic}|{S} <smile/fin>|{S} <laugh/fin>|{S} <giggle/fin>|{S}
<grin/fin> from ear to ear|{S} <have/perf> slept [badly|well|very long]|{S} <hum/fin> a tune |{S} <talk/fin> about {topic}|{S}
<wish/fin> this day would never end|{S} <feel/fin> {mood1}|{S} <have/fin> not been so {mood1} for a long time|{S} <forget/fin>
all about {topic}|how {mood1} {S} <be/full>!|{S} <can> hardly believe it|{S} <like/fin> it here|{S} <sigh/fin> happily|{S}
<look/fin> {mood1}|{S} <hope/fin> for cake later|{S} <be/fin> dreaming of {topic}"""
ELSEWHERE = """{S} <dream/fin> of {qplc}|{S} <talk/fin> about {qplc}|{S} <think/fin> of {qplc}|it <be/s> much nicer here than {qloc}|{S}
<like/fin> it better here than {qloc}|tomorrow {S} <want/fin> to go {qgoal}|{S} <remember/fin> {qplc}|it <be/s> a long way from
here {qgoal}|one day {S} <will> go {qgoal} |yesterday {S} <be/past> {qloc}|{S} <have/perf> never been {qgoal}|{S} <have/fin> a
picture of {qplc} in {his} pocket|{S} <wonder/fin> what it <be/s> like {qloc}|{S} <sing/fin> a song about {qplc}"""
BACKGROUND = """{S} <have/pperf> been {V2.ing} [all morning|before|for an hour|all day]|the day before, {S} <have/pperf> been {qloc}|{S}
<have/pperf> wanted this for a long time|earlier, {S} <have/pperf> been {V2.ing}|{S} <have/pperf> spent the night {qloc}|nobody
<have/pperf> expected this"""  # in the past tense only
WEATHER = """it <be/s> a [lovely|beautiful|fine|sunny|warm|cold|windy|quiet|grey] day|the sun <shine/s>|it <be/s> [early|late|nearly
evening|noon]|what a day!|a light wind <blow/s>|it <rain/s> a little|clouds <pass/p> overhead|a rainbow <appear/s>|it <be/s>
[warm|cool|very quiet]|all <be/s> well|everything <be/s> fine|time <pass/s>|nobody <be/s> in a hurry|far away a bell <ring/s>
|nobody <say/s> a word|it <be/s> a wonderful moment|this <be/s> fun|who would have thought it?|isn't that nice?|and that <be/s>
that|what fun!|how lovely!|oh dear!|that <be/s> the way it <go/s>|the day <be/s> still young"""
JOINED = """{core}, while {O} {W}|{core} while {O} {W}|{core}, and {O} {W}|{core}, but {O} {W}|while {O} {W}, {core}|{core} as {O}
{W}|{core}; {O} {W}|{core}. ^{O} {W}|{core}. ^{O} {W}|{core}. ^meanwhile, {O} {W}|{core}. ^nearby, {O} {W}|{core}. ^{O}, on the
other hand, {W}"""
WATCHING = "{O} {W}|{O} {W}|{O} <be/fin> {W.ing}|nearby, {O} {W}|{O} <be/fin> just {W.ing}|as for {O.w}, {he} {W}"

# --- a comic maker's panel notes ---------------------------------------------------------------------------------------------------------------

PANEL_HEAD = """[panel|frame|picture] {number}: {heading}.^|[panel|frame] {number}. ^{heading}.^|{heading}.^|[wide shot|medium shot|long
shot|interior|exterior|establishing shot], {heading}.^|scene: {heading}.^|({number}) ^{heading}.^|{number})
^{heading}.^|setting: {heading}.^"""
PANEL_SAME = """[panel|frame|picture] {number}:|[panel|frame] {number}. ^same place.^|same place.^|still {heading}.^|same
background.^|[close-up|medium shot|same angle].^|({number})|{number})|no change of scene.^|[panel|frame] {number}, same
scene:|||"""
PANEL_MOVE = """[panel|frame|picture] {number}: {heading}.^|cut to {heading}.^|new scene: {heading}.^|next location: {heading}.^|[panel|frame]
{number}. ^cut to: {heading}.^|change of scene: {heading}.^|we <be/p> now {loc}.^"""
PANEL_BACK = """[panel|frame] {number}: back {loc}.^|back to {plc}.^|[panel|frame] {number}. ^{heading} again.^|cut back to {plc}.^"""
PANEL = {
    "open": """{S.n}, {V.ing}|{S.n} {V.ing}|{S} {V}|{S.n} in frame, {V.ing}|we <see/p> {S.w}, {V.ing}|introducing {S.w}, {V.ing}|{S.n} centre,
{V.ing}""",
    "act": """{S.n}, {V.ing}|{S.n} {V.ing}|{S} {V}|{S} {V}|{S.n} in frame, {V.ing}|we <see/p> {S.w} {V.ing}|close on {S.w}, {V.ing}|{S.n}:
"{call}!" ^{he} {V}|focus on {S.w}: {V.ing}""",
    "enter": """enter {N.w}, {V.ing}|{N} <enter/fin>, {V.ing}|{N} <arrive/fin>, {V.ing}|{N} <join/fin> in, {V.ing}|new in frame: {N.w},
{V.ing}|{N} <appear/fin>, {V.ing}|{N} <come/fin> into frame and {V}""",
    "return": """{N} <be/fin> back, {V.ing}|{N} <return/fin>, {V.ing}|{N.n} back in frame, {V.ing}|re-enter {N.w}, {V.ing}""",
    "leave": """{L} <exit/fin>. ^{S} {V}|{L.n} gone. ^{S.n}, {V.ing}|exit {L.o}. ^{S} {V}|{L} <leave/fin> the frame. ^{S.n} {V.ing}|{L.n} out of
frame. ^{S} {V}|{L} <walk/fin> off. ^{S.n}, {V.ing}""",
    "move": "{A.n}, {V.ing}|{A.n} {V.ing}|{A} {V}|{A} <arrive/fin>, {V.ing}",
    "pick_up": """{S} <pick/fin> up {aP}|{S.n} now with {aP}|{S.n}, holding {aP}|{S} <find/fin> {aP}|{S.n} holding up {aP}""",
    "put_away": """{S} <put/fin> {theP} away|{S} <drop/fin> {theP}|{S.n}, no longer holding {theP}|{S} <put/fin> down {theP}""",
}
PANEL_OTHERS = """{O.n} {W.ing}|{O.n} beside {him}, {W.ing}|{O.n} in the background, {W.ing}|{O} <watch/fin>|{O.n} next to {him}, {W.ing}"""

# --- a researcher's captions ---------------------------------------------------------------------------------------------------------------------

CAPTION = {
    "open": """{S} <be/fin> {V.ing} {loc}|{loc}, {S} <be/fin> {V.ing}|a scene {loc}: {S} <be/fin> {V.ing}|the image shows {S.w} {V.ing}
{loc}|there <be> {S} {loc}, {V.ing}|a picture of {S.w}, {V.ing} {loc}|{S} {V} {loc}|cartoon of {S.w}, {V.ing} {loc}|{S} can be
seen {loc}, {V.ing}|we <see/p> {S.w} {loc}, {V.ing}""",
    "act": """{S} <be/fin> now {V.ing}{at}|{S} <be/fin> {V.ing}{at}|in this image, {S} <be/fin> {V.ing}{at}|{S} can now be seen
{V.ing}{at}|{At}{S} <be/fin> {V.ing}{at}|{S} {V}{at}|here, {S} <be/fin> {V.ing}|the image shows {S.w} {V.ing}{at}|this time, {S}
<be/fin> {V.ing}|in the next picture, {S} <be/fin> {V.ing}""",
    "enter": """{N} <have/perf> joined {O.o} and <be/fin> {V.ing}|{N} <enter/fin> the scene and <be/fin> {V.ing}|{N} now <join/fin> {O.o},
{V.ing}|a new character, {N}, <have/s> arrived and <be/s> {V.ing}|{O} <have/perf> been joined by {N.w}, who <be/fin> {V.ing}|{N}
<appear/fin> next to {O.o}, {V.ing}|{N}, newly arrived, <be/fin> {V.ing}""",
    "return": """{N} <have/perf> returned and <be/fin> {V.ing}|{N} <be/fin> back in the picture, {V.ing}|{N} <reappear/fin>, {V.ing}|{N} <be/fin>
visible again, {V.ing}""",
    "leave": """{L} <be/fin> no longer in the picture; {S} <be/fin> {V.ing}|{L} <have/perf> left the scene, and {S} <be/fin> {V.ing}|{L}
<have/perf> left. ^{S} <be/fin> {V.ing}|only {S} <remain/fin>, {V.ing}|{L} <be/fin> gone. ^{S} <be/fin> now {V.ing}""",
    "move": """the scene <have/s> changed: {A} <be/fin> {loc}, {V.ing}|{loc}, {A} <be/fin> now {V.ing}|{A} <be/fin> now {loc}, {V.ing}|the
setting <be/s> now {plc}, where {A} <be/fin> {V.ing}|{A} <have/perf> moved {goal} and <be/fin> {V.ing}|the background <show/s>
{plc}. ^{A} <be/fin> {V.ing}""",
    "back": """{A} <be/fin> back {loc}, {V.ing}|the scene <be/s> again {plc}: {A} <be/fin> {V.ing}|{A} <have/perf> returned {goal} and <be/fin>
{V.ing}|once again {loc}, {A} <be/fin> {V.ing}""",
    "pick_up": """{S} <be/fin> now holding {aP}|{S} <have/fin> {aP} in {his} {limb}|{S} <be/fin> seen with {aP}|{S} <hold/fin> {aP}|{S}
<have/perf> picked up {aP}|{aP} <be/s> now held by {S.o}""",
    "put_away": "{S} <be/fin> no longer holding {theP}|{S} <have/perf> put {theP} away|{S} <have/perf> put down {theP}",
}

PLAIN = {  # without a pronoun: what is left when nothing else is clear
    "open": "{S} {V0} {loc}",
    "act": "{S} {V0}",
    "enter": "{N} <arrive/fin> and {V0}",
    "return": "{N} <come/fin> back and {V0}",
    "leave": "{L} <go/fin> home, and {S} {V0}",
    "move": "{A} <go/fin> {goal} and {V0}",
    "back": "{A} <go/fin> back {goal} and {V0}",
    "pick_up": "{S} <pick/fin> up {aP}",
    "put_away": "{S} <put/fin> {theP} away",
    "give": "{S} <give/fin> {theP} to {G}",
    "change": "{S} <put/fin> on {aG}",
}
PLAIN_ACTION = (
    "<look> around",
    "<wave>",
    "<jump>",
    "<sit> down",
    "<dance>",
    "<run>",
    "<cheer>",
)
SIMPLE_ACTION = (  # without a slot: what somebody does not do, or did before
    "<look> around|<stand> still|<wait>|<do> nothing",
    "<wave>|<wave> hello|<greet> people",
    "<jump>|<hop>|<bounce> around|<jump> up and down|<leap> about",
    "<sit>|<sit> down|<sit> around|<rest>|<take> a break",
    "<dance>|<twirl>|<spin> around|<dance> about",
    "<run>|<race> about|<run> around|<jog>|<dash> about",
    "<cheer>|<celebrate>|<shout> hooray|<clap>",
)
