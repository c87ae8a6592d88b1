"""Facts: short statements of what each sentence means, made from the labels; and the loss of predicting them from pooled sentences."""

from __future__ import annotations

from typing import Any

import torch
from datasets import Features
from torch import Tensor, nn


def story_facts(story: dict, features: Features) -> list[set[str]]:
    """The facts of each sentence of a story row: background, characters, and (if labelled) each one's garment, action, prop and face,
    hour and weather.

    They are targets of the language memory's text loss only; no system is conditioned on them."""

    def names(*path: str) -> list[str]:
        feature: Any = features
        for key in path:
            feature = getattr(feature, "feature", feature)[key] if isinstance(key, str) else feature.feature
        while hasattr(feature, "feature"):
            feature = feature.feature
        return feature.names

    facts: list[set[str]] = [set() for _ in story["sentences"]]
    for m, fact in enumerate(facts):
        if story.get("backgrounds"):
            fact.add(f"at {names('backgrounds')[story['backgrounds'][m]]}")
        if not story.get("characters"):
            continue
        who = [names("characters")[c] for c in story["characters"][m]]
        fact.update(who)
        attributes = story["attributes"][m] if story.get("attributes") else {}
        for kind in ("garments", "actions", "props", "faces"):
            for name, value in zip(who, attributes.get(kind, [])):
                if value >= 0:  # not of a face that is asleep
                    fact.add(f"{name} {kind} {names('attributes', kind)[value]}")
        fact.update(f"{kind} {names('attributes', kind)[attributes[kind]]}" for kind in ("time", "weather") if attributes.get(kind, -1) >= 0)
        fact.update(f"prop {names('attributes', 'prop_colors')[c]}" for c in attributes.get("prop_colors", []))
    return facts


def fact_table(sentences: list[set[str]], names: list[str]) -> Tensor:
    """Facts of S sentences as a table (S, F) bool; facts that are not among the F names are left out."""
    number = {name: i for i, name in enumerate(names)}
    table = torch.zeros(len(sentences), len(names), dtype=torch.bool)
    for n, facts in enumerate(sentences):
        table[n, [number[x] for x in facts if x in number]] = True
    return table


def text_loss(logits: Tensor, facts: Tensor, weight: Tensor, use: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of the facts (B, M, F), summed over facts, mean over all sentences with weights (B, M) as `padded_frames` gives them;
    stories outside `use` (B,) count as zero.

    It is not the mean over the stories in `use`: then two processes with half the stories each would differ from one with all of them."""
    loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), facts.float(), reduction="none").sum(-1)  # (B, M)
    loss = (loss * weight).mean(1)
    return loss.mean() if use is None else (loss * use).mean()
