"""The dynamic-block GAN (Li and Lukasiewicz 2022, "Learning to Model Multimodal Semantic Alignment for Story Visualization"): block, generator and
the discriminator.

    words, sentences = read_words(...)                                                  # encoders/sentence_vectors.py; (B, M, L, D) and (B, M, D)
    gan = DynamicBlockGAN()                                                             # presets.py has the paper's size
    story_noise = gan.draw_noise(stories, torch.Generator().manual_seed(0))             # z (B, Z): all noise is given
    frames = gan(sentences, words, mask, story_noise, gan.draw_gumbel(stories, frames, generator))   # soft choice, as in training
    frames = gan(sentences, words, mask, story_noise)                                   # hard choice → (B, M, 3, 64, 64) in [-1, 1]

Given the Gumbel noise a block weighs both attentions (Eq. 2); without it, it chooses one (Eq. 3) and is deterministic. Trained by
`training/train_dynamic_block_gan.py`. `attention` is "both", "sa", "wsa" or "none" (no blocks); `SYSTEMS` gives the ablations of Table 2.

The code of the paper was never published, and its text leaves much open. Choices, with reasons:
- "Share the same attention weights": a = W_a x of the image features x and h's way back into them, W_o, are shared by both attentions. In SA b is a
  itself, as the text says; in WSA b is the words, projected to a's width. No scale factor: β = softmax(a bᵀ) has none, W_a learns it.
- h enters the network as x + W_o h, which lets a block leave x unchanged (as in the self-attention GAN, which the paper cites).
- ā b̄ is the dot product of the means over pixels and over the sentence's words, one number a frame; b is the words there, since ā ā ≥ 0 would
  always choose SA. Eq. 1 writes one z in both terms, which would cancel out, and its parentheses are misprinted: as in Jang et al. 2016, which it
  cites, each choice has noise of its own. τ = 1 throughout. At inference there is no noise (z = 0): SA where w > ½.
- Where: the text does not describe Fig. 1. There is a block at every scale up to 16 × 16 (pororo: 32 × 32), the "semantic depths" to choose
  from; at 64 × 64 SA would compare 17 million pairs of pixels.
- Consistency within a story: "we feed these n sentence vectors into the generation pipeline". Each frame is drawn from [s_t; c_t; z]. z ~ N(0, I) is
  drawn once a story and shared by its frames: details that no sentence mentions (a layout, a hat) can be the same in all. c_t = GRU(s_t, c_{t-1}),
  since the vector of "She waves there." alone does not suffice. Both work for stories of any length, and no later sentence is used.
- The discriminator has blocks with the words of each sentence, and at 4 × 4 joins features, s_t and a c_t of its own, where sentences
  enter in the methods that the text cites. It also joins the mean of these features over the story, or frames that do not belong together would
  each pass; this needs no second GAN. It gives one logit a frame.
- Table 2: "w/o both Attn" has no block at all (Sec. 4.6). The objective is StoryGAN's with wrong pairs ("the training procedure of
  GANs"), without its KL term. Norms, which it does not mention: nn/norms.py.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from story_ldm.nn.hooks import GRU, entry, with_entries
from story_ldm.nn.norms import norm_layer, normalise_weights
from story_ldm.systems.gans import Discriminator, start_convolutions

ATTENTIONS = ("both", "sa", "wsa", "none")
SYSTEMS = {  # attention in the generator and in the discriminator; the rows of Table 2
    "dynamic-block": ("both", "both"),
    "no-attention": ("none", "none"),
    "sa-only": ("sa", "sa"),
    "wsa-only": ("wsa", "wsa"),
    "no-block-in-g": ("none", "both"),
    "no-block-in-d": ("both", "none"),
}


def attend(a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
    """β = softmax(a bᵀ), h = β b: a (N, P, C), b (N, L, C) → h (N, P, C). mask (N, L) bool: True where b is a token; all, by default."""
    mask = None if mask is None else mask[:, None]  # (N, 1, L): the same for every pixel
    if a.device.type == "cpu":  # in bfloat16 three times as fast as the fused kernel, which a GPU needs for its memory and fp16 for its range
        scores = a @ b.mT if mask is None else (a @ b.mT).masked_fill(~mask, float("-inf"))
        return scores.softmax(-1).to(b.dtype) @ b
    return F.scaled_dot_product_attention(a[:, None], b[:, None], b[:, None], attn_mask=None if mask is None else mask[:, None], scale=1.0)[:, 0]


def correlation(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """ā b̄, of which w is the sigmoid: a (N, P, C), b (N, L, C), mask (N, L) → (N,), in float32."""
    a, b, mask = a.float(), b.float(), mask[..., None].float()
    return (a.mean(1) * (b * mask).sum(1) / mask.sum(1)).sum(-1)


def choice(ab: Tensor, gumbel: Tensor | None, temperature: float) -> Tensor:
    """Eq. 1, p(SA) and p(WSA) = softmax((log w + z_SA) / τ, (log(1 - w) + z_WSA) / τ): ā b̄ (N,), z (N, 2) or None → (N, 2)."""
    log_w = torch.stack([F.logsigmoid(ab), F.logsigmoid(-ab)], -1)  # log w and log(1 - w)
    return ((log_w if gumbel is None else log_w + gumbel) / temperature).softmax(-1)


def gumbel_noise(shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """z = -log(-log μ), μ ~ U(0, 1)."""
    return -(-torch.rand(shape, generator=generator).clamp(min=torch.finfo().tiny).log()).log()


class DynamicBlock(nn.Module):
    """x + W_o h, with h of self-attention, of word-level spatial attention, or of a choice between them."""

    def __init__(self, channels: int, word_width: int, width: int, attention: str, temperature: float):
        super().__init__()
        self.attention, self.temperature = attention, temperature
        self.image = nn.Conv2d(channels, width, 1)
        if attention != "sa":
            self.words = nn.Linear(word_width, width)
        self.out = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor, words: Tensor, mask: Tensor, gumbel: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (N, C, H, W), words (N, L, D), mask (N, L) bool, z (N, 2) → the shape of x, and ā b̄ (N,), zero for a block of one attention."""
        a = self.image(x).flatten(2).transpose(1, 2)  # (N, C', H, W) → (N, P, C')
        b = a if self.attention == "sa" else self.words(words.to(x.dtype)).to(a.dtype)
        ab = a.new_zeros(len(a)).float()
        if self.attention == "sa":
            h = attend(a, a)
        elif self.attention == "wsa":
            h = attend(a, b, mask)
        else:
            ab = correlation(a, b, mask)
            sa, wsa = attend(a, a), attend(a, b, mask)
            if gumbel is None:
                h = torch.where((ab > 0)[:, None, None], sa, wsa)  # Eq. 3: w > ½, in float32, for in half precision p(SA) and p(WSA) may be equal
            else:
                p = choice(ab, gumbel, self.temperature)[..., None, None].to(a.dtype)  # (N, 2, 1, 1)
                h = p[:, 0] * sa + p[:, 1] * wsa  # Eq. 2
        return x + self.out(h.transpose(1, 2).unflatten(2, x.shape[2:])), ab


