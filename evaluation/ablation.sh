#!/usr/bin/env bash
# Ablation of the memory: six variants of Story-LDM, each initialised from the same memoryless weights and trained on the same number of stories, then
# scored on the whole test split, with visual memory on and off. Running it again resumes it; existing results are kept.
#
#     bash evaluation/ablation.sh            # runs/ablation, generated/ablation, results/ablation; hours on a CPU
#
# The memoryless weights are the shipped model without its memory, trained further on full text, in which no name or place has to be remembered. The
# language memory is trained first, on text alone, with the shipped text encoder; visual memory starts from its initialisation.
set -euo pipefail
cd "$(dirname "$0")/.."
shipped=checkpoints/toon-story-ldm
runs=${RUNS:-runs/ablation}
stories=${STORIES:-16000}

train() { # name, then options
    [ -e "$runs/$1/pipeline/model_index.json" ] ||
        accelerate launch training/train_story_ldm.py --output "$runs/$1" --text "$runs/language" --cache "$runs/cache" --optimizer muon \
            --learning-rate 5e-4 --batch 12 --warmup 100 --decay 0.4 --checkpoint-every 200 --sample-every 0 "${@:2}"
}

# Initial weights of all variants
base() {
    [ -e "$runs/language/fact_head.safetensors" ] ||
        accelerate launch training/train_language_memory.py --text-from $shipped --stories 40000 --output "$runs/language"
    train memoryless --init-from $shipped --stories 6000 --memory none --no-language-memory --text-form full --freeze-text-encoder
}

measure() { # name of the result, name of the variant, then options of generate_stories.py
    if [ -e "results/ablation/$1.json" ]; then return; fi
    python evaluation/generate_stories.py --model "$runs/$2/pipeline" --dtype bfloat16 --out "generated/ablation/$1" "${@:3}"
    python evaluation/score_stories.py --system "$1" --generated "generated/ablation/$1" --results results/ablation
}

variant() { # name, then options
    local with_off=false text=referential
    case "$1" in *spatial* | sentence*) with_off=true ;; plain-full-text) text=full ;; esac
    if [ -e "results/ablation/$1.json" ] && { [ $with_off = false ] || [ -e "results/ablation/$1-off.json" ]; }; then return; fi
    base
    train "$1" --init-from "$runs/memoryless/pipeline" --stories "$stories" "${@:2}"
    measure "$1" "$1" --text $text
    if [ $with_off = true ]; then measure "$1-off" "$1" --no-memory; fi
}

mkdir -p results/ablation
variant plain --memory none --no-language-memory
variant spatial-memory --memory spatial --no-language-memory
variant language-and-spatial-memory --memory spatial
variant sentence-memory --memory sentence --no-language-memory
variant language-memory --memory none
variant plain-full-text --memory none --no-language-memory --text-form full

names=(plain sentence-memory spatial-memory language-memory language-and-spatial-memory plain-full-text) drawn=()
for name in "${names[@]}"; do
    if [ -d "generated/ablation/$name" ]; then drawn+=("$name=generated/ablation/$name"); fi # the repository has results, but no pictures
done
gallery=()
if [ ${#drawn[@]} -gt 0 ]; then gallery=(--generated "${drawn[@]}" --stories 3); fi
files=("${names[@]/#/results/ablation/}" results/ablation/{sentence-memory,spatial-memory,language-and-spatial-memory}-off)
python evaluation/compare_systems.py "${files[@]/%/.json}" --baseline plain --out results/ablation "${gallery[@]}" --title "What memory does" \
    --notes "Every variant saw $stories stories (5 frames each) from the same memoryless weights; made by evaluation/ablation.sh." \
    "\"off\": the same weights with the visual memory switched off."
