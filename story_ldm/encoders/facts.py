"""What each sentence of a story means, as short statements from the labels, and the loss of reading them off pooled sentences."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def story_facts(story: dict, features) -> list[set[str]]:
    """What each sentence of a story means, as short statements, from the labels: who is there, where, and (where known) what they wear,
    do and hold. Targets of the text loss of the language memory; nothing that a picture is asked to show is taken from here."""

    def names(*path):
        feature = features
        for key in path:
            feature = getattr(feature, "feature", feature)[key] if isinstance(key, str) else feature.feature
        while hasattr(feature, "feature"):
            feature = feature.feature
        return feature.names

    facts = [set() for _ in story["sentences"]]
    for m, fact in enumerate(facts):
        if story.get("backgrounds"):
            fact.add(f"at {names('backgrounds')[story['backgrounds'][m]]}")
        if not story.get("characters"):
            continue
        who = [names("characters")[c] for c in story["characters"][m]]
        fact.update(who)
        attributes = story["attributes"][m] if story.get("attributes") else {}
        for kind in ("garments", "actions", "props"):
            for name, value in zip(who, attributes.get(kind, [])):
                fact.add(f"{name} {kind} {names('attributes', kind)[value]}")
        fact.update(f"prop {names('attributes', 'prop_colors')[c]}" for c in attributes.get("prop_colors", []))
    return facts


def fact_table(stories: list[list[set[str]]], names: list[str]) -> Tensor:
    """The statements of N stories of M sentences each → (N, M, F) bool; statements that are not among the F names are left out."""
    number = {name: i for i, name in enumerate(names)}
    table = torch.zeros(len(stories), len(stories[0]), len(names), dtype=torch.bool)
    for n, story in enumerate(stories):
        for m, facts in enumerate(story):
            table[n, m, [number[x] for x in facts if x in number]] = True
    return table


def text_loss(logits: Tensor, facts: Tensor, use: Tensor | None = None) -> Tensor:
    """Binary cross-entropy of the statements (B, M, F), summed over statements, mean over all sentences; only stories in `use` (B,)
    count. (Not the mean over those alone: then two processes with half the stories each would differ from one with all.)"""
    loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), facts.float(), reduction="none").sum(-1).mean(1)  # (B,)
    return loss.mean() if use is None else (loss * use).mean()