class Levels(nn.ModuleDict):
    """Layers in order, by the size of their output map; a block for this size follows its layer."""

    def sizes(self, blocks: nn.ModuleDict) -> list[int]:
        """Sizes of the maps that have a block, in the order of the layers."""
        return [int(size) for size in self if size in blocks]

    def through(self, blocks: nn.ModuleDict, x: Tensor, words: Tensor, mask: Tensor, gumbel: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (N, …), words (N, L, D), mask (N, L), z (N, K, 2) of K blocks → features (N, C, H, W) and ā b̄ (N, K)."""
        correlations: list[Tensor] = []
        for size, layer in self.items():
            x = layer(x)
            if size in blocks:
                x, ab = blocks[size](x, words, mask, None if gumbel is None else gumbel[:, len(correlations)])
                correlations.append(ab)
        return x, torch.stack(correlations, 1) if correlations else x.new_zeros(len(x), 0)


class DynamicBlockGAN(ModelMixin, ConfigMixin):
    """The generator: sentences, words and noise → frames.

    block_out_channels: at 4 × 4, 8 × 8, …; frames have twice the side of the last. attention_sizes: of the maps that have a
    block. attention_width: of a and b."""

    @register_to_config
    def __init__(
        self,
        attention: str = "both",
        sentence_width: int = 128,
        noise_width: int = 100,
        context_width: int = 128,
        block_out_channels: tuple[int, ...] = (512, 256, 128, 64),
        attention_sizes: tuple[int, ...] = (4, 8, 16),
        attention_width: int = 64,
        temperature: float = 1.0,
        norm: str = "batch",
        norm_num_groups: int = 8,
    ):
        super().__init__()
        make_norm, first = norm_layer(norm, norm_num_groups), block_out_channels[0]
        self.context = GRU(sentence_width, context_width, batch_first=True)
        entry = nn.Linear(sentence_width + context_width + noise_width, 16 * first, bias=False)
        levels = {"4": nn.Sequential(entry, nn.Unflatten(1, (first, 4, 4)), make_norm(first), nn.ReLU())}
        for n, (before, out) in enumerate(pairwise(block_out_channels), start=1):
            convolution = nn.Conv2d(before, out, 3, padding=1, bias=False)
            levels[str(4 * 2**n)] = nn.Sequential(nn.Upsample(scale_factor=2), convolution, make_norm(out), nn.ReLU())
        self.levels = Levels(levels)
        channels = dict(zip(levels, block_out_channels))
        self.blocks = dynamic_blocks(channels, attention, attention_sizes, sentence_width, attention_width, temperature)
        self.last = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(block_out_channels[-1], 3, 3, padding=1), nn.Tanh())
        start_convolutions(self)

    def draw_noise(self, stories: int, generator: torch.Generator | None = None) -> Tensor:
        """z (B, Z) ~ N(0, I)."""
        return torch.randn(stories, self.config.noise_width, generator=generator)

    def draw_gumbel(self, stories: int, frames: int, generator: torch.Generator | None = None) -> Tensor:
        """(B, M, K, 2): for each frame, block and choice."""
        return gumbel_noise((stories, frames, len(self.blocks), 2), generator)

    @entry
    def entries(self, sentences: Tensor, story_noise: Tensor) -> Tensor:
        """[s_t; c_t; z], c_t = GRU(s_t, c_{t-1}): sentences (B, M, D), z (B, Z) → (B, M, E)."""
        z = story_noise.to(self.dtype)[:, None].expand(-1, sentences.shape[1], -1)
        return torch.cat([in_context(self.context, sentences.to(self.dtype)), z], -1)

    @entry
    def draw(self, entries: Tensor, words: Tensor, mask: Tensor, gumbel: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """entries (N, E), words (N, L, D), mask (N, L), z (N, K, 2) → frames (N, 3, H, W) in [-1, 1] and ā b̄ of each block (N, K)."""
        x, ab = self.levels.through(self.blocks, entries, words, mask, gumbel)
        return self.last(x), ab

    @with_entries
    def forward(self, sentences: Tensor, words: Tensor, mask: Tensor, story_noise: Tensor, gumbel: Tensor | None = None) -> Tensor:
        """sentences (B, M, D), words (B, M, L, D), mask (B, M, L) bool, z (B, Z), Gumbel noise (B, M, K, 2) or none → (B, M, 3, H, W)."""
        entries = self.entries(sentences, story_noise).flatten(0, 1)
        frames, _ = self.draw(entries, words.flatten(0, 1), mask.flatten(0, 1), None if gumbel is None else gumbel.flatten(0, 1))
        return frames.unflatten(0, sentences.shape[:2])


class DynamicBlockDiscriminator(Discriminator):
    """Does each frame belong to its sentence and to its story? Condition: sentences (B, M, D), words (B, M, L, D), mask (B, M, L) and the Gumbel
    noise (B, M, K, 2) or None; frames (B, M, 3, H, W); logits (B * M,)."""

    @register_to_config
    def __init__(
        self,
        attention: str = "both",
        sentence_width: int = 128,
        context_width: int = 128,
        block_out_channels: tuple[int, ...] = (64, 128, 256, 512),
        attention_sizes: tuple[int, ...] = (4, 8, 16),
        attention_width: int = 64,
        temperature: float = 1.0,
        norm: str = "batch",
        norm_num_groups: int = 8,
    ):
        super().__init__()
        make_norm, last = norm_layer(norm, norm_num_groups), block_out_channels[-1]
        channels = {str(4 * 2**n): out for n, out in enumerate(reversed(block_out_channels))}
        self.blocks = dynamic_blocks(channels, attention, attention_sizes, sentence_width, attention_width, temperature)
        stem: list[nn.Module] = []
        levels: dict[str, nn.Module] = {}
        before = 3
        for size, out in reversed(channels.items()):
            layer = nn.Sequential(nn.Conv2d(before, out, 4, stride=2, padding=1, bias=False), make_norm(out), nn.LeakyReLU(0.2))
            if size in self.blocks or levels:
                levels[size] = layer
            else:
                stem.append(layer)
            before = out
        self.stem, self.levels = nn.Sequential(*stem), Levels(levels)  # layers before the first block, and the rest
        self.context = GRU(sentence_width, context_width, batch_first=True)
        join = nn.Conv2d(2 * last + sentence_width + context_width, last, 3, padding=1, bias=False)
        self.join = nn.Sequential(join, make_norm(last), nn.LeakyReLU(0.2))
        self.logit = nn.Conv2d(last, 1, 4)
        start_convolutions(self)
        if norm == "spectral":
            normalise_weights(self)

    def encode(self, frames: Tensor) -> Tensor:
        """Features of each frame before any word is read, (B, M, C, H, W): they do not depend on the condition."""
        return self.stem(frames.flatten(0, 1).to(self.dtype)).unflatten(0, frames.shape[:2])

    def read(self, features: Tensor, condition: tuple) -> tuple[Tensor, Tensor]:
        """Features (B * M, C, 4, 4) and ā b̄ of each block (B * M, K)."""
        _, words, mask, gumbel = condition
        words, mask = words.flatten(0, 1), mask.flatten(0, 1)
        return self.levels.through(self.blocks, features.flatten(0, 1), words, mask, None if gumbel is None else gumbel.flatten(0, 1))

    def judge(self, features: Tensor, condition: tuple) -> Tensor:
        x, _ = self.read(features, condition)
        story = x.unflatten(0, features.shape[:2]).mean(1, keepdim=True).expand(-1, features.shape[1], -1, -1, -1).flatten(0, 1)
        text = in_context(self.context, condition[0].to(self.dtype)).flatten(0, 1).to(x.dtype)
        everywhere = text[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return self.logit(self.join(torch.cat([x, story, everywhere], 1))).flatten().float()


def in_context(gru: GRU, sentences: Tensor) -> Tensor:
    """[s_t; c_t] of sentences (B, M, D) → (B, M, D + C)."""
    with torch.autocast(sentences.device.type, enabled=False):  # small, and long chains of products
        return torch.cat([sentences, gru(sentences)[0]], -1)


def dynamic_blocks(
    channels: dict[str, int], attention: str, sizes: tuple[int, ...], word_width: int, width: int, temperature: float
) -> nn.ModuleDict:
    """The blocks of a network, in the order of its levels. channels: by the size of each level's map."""
    assert attention in ATTENTIONS, f"attention is {attention!r}; it must be one of {', '.join(ATTENTIONS)}"
    assert temperature > 0, f"temperature is {temperature}; it must be above 0"
    odd = [size for size in sizes if str(size) not in channels]
    assert not odd, f"attention_sizes has {odd[0]}; maps have the sizes {', '.join(channels)}"
    chosen = {} if attention == "none" else {size: count for size, count in channels.items() if int(size) in sizes}
    return nn.ModuleDict({size: DynamicBlock(count, word_width, width, attention, temperature) for size, count in chosen.items()})
