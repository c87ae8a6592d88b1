"""The places of ToonStories 2 as the free form says them. `LOC` and the like have a table by place, in the order of tables.PLACES; the first
eight are the first world's, less what would tell an hour or a weather, but for the beach, from which the sea is apart here."""

from __future__ import annotations

BEACH = {
    "LOC": """[on|at] the beach|[on|at] the beach|on the beach|at the [seaside|seashore|coast|lagoon]|on the [seashore|coast|sandy
    beach|shingle|warm sand|pebble beach] |along the [seashore|beach]|in the sand [at the beach|of the beach]|under the palm trees on the
    beach|next to a sandcastle|on the sands|among the seashells on the beach|on a beach towel in the sand|where the sandcastles <be/p> built""",
    "GOAL": """to the beach|to the beach|to the [seaside|coast|seashore]|down to the [beach|seashore]|out to the beach|to the sandy beach|to the
    lagoon|onto the sand of the beach""",
    "PLC": "the beach|the beach|the seaside|the coast|the sandy beach|the seashore|the pebble beach",
    "HEADING": "the beach|the seaside|a sandy beach|beach|a beach with palm trees|seashore",
    "SCENES": """the sand <be/s> [warm|soft|fine]|seagulls <screech/p> overhead|it <smell/s> of salt|a crab <crawl/s> by|shells <lie/p> all
    around|foam <bubble/s> on the sand|somebody <have/s> built a sandcastle|a sailor <whistle/s>""",
}
NEW = (  # garden, school, castle, living room, playground, sea, snow, farm
    {
        "LOC": """in the garden|in the garden|in the garden|in the [little|big|green|back|old|vegetable|fruit] garden|in the back yard|in the
    backyard|on the [lawn|garden path]|by the garden fence|among the [rose bushes|sunflowers|vegetable beds|bean poles]|under the apple tree in
    the garden|next to the garden gate|behind the house in the garden|between the vegetable beds|out in the garden|in the front garden|by the
    garden shed""",
        "GOAL": """to the garden|into the garden|to the garden|out into the garden|to the [backyard|vegetable garden|front garden]|through the
    gate into the garden|down the garden path""",
        "PLC": "the garden|the garden|the green garden|the backyard|the little garden|the vegetable garden|the back yard",
        "HEADING": "the garden|a garden|a little garden|garden|backyard|a garden with a fence",
        "SCENES": """bees <hum/p>|a snail <crawl/s> along the path|it <smell/s> of roses|the apples <be/p> ripe|butterflies <flutter/p> about|the lawn
        <need/s> mowing|the tomatoes <grow/p>|a blackbird <sing/s>|a hedgehog <rustle/s> in the leaves|the beans <climb/p> up their poles""",
    },
    {
        "LOC": """at school|at school|at the school|in the classroom|in the classroom|in the [school|schoolroom|bright classroom|big
    classroom]|in class|in front of the blackboard|by the blackboard|at the [school desk|desk in the classroom]|between the desks|among the
    school desks|in the school room|where the lessons <be/p> held|next to the globe in the classroom|near the blackboard in the classroom""",
        "GOAL": """to school|to the school|to the school|into the classroom|to the classroom|to class|into the schoolroom|off to school|over to
    the school""",
        "PLC": "the school|the school|the classroom|the classroom|the schoolroom|school",
        "HEADING": "the school|a classroom|the classroom|school|classroom|inside a school",
        "SCENES": """the chalk <squeak/s>|the school bell <ring/s>|there <be/s> a sum on the blackboard|the lesson <begin/s>|a ruler
    <drop/s>|the globe <turn/s>|the pencils <be/p> sharp|it <smell/s> of chalk|the timetable <hang/s> on the wall""",
    },
    {
        "LOC": """at the castle|at the castle|in front of the castle|by the castle|outside the castle|at the [old|royal|big|grey|enchanted]
    castle|before the castle [gate|walls]|at the castle gate|by the [drawbridge|castle walls|castle moat]|below the castle towers|in the castle
    [yard|courtyard|grounds]|near the palace|at the fortress|at the palace|under the towers of the castle""",
        "GOAL": """to the castle|to the castle|to the [old castle|palace|fortress|castle gate|royal castle]|up to the castle|over to the
    castle|all the way to the castle""",
        "PLC": "the castle|the castle|the old castle|the palace|the fortress|the royal castle|the castle gate",
        "HEADING": "the castle|a castle|an old castle|castle|castle gate|palace|the castle courtyard",
        "SCENES": """a trumpet <sound/s>|a knight <ride/s> past|the drawbridge <creak/s>|the towers <be/p> high|ravens <circle/p> above the
    towers|the moat <be/s> deep|a guard <march/s> up and down|a fanfare <sound/s>|it <be/s> said that a ghost <live/s> in the tower""",
    },
    {
        "LOC": """in the living room|in the living room|in the living room|in the [cosy|big|warm|tidy] living room|by the
    [fireplace|fireside|sofa|couch]|in front of the [fireplace|fire|sofa|couch]|next to the [sofa|armchair|fireplace]|in the sitting room|in
    the lounge|on the living room [rug|carpet|floor]|in the parlour|between the sofa and the armchair|by the open fire|on the rug in front of
    the fireplace""",
        "GOAL": """to the living room|into the living room|to the living room|into the [lounge|sitting room|cosy living room|parlour]|over to the
        [sofa|fireplace]|through to the living room""",
        "PLC": "the living room|the living room|the lounge|the sitting room|the cosy living room|the parlour",
        "HEADING": "the living room|a living room|a cosy living room|living room|lounge|sitting room with a fireplace",
        "SCENES": """the fire <crackle/s>|the clock <tick/s>|the cushions <be/p> soft|the television <be/s> off|logs <burn/p> in the
    fireplace|the rug <be/s> fluffy|the radio <play/s>|it <be/s> warm by the fire|dust <lie/s> on the piano|the doorbell <ring/s>""",
    },
    {
        "LOC": """on the playground|on the playground|at the playground|in the playground|by the [swings|slide|seesaw|climbing
    frame|sandpit]|next to the [slide|swings|seesaw]|under the [climbing frame|slide]|near the swings|at the [play park|adventure
    playground]|between the swings and the slide|in the sandpit|at the bottom of the slide|by the merry-go-round|in the play park|where the
    swings <be/p>""",
        "GOAL": """to the playground|to the playground|to the playground|to the [swings|slide|play park|adventure playground|sandpit]|over to the
        [swings|playground]|down to the playground""",
        "PLC": "the playground|the playground|the play park|the swings|the adventure playground",
        "HEADING": "the playground|a playground|playground|a play park|playground with a slide|swings and a slide",
        "SCENES": """the swings <creak/p>|the slide <be/s> slippery|the seesaw <go/s> up and down|somebody <have/s> left a spade in the
    sandpit|the roundabout <turn/s>|there <be/s> sand everywhere|the climbing frame <be/s> high""",
    },
    {
        "LOC": """by the sea|by the sea|by the sea|at the sea|on the [pier|jetty|quay|landing stage|wooden pier|dock|docks|boardwalk]|at the
    [harbour|port|pier|water's edge]|by the [ocean|water|harbour|open sea]|in the harbour|above the waves|near the ocean|at the end of the
    pier|beside the sea|down at the docks|on the planks of the pier|overlooking the sea""",
        "GOAL": """to the sea|to the sea|to the [pier|harbour|ocean|jetty|docks|quay]|down to the [sea|harbour|pier|docks]|out onto the pier|to
    the open sea|over to the harbour""",
        "PLC": "the sea|the sea|the pier|the harbour|the ocean|the docks|the open sea|the jetty",
        "HEADING": "the sea|the harbour|a pier|sea|pier by the sea|docks|a jetty by the sea",
        "SCENES": """the waves <roll/p> in|the sea <be/s> [calm|wild|deep]|seagulls <screech/p> overhead|a lighthouse <blink/s>|dolphins
    <leap/p> far out|a ship <hoot/s>|it <smell/s> of salt and fish|the ropes <creak/p>|the planks <creak/p>|a fish <jump/s> out of the water""",
    },
    {
        "LOC": """in the snow|in the snow|in the snow|in the [deep|white|fresh|cold|powdery] snow|on the [snowfield|ice|snowy
    ground|snow-covered ground]|out in the snow|in the [snowy land|winter landscape|frozen land|Arctic]|next to [the snowman|an igloo|the
    igloo]|by the [snowman|igloo]|among the snow-covered fir trees|at the North Pole|in the land of ice and snow|on the snow-covered field|in
    the winter wonderland|on the frozen field|where the snow never <melt/s>|at the South Pole""",
        "GOAL": """into the snow|into the snow|to the [snowfield|land of snow|igloo|Arctic|North Pole|winter wonderland]|out into the
    [snow|deep snow|white snow]|to the snow|to the snow-covered field""",
        "PLC": "the snow|the snow|the snowfield|the deep snow|the land of snow|the Arctic|the igloo|the winter wonderland|the snowy field",
        "HEADING": "the snow|a snowfield|a snowy landscape|snow|snowfield with a snowman|snowy field|snow and ice",
        "SCENES": """the snow <crunch/s>|the ice <be/s> slippery|the snowman <need/s> a carrot|icicles <glitter/p>|it <be/s> freezing
    cold|footprints <lead/p> through the snow|a sledge <stand/s> there|the fir trees <be/p> white|the air <be/s> cold and clear""",
    },
    {
        "LOC": """on the farm|on the farm|on the farm|at the farm|on the [old|big|little] farm|in the farmyard|by the
    [barn|windmill|haystack|silo|stable]|in front of the barn|outside the barn|next to the [barn|windmill|tractor|pigsty]|in the
    [barnyard|cornfield|wheat field|meadow by the barn]|among the haystacks|on the ranch|out on the farm|in a field on the farm|at the
    farmhouse""",
        "GOAL": """to the farm|to the farm|to the farm|to the [barn|farmyard|farmhouse|old farm|ranch]|out to the farm|over to the barn|into
    the farmyard""",
        "PLC": "the farm|the farm|the farmyard|the barn|the old farm|the ranch|the farmhouse",
        "HEADING": "the farm|a farm|a farmyard|farm|barn|farm with a barn|a farm with a windmill",
        "SCENES": """hens <cluck/p>|a cow <moo/s>|the tractor <rattle/s>|it <smell/s> of hay|the windmill <turn/s>|a rooster <crow/s>|sheep
    <bleat/p>|the wheat <be/s> ripe|the barn door <creak/s>|hay <lie/s> everywhere|a pony <neigh/s>""",
    },
)
