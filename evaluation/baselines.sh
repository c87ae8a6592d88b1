#!/usr/bin/env bash
# The baselines: StoryGAN with its reductions and the dynamic-block GAN with its ablations, trained on the built-in world, scored on the whole test
# split, and compared with Story-LDM. Running it again resumes it; existing results are kept.
#
#     bash evaluation/baselines.sh           # runs/baselines, generated/baselines, results/baselines; about four hours on two CPU cores
#
# StoryGAN and the dynamic-block GAN have the same training time on a CPU, including validation; reductions and ablations see as many stories as the
# full model they belong to.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-runs/baselines}
stories=${STORIES:-32000}
names=() drawn=()

system() { # script, system, stories
    names+=("results/baselines/$2.json")
    if [ -d "generated/baselines/$2" ] || [ ! -e "results/baselines/$2.json" ]; then drawn+=("$2=generated/baselines/$2"); fi
    if [ -e "results/baselines/$2.json" ]; then return; fi
    [ -e "$runs/$2/pipeline/model_index.json" ] ||
        accelerate launch "training/train_$1.py" --system "$2" --stories "$3" --output "$runs/$2"
    python evaluation/generate_stories.py --model "$runs/$2/pipeline" --out "generated/baselines/$2"
    python evaluation/score_stories.py --system "$2" --generated "generated/baselines/$2" --results results/baselines
}

for name in story-gan svfn svc image-gan; do
    system story_gan "$name" "$stories"
done
for name in dynamic-block no-attention sa-only wsa-only no-block-in-g no-block-in-d; do
    system dynamic_block_gan "$name" $((stories * 7 / 10)) # one story takes 1.4 times as long
done

gallery=()
if [ ${#drawn[@]} = ${#names[@]} ]; then # the gallery needs the pictures of all systems
    python evaluation/generate_stories.py --model toon-story-ldm --out generated/baselines/story-ldm --dtype bfloat16 --stories 2
    gallery=(--generated "${drawn[@]}" story-ldm=generated/baselines/story-ldm --stories 2)
fi
python evaluation/compare_systems.py results/story-ldm.json "${names[@]}" --baseline story-gan --out results/baselines "${gallery[@]}" \
    --title "Story-LDM and the baselines" --notes "StoryGAN and its reductions saw $stories stories, the dynamic-block GAN and its ablations 0.7 times as many; \
made by evaluation/baselines.sh."
if [ -e "$runs/dynamic-block/choices.json" ]; then cp "$runs/dynamic-block/choices.json" results/baselines/; fi
python -m story_ldm.systems.dynamic_block_gan.choices results/baselines/choices.json --out results/baselines/choices.png
