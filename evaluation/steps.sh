#!/usr/bin/env bash
# How many diffusion steps a model needs: rates, distances and paired tests of its stories at 2 to 20 steps, and of students distilled from it at their
# own. Running it again resumes it; existing results are kept: take another folder for other settings.
#
#     bash evaluation/steps.sh runs/story-ldm/pipeline results/steps runs/story-ldm-4/pipeline runs/story-ldm-2/pipeline
#     TEXT=free STORIES=60 STEPS="2 4 6 8 12 20" bash evaluation/steps.sh toon-story-ldm results/steps
#     DATASET=toonstories-2 EVALUATOR=runs/toon2-evaluator/evaluator MATCHER=runs/toon2-damsm/damsm \
#         bash evaluation/steps.sh runs/book/pipeline results/book
#
# The comparison is comparison/comparison.md in the folder of the results; its baseline is the model at the last of the STEPS.
set -euo pipefail
cd "$(dirname "$0")/.."
model=$1 results=$2 stories=${STORIES:-60} text=${TEXT:-referential} list=${STEPS:-2 4 6 8 12 20} dataset=${DATASET:-toonstories}
score=(--resize --no-ceiling --results "$results" --dataset "$dataset" --stories "$stories")
if [ "$text" = free ]; then score+=(--text free); fi
if [ -n "${EVALUATOR:-}" ]; then score+=(--evaluator "$EVALUATOR"); fi
if [ -n "${MATCHER:-}" ]; then score+=(--matcher "$MATCHER"); fi

measure() { # name, model, then options of generate_stories.py
    if [ -e "$results/$1.json" ]; then return; fi
    python evaluation/generate_stories.py --model "$2" --out "$results/generated/$1" --dataset "$dataset" --text "$text" --stories "$stories" "${@:3}"
    python evaluation/score_stories.py --system "$1" --generated "$results/generated/$1" "${score[@]}"
}

mkdir -p "$results"
for steps in $list; do measure "$steps-steps" "$model" --steps "$steps"; done
for student in "${@:3}"; do measure "$(basename "$(dirname "$student")")" "$student"; done
python evaluation/compare_systems.py "$results"/*.json --baseline "${list##* }-steps" --out "$results/comparison"
