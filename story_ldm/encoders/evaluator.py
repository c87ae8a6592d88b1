"""The frame evaluator: a small CNN that reads the characters of a frame, its background, and what else the dataset labels: of the frame (layout,
hour, weather) and of each character (garment, mark, action, face, prop …).

    evaluator = FrameEvaluator.from_pretrained("checkpoints/toon-evaluator").eval()
    readings = evaluator.read(frames)                    # frames (B, 3, H, W) in [-1, 1] → {"characters": (B, K) bool, …}
    reading_accuracy(readings, frame_labels(stories))    # {"characters": 0.998, "garment": 0.999, …}

Labels and readings of F frames and K characters have the same form: `characters` (F, K) bool; `background`, `layout` and other labels of frames (F,);
`garment`, `mark`, `action`, `prop` and others of characters (F, K). Labels are UNKNOWN for characters that are not in the frame and for attributes
that a dataset does not label. Where characters are kinds and a frame has two of a kind, a label of that kind is known if both have it alike.
`training/train_evaluator.py` trains it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from datasets import Features
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from story_ldm.data.toonstories import ACTIONS, CHARACTER_NAMES, COLORS, LAYOUTS, MARKS, MENTIONS, PLACES, PROPS
from story_ldm.data.toonstories.free.names import held_out_name
from story_ldm.nn.layers import ResidualBlock
from story_ldm.nn.norms import BatchNorm

UNKNOWN = -100  # the label that cross-entropy ignores
HEADS = ("garment", "mark", "action", "prop")  # of characters, with arguments of their own
OF_THE_TEXT = ("pronoun", "mention")  # attributes that no picture shows
# Arguments for 128 pixels with small details
FINE = {
    "pixel_shuffle": 4,
    "block_out_channels": (64, 96, 160),
    "layers_per_block": (0, 1, 2),
    "head_width": 256,
    "scenery_channels": 32,
    "fine": True,
}


class FrameEvaluator(ModelMixin, ConfigMixin):
    """Pixel-unshuffle and three levels of residual convolutions. On the last map (C, 8, 8) stand scenery heads that keep the positions, and for
    each character `attention_heads` learned heatmaps that pool its features separately from those of its neighbours.

    characters, backgrounds, garments, marks, actions, props: class names in the order of the labels; a head without classes is left out.
    layouts: number of layouts per background. Layout logits are (B, backgrounds, layouts), because layout 1 of a beach and layout 1 of a
    kitchen have nothing in common.
    frame_heads, character_heads: class names of further labels of a frame and of each character, by name: {"weather": ("clear", "rain")}.
    fine: read characters off a map of twice the side, to which the level before adds its own (feature pyramids, Lin et al. 2017).
    """

    @register_to_config
    def __init__(
        self,
        characters: tuple[str, ...] = CHARACTER_NAMES,
        backgrounds: tuple[str, ...] = PLACES,
        layouts: int = LAYOUTS,
        garments: tuple[str, ...] = COLORS,
        marks: tuple[str, ...] = MARKS,
        actions: tuple[str, ...] = ACTIONS,
        props: tuple[str, ...] = ("none", *PROPS),
        sample_size: int = 64,
        pixel_shuffle: int = 2,
        block_out_channels: tuple[int, ...] = (32, 64, 128),
        layers_per_block: tuple[int, ...] = (0, 1, 2),
        attention_heads: int = 4,
        head_width: int = 192,
        scenery_channels: int = 16,
        frame_heads: Mapping[str, Sequence[str]] | None = None,
        character_heads: Mapping[str, Sequence[str]] | None = None,
        fine: bool = False,
    ):
        super().__init__()
        cell = pixel_shuffle * 2 ** (len(block_out_channels) - 1)
        assert sample_size % cell == 0, f"sample_size is {sample_size}; it must be divisible by {cell}"
        assert head_width % attention_heads == 0, f"head_width is {head_width}; it must be divisible by the {attention_heads} attention_heads"
        assert len(layers_per_block) == len(block_out_channels), "layers_per_block and block_out_channels must have the same length"
        channels, count, width = block_out_channels[-1], len(characters), head_width
        self.num_features = 2 * channels

        assert len(block_out_channels) > 1 or not fine, "fine needs at least two block_out_channels"

        layers: list[nn.Module] = []
        before = 3 * pixel_shuffle**2
        for level, (out, blocks) in enumerate(zip(block_out_channels, layers_per_block, strict=True)):
            self.last_level = len(layers)  # where it begins
            layers += [nn.Conv2d(before, out, 3, stride=1 if level == 0 else 2, padding=1)]
            layers += [BatchNorm(out), nn.ReLU()] if blocks == 0 else [ResidualBlock(out) for _ in range(blocks)]
            before = out
        self.trunk = nn.Sequential(*layers, BatchNorm(channels), nn.ReLU())

        assert len(backgrounds) or not layouts, f"layouts is {layouts}; without backgrounds it must be 0, because layouts are read per background"
        self.scenery = nn.Sequential(nn.Conv2d(channels, scenery_channels, 1), nn.Flatten())
        scenery_width = scenery_channels * (sample_size // cell) ** 2
        self.scenery_mlp = nn.Sequential(nn.Linear(scenery_width + self.num_features, width), nn.ReLU())
        self.background = nn.Linear(width, len(backgrounds)) if len(backgrounds) else None
        if self.background is None and not frame_heads:
            self.scenery = self.scenery_mlp = None  # type: ignore[assignment]  # not read
        self.layout = nn.Linear(width, len(backgrounds) * layouts) if layouts else None

        self.heatmaps = nn.Conv2d(channels, count * attention_heads, 1)
        self.contents = nn.Conv2d(channels, width, 1)
        self.who = nn.Parameter(torch.randn(count, width) * 0.02)
        self.character_mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.present = nn.Parameter(torch.randn(count, width) * width**-0.5)
        self.present_bias = nn.Parameter(torch.zeros(count))
        classes = {"garment": garments, "mark": marks, "action": actions, "prop": props, **(character_heads or {})}
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(names)) for name, names in classes.items() if len(names)})
        self.scene_heads = nn.ModuleDict({name: nn.Linear(width, len(names)) for name, names in (frame_heads or {}).items()})
        before = block_out_channels[-2] if fine else 0
        self.lateral = nn.Sequential(BatchNorm(before), nn.ReLU(), nn.Conv2d(before, channels, 1)) if fine else None

    def feature_map(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, H, W) in [-1, 1] → the last feature map (B, C, h, w)."""
        return self.trunk[self.last_level :](self._level_before(frames))

    def _level_before(self, frames: Tensor) -> Tensor:
        size = self.config.sample_size
        frames = frames.to(self.dtype)
        if frames.shape[-2:] != (size, size):
            frames = F.interpolate(frames, (size, size), mode="area")
        x = F.pixel_unshuffle(frames, self.config.pixel_shuffle)
        return self.trunk[: self.last_level](x.contiguous(memory_format=torch.channels_last))

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Frames (B, 3, H, W) in [-1, 1] → logits: characters (B, K), background (B, P), layout (B, P, layouts), other labels of the frame
        (B, classes), those of characters (B, K, classes)."""
        before = self._level_before(frames)
        x = self.trunk[self.last_level :](before)
        logits = {}
        if self.scenery is not None:
            scenery = self.scenery_mlp(torch.cat([self.scenery(x), self._pool(x)], 1))
        if self.background is not None:
            logits["background"] = self.background(scenery)
        if self.layout is not None:
            logits["layout"] = self.layout(scenery).unflatten(1, (-1, self.config.layouts))
        logits |= {name: head(scenery) for name, head in self.scene_heads.items()}
        if self.lateral is not None:
            x = F.relu(F.interpolate(x, scale_factor=2) + self.lateral(before))

        heads = self.config.attention_heads
        where = self.heatmaps(x).flatten(2).unflatten(1, (-1, heads)).softmax(-1)  # (B, K, A, h·w)
        values = self.contents(x).flatten(2).unflatten(1, (heads, -1))  # (B, A, width / A, h·w)
        pooled = torch.einsum("bkan,bawn->bkaw", where, values.to(where.dtype)).flatten(2)  # (B, K, width)
        each = self.character_mlp(pooled + self.who)
        logits["characters"] = (each * self.present).sum(-1) + self.present_bias
        return logits | {name: head(each) for name, head in self.heads.items()}

    @torch.no_grad()
    def read(self, frames: Tensor, batch: int = 256) -> dict[str, Tensor]:
        """Frames (B, 3, H, W) in [-1, 1] → readings on the CPU, in the form of the labels, but of absent characters, too."""
        chunks = [self._decode(self(part.to(self.device))) for part in frames.split(batch)]
        return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}

    @torch.no_grad()
    def features(self, frames: Tensor) -> Tensor:
        """Mean and maximum of each channel of the last map, (B, num_features), of frames (B, 3, H, W) in [-1, 1]; for Fréchet distances."""
        return self._pool(self.feature_map(frames)).float()

    @staticmethod
    def _pool(x: Tensor) -> Tensor:
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)

    @staticmethod
    def _decode(logits: dict[str, Tensor]) -> dict[str, Tensor]:
        readings = {name: x.argmax(-1) for name, x in logits.items() if name != "characters"}
        readings["characters"] = logits["characters"] > 0
        if "layout" in readings:
            readings["layout"] = readings["layout"].gather(1, readings["background"][:, None])[:, 0]
        return {name: x.cpu() for name, x in readings.items()}


def label_names(features: Features, column: str) -> list[str]:
    """Class names of a label column; an empty list if there is no such column."""
    feature: Any = features.get(column)
    while hasattr(feature, "feature"):
        feature = feature.feature
    return list(getattr(feature, "names", []))


def check_labels(evaluator: FrameEvaluator, features: Features) -> None:
    """Raises ValueError if the evaluator reads other characters or backgrounds than the dataset labels."""
    for column, known in (("characters", evaluator.config.characters), ("backgrounds", evaluator.config.backgrounds)):
        if list(known) != (names := label_names(features, column)):
            raise ValueError(f"--evaluator was trained for other {column}, {list(known)}; those of the reference are {names or 'not labelled'}")


def label_heads(features: Features) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Class names of what the `attributes` of a dataset say of frames, and of each character, by name: {"weather": [...]}, {"garment": [...]}.

    These are its class labels, and its lists of them ("garments"), without those of the text and those whose name no head can have."""
    fields = getattr(features.get("attributes"), "feature", None)
    frame: dict[str, list[str]] = {}
    character: dict[str, list[str]] = {}
    for column, feature in fields.items() if isinstance(fields, dict) else ():
        many = hasattr(feature, "feature")
        name, classes = _head(column, many), getattr(feature.feature if many else feature, "names", None)
        if classes and name not in (*OF_THE_TEXT, "layout") and not hasattr(nn.ModuleDict, name) and "." not in name:
            (character if many else frame)[name] = list(classes)
    return frame, character


