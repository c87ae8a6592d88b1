#!/usr/bin/env bash
# How many diffusion steps a model needs: rates, distances and paired tests of its stories at 2 to 20 steps, and of students distilled from it at their
# own. Running it again resumes it; existing results are kept.
#
#     bash evaluation/steps.sh runs/story-ldm/pipeline results/steps runs/story-ldm-4/pipeline runs/story-ldm-2/pipeline
#     TEXT=free STORIES=60 STEPS="2 4 6 8 12 20" bash evaluation/steps.sh toon-story-ldm results/steps
#
# The comparison is results/steps/comparison.md; its baseline is the model at the most steps.
set -euo pipefail
cd "$(dirname "$0")/.."
model=$1 results=$2 stories=${STORIES:-60} text=${TEXT:-referential} list=${STEPS:-2 4 6 8 12 20}

measure() { # name, model, then options of generate_stories.py
    if [ -e "$results/$1.json" ]; then return; fi
    python evaluation/generate_stories.py --model "$2" --out "$results/generated/$1" --text "$text" --stories "$stories" "${@:3}"
    python evaluation/score_stories.py --system "$1" --generated "$results/generated/$1" --stories "$stories" --resize --no-ceiling --results "$results"
}

for steps in $list; do measure "$steps-steps" "$model" --steps "$steps"; done
for student in "${@:3}"; do measure "$(basename "$(dirname "$student")")" "$student"; done
python evaluation/compare_systems.py "$results"/*.json --baseline "${list##* }-steps" --out "$results/comparison"
