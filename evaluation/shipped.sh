#!/usr/bin/env bash
# Scores of the shipped model on the splits test, test_compositional (unseen pairs of character and place or garment) and test_long (50 frames per
# story), and of the real test stories against themselves. Running it again resumes it; existing results are kept.
#
#     bash evaluation/shipped.sh             # generated/story-ldm*, results/story-ldm*; about an hour on two CPU cores
set -euo pipefail
cd "$(dirname "$0")/.."

measure() { # name, split, then options of generate_stories.py
    if [ -e "results/$1.json" ]; then return; fi
    python evaluation/generate_stories.py --model toon-story-ldm --dtype bfloat16 --split "$2" --out "generated/$1" "${@:3}"
    python evaluation/score_stories.py --system "$1" --generated "generated/$1" --split "$2" --card checkpoints/toon-story-ldm
}

measure story-ldm test
measure story-ldm-compositional test_compositional
measure story-ldm-long test_long --batch 10
[ -e results/truth.json ] || python evaluation/score_stories.py --system truth --generated toonstories