def _head(column: str, many: bool) -> str:
    return column.removesuffix("s") if many else column


def evaluator_settings(features: Features, sample_size: int, labels: Mapping[str, Tensor] | None = None, fine: bool = False) -> dict[str, Any]:
    """Arguments of `FrameEvaluator` for a dataset: characters, backgrounds, and all that its `attributes` label. labels: `frame_labels` of the
    stories to train on, for the number of layouts; a head none of whose labels is known there is left out. fine: sizes for 128 pixels.

    Raises ValueError if the dataset has no character labels."""
    characters, backgrounds = (label_names(features, column) for column in ("characters", "backgrounds"))
    if not characters:
        raise ValueError("the dataset has no character labels; training an evaluator requires them")
    size = {"sample_size": sample_size, **(FINE if fine else {})}
    if tuple(characters) == CHARACTER_NAMES:
        return size  # the heads of the shipped evaluator
    frame, character = label_heads(features)
    if labels is not None:
        frame, character = ({name: of[name] for name in of if name in labels and (labels[name] != UNKNOWN).any()} for of in (frame, character))
    return {
        "characters": characters,
        "backgrounds": backgrounds,
        "layouts": 0 if labels is None or not backgrounds else max(int(labels["layout"].max()) + 1, 0),
        **{f"{name}s": character.pop(name, ()) for name in HEADS},
        "frame_heads": frame,
        "character_heads": character,
        **size,
    }


