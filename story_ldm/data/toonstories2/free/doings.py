"""What is done in ToonStories 2, in the order of tables.ACTIONS, as the free form says it: the first world's seven actions are its own words,
less what would tell a face, an hour or a weather; the others are here. A long file because it is data, in the language of
`free/templates.py`."""

from __future__ import annotations

FOOD = """sandwich|bun|piece of cake|slice of bread|pancake|cheese
roll|burger|pie|waffle|muffin|cookie|biscuit|bagel|pizza|pretzel|tart|doughnut|piece of toast|cheese sandwich|jam sandwich|snack|bread roll"""
PAGES = """book|book|book|story|fairy tale|comic|novel|chapter|thick book|picture book|poem|storybook|page|tale|adventure story|magazine"""

ACTION = (  # from "sleep" on
    """<sleep>|<sleep>|<sleep>|<sleep>|<sleep> [soundly|deeply|like a log|like a baby|peacefully|on the ground|on {his} back|tight|for
    hours|with {his} mouth open|without a sound|through it all|on a pillow]|<fall> [asleep|fast asleep|asleep at once]|<take> a [nap|little
    nap|long nap|catnap|snooze|siesta]|<have> a [nap|snooze|lie-down|little sleep|siesta]|<doze> [off|]|<nod> off|<drift> off [to
    sleep|]|<snore> [|loudly|softly|gently|like a saw]|<slumber> [|peacefully|soundly]|<snooze>|<nap>|<lie> down and <sleep>|<lie> down [to
    sleep|for a nap]|<curl> up and [<sleep>|<doze> off|<nod> off]|<go> to sleep|<close> {his} eyes and <sleep>|<drop> off|<rest> {his} head and
    <sleep>|<dream> [sweetly|with {his} eyes closed]|<catch> some sleep|<shut> {his} eyes and <sleep>|<hit> the hay|<get> some
    [sleep|shut-eye]|<snuggle> down and <sleep>|<have> forty winks|<count> sheep and <fall> asleep|<sink> into a deep sleep|<lie> there fast
    asleep|<lie> there snoring|<nod> off on a pillow|<roll> over and <sleep>|<stretch> out and <sleep>|<snatch> a nap|<sleep> and
    <dream>|<slip> into a dream|<drowse>|<kip>""",
    f"""<eat>|<eat>|<eat>|<eat> a [{FOOD}]|<eat> a [{FOOD}]|<eat> [something|a little something|a meal|with both hands|with {{his}}
    fingers|bite by bite]|<have> [a snack|a bite to eat|something to eat|a sandwich|a meal|a picnic|a little something|some food]|<munch> [|a
    sandwich|on a [{FOOD}]|away] |<nibble> [at a [{FOOD}]|a sandwich]|<chew> [|a mouthful|on a [{FOOD}]|with {{his}} mouth full]|<take> a
    [bite|big bite] [of a [{FOOD}]|]|<bite> into a [{FOOD}]|<devour> a [{FOOD}]|<gobble> up a [{FOOD}]|<wolf> down a [{FOOD}]|<feast> [|on a
    [{FOOD}]]|<tuck> into a [{FOOD}]|<gulp> down a [{FOOD}]|<swallow> a mouthful|<stuff> {{his}} mouth|<fill> {{his}} [mouth|tummy|belly]|<dig>
    into a [{FOOD}]|<finish> a [{FOOD}]|<polish> off a [{FOOD}]|<snack> [|on a [{FOOD}]]|<dine>|<enjoy> a [{FOOD}]|<taste> a [{FOOD}]|<gorge>
    on [cake|pancakes|bread]|<crunch> a biscuit|<unwrap> a sandwich and <eat> it|<lick> the crumbs from {{his}} [fingers|lips]|<still> {{his}}
    hunger with a [{FOOD}]|<scoff> a [{FOOD}]|<savour> a [{FOOD}]|<sample> a [{FOOD}]|<guzzle> [away|]|<put> away a whole [{FOOD}]|<sink>
    {{his}} teeth into a [{FOOD}]""",
    f"""<read>|<read>|<read>|<read> a [{PAGES}]|<read> a [{PAGES}]|<read> a [{PAGES}]|<read> [quietly|aloud|on and on|to {{him}}self|page after
    page|in a book|in silence|line by line]|<leaf> through a [book|comic|magazine]|<turn> the pages|<turn> the pages of a [book|story]|<study>
    a [book|page]|<look> into a book|<open> a book and <read>|<pore> over a [book|page]|<browse> [through a book|in a book]|<bury> {{his}} nose
    in a book|<have> {{his}} nose in a book|<be> deep in a book|<devour> a book|<skim> a [page|chapter]|<flick> through a [book|comic]|<peruse>
    a [book|page]|<spell> out the words in a book|<go> through a book|<finish> a chapter|<begin> a new book|<dip> into a book|<enjoy> a good
    book|<lose> {{self}} in a [book|story]|<follow> the lines with a finger|<recite> from a book|<read> a bit|<do> some reading|<stare> into a
    book|<consult> a book|<revise> a chapter""",
    """<fall>|<fall>|<fall> [down|over|flat on {his} face|to the ground|on {his} bottom|over a {thing}|over {his} own feet|on {his} back|with a
    bump|head first]|<fall> down|<fall> over|<trip> [|over a {thing}|up|and <fall>|over a root|over {his} own feet]|<stumble> [over a
    {thing}|and <fall>|and <go> down]|<tumble> [down|over|to the ground|head over heels|over a {thing}]|<slip> [|and <fall>|on a banana peel|on
    something wet]|<topple> over|<lose> {his} balance [|and <fall>]|<land> [on {his} back|on {his} bottom|with a bump|flat on {his} face|on the
    ground]|<take> a [tumble|spill|fall]|<crash> to the ground|<hit> the ground|<keel> over|<go> [down with a bump|flying|head over
    heels|sprawling]|<have> a fall|<miss> a step and <fall>|<skid> and <fall>|<tip> over|<bump> {his} head and <fall>|<catch> {his} foot and
    <fall>|<do> a somersault and <fall>|<plunge> to the ground|<come> a cropper|<roll> over on the ground|<thud> to the ground|<teeter> and
    <fall>|<reel> and <fall>|<slide> and <tumble>|<end> up flat on {his} back""",
    """<hug>|<hug>|<hug>|<hug>|<hug> [each other|each other|each other tightly|one another|tightly|for a long time|warmly|as friends
    <do/p>]|<cuddle> [|up|close|each other]|<embrace> [|each other|warmly|one another]|<share> a [hug|big hug|cuddle|warm embrace]|<give> each
    other a [hug|big hug|squeeze|cuddle|warm hug]|<fall> into each other's arms|<hold> each other [tight|close|in their arms]|<throw> their
    arms around each other|<put> their arms around each other|<snuggle> up to each other|<squeeze> each other|<wrap> their arms around each
    other|<have> a [hug|cuddle|big hug]|<press> each other close|<greet> each other with a hug|<make> up with a hug|<cling> to each
    other|<fold> each other in their arms|<clasp> each other|<lie> in each other's arms|<sink> into each other's arms""",
    """<hold> hands|<hold> hands|<hold> hands|<hold> hands|<take> each other [by the hand|by the hands]|<join> hands|<link> hands|<clasp>
    hands|<stand> hand in hand|<hold> each other by the hand|<hold> each other's [hand|hands]|<reach> for each other's hand|<put> hand in
    hand|<squeeze> each other's hand|<give> each other a hand to hold|<stay> hand in hand|<go> hand in hand|<hold> on to each other's
    hands|<clutch> each other's hand|<lock> fingers|<hold> [hands tightly|hands as friends <do/p>]|<grip> each other's hand|<take> one another
    by the hand|<interlace> their fingers""",
    """<point>|<point>|<point>|<point> [ahead|up|to the side|at something|into the distance|at a {thing}|over there|forward|at the horizon|with
    {his} {limb}|{his} {limb} at a {thing}|somewhere|far away|at the view]|<show> the way|<indicate> the way|<stretch> out {his} {limb} and
    <point>|<aim> {his} {limb} at a {thing}|<point> out a {thing}|<point> the way|<lift> {his} {limb} to point|<call> attention to a
    {thing}|<pick> out a {thing} with {his} {limb}|<hold> out {his} {limb} to show the way|<show> where to go|<point> [eagerly|excitedly at a
    {thing}|straight ahead]|<direct> the way with {his} {limb}|<extend> {his} {limb} towards a {thing}|<jab> {his} {limb} at a {thing}|<signal>
    which way to go""",
    """<walk>|<walk>|<walk>|<walk> [about|around|along|up and down|slowly|on|back and forth|in circles|past a {thing}|here and there|step by
    step|barefoot]|<take> a [walk|stroll|little walk|few steps]|<go> for a [walk|stroll|wander|little walk]|<stroll>
    [about|around|along|]|<wander> [about|around|along]|<march> [along|up and down|in step|]|<amble> [along|about]|<saunter>
    [along|about|past]|<step> [along|out|carefully over a {thing}]|<pace> [up and down|back and forth|about]|<hike> [along|]|<trudge>
    [along|on]|<plod> [along|on]|<ramble> about|<roam> [about|around]|<tiptoe> [about|along|past a {thing}]|<stride> [along|about]|<toddle>
    along|<waddle> along|<shuffle> [along|about]|<promenade>|<trek> [along|on]|<stretch> {his} legs|<put> one foot in front of the other|<pad>
    about|<potter> about|<traipse> about|<mosey> along|<tramp> [along|about]|<wend> {his} way|<lumber> along""",
)
PAIR_AT = {  # two do it, one of whom it is told of: {T}
    "hug": """<hug> {T.o}|<hug> {T.o}|<hug> {T.o}|<give> {T.o} a [hug|big hug|warm hug|cuddle|squeeze|long hug]|<embrace> {T.o}|<cuddle>
    {T.o}|<throw> {his} arms around {T.o}|<put> {his} arms around {T.o}|<wrap> {his} arms around {T.o}|<hold> {T.o} [tight|close|in {his}
    arms]|<squeeze> {T.o} [tight|]|<take> {T.o} in {his} arms|<fold> {T.o} in {his} arms|<greet> {T.o} with a hug|<fall> into {T.p}
    arms|<cling> to {T.o}|<snuggle> up to {T.o}|<fling> {his} arms around {T.o}|<press> {T.o} to {his} heart|<comfort> {T.o} with a hug|<thank>
    {T.o} with a hug|<share> a hug with {T.o}|<have> a cuddle with {T.o}|<clasp> {T.o} in {his} arms|<surprise> {T.o} with a hug""",
    "hold hands": """<hold> {T.p} hand|<hold> {T.p} hand|<take> {T.o} by the hand|<take> {T.p} hand|<hold> hands with {T.o}|<hold> hands with
    {T.o}|<hold> {T.o} by the hand|<reach> for {T.p} hand|<grab> {T.p} hand|<clasp> {T.p} hand|<stand> hand in hand with {T.o}|<slip> a hand
    into {T.p}|<stay> hand in hand with {T.o}|<squeeze> {T.p} hand|<join> hands with {T.o}|<go> hand in hand with {T.o}|<catch> hold of {T.p}
    hand""",
}
ACTION_AT = {  # to somebody who is there: {T}
    "stand": """<look> at {T.o}|<look> at {T.o}|<look> over at {T.o}|<turn> to {T.o}|<turn> towards {T.o}|<face> {T.o}|<watch> {T.o}|<gaze> at
    {T.o}|<stare> at {T.o}|<glance> at {T.o}|<eye> {T.o}|<observe> {T.o}|<peer> at {T.o}|<study> {T.o}|<turn> round to {T.o}|<have> a good look
    at {T.o}|<keep> an eye on {T.o}|<talk> to {T.o}|<talk> to {T.o}|<speak> to {T.o}|<chat> with {T.o}|<listen> to {T.o}|<tell> {T.o} about
    {topic}|<ask> {T.o} about {topic}|<whisper> something to {T.o}|<explain> {topic} to {T.o}|<examine> {T.o}|<regard> {T.o}""",
    "wave": """<wave> at {T.o}|<wave> at {T.o}|<wave> to {T.o}|<wave> to {T.o}|<wave> {his} {limb} at {T.o}|<greet> {T.o} [with a wave|by
    waving]|<give> {T.o} a [wave|friendly wave|little wave|big wave]|<say> hello to {T.o} with a wave|<wave> hello to {T.o}|<beckon> to
    {T.o}|<throw> {T.o} a wave|<send> {T.o} a wave|<welcome> {T.o} with a wave|<wiggle> {his} {limb} at {T.o}|<raise> {his} {limb} to greet
    {T.o}|<hail> {T.o} with a raised {limb}|<salute> {T.o}|<signal> to {T.o}|<wave> [wildly|eagerly|like mad] at {T.o}""",
    "point": """<point> at {T.o}|<point> at {T.o}|<point> {his} {limb} at {T.o}|<point> to {T.o}|<point> straight at {T.o}|<stretch> out {his}
    {limb} and <point> at {T.o}|<aim> {his} {limb} at {T.o}|<pick> out {T.o} with {his} {limb}|<lift> {his} {limb} and <point> at {T.o}|<jab>
    {his} {limb} at {T.o}|<hold> out {his} {limb} towards {T.o}""",
}
PLAIN_AT = {
    "stand": "<look> at {T.o}",
    "wave": "<wave> at {T.o}",
    "point": "<point> at {T.o}",
    "hug": "<hug> {T.o}",
    "hold hands": "<take> {T.o} by the hand",
}
MOVING = {
    14: "<stroll>|<march>|<wander>|<amble>|<hike>|<trudge>|<tramp>|<saunter>|<plod>|<stride>",
}
CALLS = (  # from "sleep" on
    "Zzz|Good night|I'm so tired|Just five minutes|Don't wake me|So sleepy|Shh|My eyes are closing",
    "Yum|Yummy|Delicious|I'm so hungry|Tasty|Mmm|That smells good|One more bite|Nom nom|I was starving",
    "Listen to this|Once upon a time|What a story|Just one more page|Chapter one|I love this story|How will it end?|So many words",
    "Ouch|Oops|Whoops|Ow|Oh no|Watch out|Help|That hurt|Aua|Timber",
    "I like you|My friend|Come here, you|I have missed you|There, there|Best friends|A hug for you",
    "Take my hand|Don't let go|Hold tight|Together|Come with me|Friends for ever|Give me your hand",
    "Look over there|There it is|That way|See that?|Over there|Look at that|This way|What is that?|There",
    "One, two, one, two|Step by step|Let's stretch our legs|Off we go|Left, right, left, right|What a nice walk|Slow and steady",
)
INVERTED = (  # from "sleep" on
    "there <lie/fin> {S.n}, fast asleep|fast asleep <lie/fin> {S.n}|on the ground <sleep/fin> {S.n}|there <sleep/fin> {S.n}",
    "into a sandwich <bite/fin> {S.n}|bite by bite {S} <eat/fin>|there <sit/fin> {S.n}, eating",
    "page after page {S} <read/fin>|with {his} nose in a book, {S} <read/fin>|page by page <read/fin> {S.n}",
    "down <fall/fin> {S.n}|over <go/fin> {S.n}, flat on the ground|down <tumble/fin> {S.n}|to the ground <crash/fin> {S.n}",
    "arm in arm <stand/p> {S.n}, hugging|tightly {S} <hug/p>",
    "hand in hand <stand/p> {S.n}|there, hand in hand, <stand/p> {S.n}",
    "over there <point/fin> {S.n}|straight ahead <point/fin> {S.n}|into the distance <point/fin> {S.n}",
    "along <walk/fin> {S.n}|step by step <walk/fin> {S.n}|up and down <walk/fin> {S.n}|to and fro <walk/fin> {S.n}|on and on <walk/fin> {S.n}",
)
PLAIN_ACTION = ("<sleep>", "<eat>", "<read>", "<fall> down", "<hug>", "<hold> hands", "<point> ahead", "<walk> about")
SIMPLE_ACTION = (
    "<sleep>|<take> a nap|<doze>|<snooze>",
    "<eat>|<have> a snack|<munch> a sandwich",
    "<read>|<read> a book|<read> stories",
    "<fall> down|<trip> over things|<stumble> about",
    "<hug> people|<cuddle>|<hug> everybody",
    "<hold> hands|<join> hands",
    "<point> at things|<show> the way",
    "<walk>|<walk> about|<stroll> around|<take> a walk",
)
WATCH = """<watch>|<watch>|<watch>|<watch> [quietly|closely|in silence|with big eyes|from a few steps away|it all|attentively]|<look> on|<look>
on|<look> on [quietly|curiously|in silence|with interest]|<observe> it all|<observe> all this|<admire> the scene|<follow> it all with
interest|<keep> watching|<gaze> on"""
IDLE = """<stand> by|<stand> by|<stand> by [quietly|and <wait>|idly]|<stand> around|<wait>|<wait> [quietly|a bit|patiently]|<do> nothing|<stay>
put|<stay> still|<stand> still|<keep> still|<stay> there|<remain> still|<take> no notice|<linger>|<idle>|<hang> around|<hang> about"""
