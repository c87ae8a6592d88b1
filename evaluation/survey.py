"""Survey of human raters as a web page: they choose which system tells a story best. The code is in `story_ldm/app/survey.py`.

python evaluation/survey.py --systems story-ldm=DIR storygan=DIR --samples 100 --raters 3 --database survey.sqlite --port 8000
python evaluation/survey.py --database survey.sqlite --tally --output survey.json
"""

from __future__ import annotations

import tyro

from story_ldm.app.survey import Settings, main
from story_ldm.one_line import one_line_errors

if __name__ == "__main__":
    with one_line_errors("survey.py"):
        main(tyro.cli(Settings, description=__doc__.split("\n")[0]))