def evaluator_loss(logits: dict[str, Tensor], labels: dict[str, Tensor], counts: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum of the heads' losses, and each of them: binary cross-entropy for the characters, cross-entropy over the known labels for the rest.

    counts: mean number of known labels per process, for each head, if several processes share the batch."""
    losses = {}
    for name, x in logits.items():
        x = x.float()
        if name == "characters":
            losses[name] = F.binary_cross_entropy_with_logits(x, labels[name].to(x))
            continue
        label = labels[name].to(x.device)
        if name == "layout":  # the logits of the true background
            x = x[torch.arange(len(x), device=x.device), labels["background"].to(x.device).clamp(min=0)]
        known = ((label != UNKNOWN).sum() if counts is None else counts[name]).clamp(min=1e-6)
        losses[name] = F.cross_entropy(x.flatten(0, -2), label.flatten(), ignore_index=UNKNOWN, reduction="sum") / known
    first, *others = losses.values()
    return sum(others, first), losses


def frame_labels(rows: Iterable[dict], characters: int = len(CHARACTER_NAMES)) -> dict[str, Tensor]:
    """Labels of all F frames of story rows, in order; the rows do not need their `frames`.

    `story` (F,), the index of the row; `position` (F,); `referential` (F,) bool; `characters`, `background` and `layout`; each other attribute that
    is a number of a frame (F,) or of each character (F, K), and `mention` (F, K). `new_name` (F, K) bool, where names are labelled: it is held out
    from training. An attribute that is -1 (the hour on the moon) is UNKNOWN, and so is one of a kind of which a frame shows two that differ in it."""
    facts: list[dict] = []
    single: dict[str, list] = {name: [] for name in ("story", "position", "background", "referential")}
    who: list[list[int]] = []
    for story, row in enumerate(rows):
        count = len(row["sentences"])
        missing = [None] * count
        single["story"] += [story] * count
        single["position"] += range(count)
        single["background"] += row.get("backgrounds") or [UNKNOWN] * count
        single["referential"] += row.get("referential") or [False] * count
        who += [here or [] for here in row.get("characters") or missing]
        facts += [known or {} for known in row.get("attributes") or missing]
    of_frame: dict[str, np.ndarray] = defaultdict(lambda: np.full(len(who), UNKNOWN))
    of_character: dict[str, np.ndarray] = defaultdict(lambda: np.full((len(who), characters), UNKNOWN))
    of_frame["layout"] += 0  # these are there in any case
    for name in (*HEADS, "mention"):
        of_character[name] += 0
    present = np.zeros((len(who), characters), bool)
    for m, (here, known) in enumerate(zip(who, facts, strict=True)):
        present[m] = np.isin(np.arange(characters), here)
        for column, value in known.items():
            if isinstance(value, int):
                of_frame[column][m] = value
            elif here and isinstance(value, list) and len(value) == len(here) and (values := _numbers(column, value)) is not None:
                name = "new_name" if column == "names" else _head(column, many=True)
                line = of_character[name][m]
                line[here] = values
                for k, v in zip(here, values, strict=True) if len({*here}) < len(here) and name not in ("mention", "new_name") else ():
                    line[k] = v if line[k] == v else UNKNOWN
    for name, table in [*of_frame.items(), *of_character.items()]:
        if name != "mention":
            table[table == -1] = UNKNOWN
    if "new_name" in of_character:
        of_character["new_name"] = of_character["new_name"] == 1
    labels = {name: torch.from_numpy(table) for name, table in [*of_frame.items(), *of_character.items()]}
    labels |= {name: torch.tensor(values) for name, values in single.items()}
    return labels | {"characters": torch.from_numpy(present), "referential": labels["referential"].bool()}


def _numbers(column: str, values: list) -> list[int] | None:
    """What is said of the characters of a frame as numbers; None if it is nothing that can be counted."""
    if column == "mentions":  # words in a row made by `story_row`, numbers in a dataset
        return [MENTIONS.index(value) if isinstance(value, str) else value for value in values]
    if column == "names":
        return [int(_is_new(value)) for value in values] if all(isinstance(value, str) for value in values) else None
    return values if all(isinstance(value, int) for value in values) else None


@cache
def _is_new(name: str) -> bool:
    return held_out_name(name)


def reading_accuracy(readings: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, float]:
    """Accuracy of each head: for `characters` the share of frames with exactly the right set, for the rest the share of known labels."""
    accuracy = {"characters": (readings["characters"] == labels["characters"]).all(1).double().mean().item()}
    for name in readings:
        if name != "characters" and name in labels:
            known = labels[name] != UNKNOWN
            accuracy[name] = (readings[name] == labels[name])[known].double().mean().item()
    return accuracy
