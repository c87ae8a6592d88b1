"""StoryGAN (Li et al. 2019, "StoryGAN: A Sequential Conditional GAN for Story Visualization"): the generator, both discriminators, the losses.

    gan = StoryGAN()                                                            # the paper's layer tables; presets.py has other sizes
    noise = gan.draw_noise(stories, frames, torch.Generator().manual_seed(0))   # ε_S, g_0, ε: all noise is given
    frames, code, mean, log_variance = gan(sentences, *noise)                   # sentences (B, M, D) → frames (B, M, 3, 64, 64) in [-1, 1]

or in parts: `encode_story` → h_0 (B, H), `gists` → o_t (B, M, G), `draw` → frames. h_0 depends on the whole story, later sentences included, as in
the paper. Given h_0, frame m depends on the sentences up to m and on no later one. Trained by `training/train_story_gan.py`.

`system` chooses the paper's model or one of the reductions that it measures against:

    story-gan   o_t = Filter(i_t) * h_t       i_t of the GRU, h_t of the Text2Gist cell
    svfn        o_t = Filter(i_t) * h_0       without the Text2Gist cell
    svc         o_t = ReLU(W [h_0; i_t])      the encoded story and the sentence's features, concatenated
    image-gan   o_t = ReLU(W [s_t; h_0; ε_t]) without context encoder, each frame on its own; trained without story discriminator

Sizes are those of the layer tables. Choices where the sources leave something open or disagree:
- S enters the story encoder as the mean of its sentences (the public code), not as a vector of 128 × T (the table), for stories of any length.
- μ and σ are two linear layers after the table's Linear + norm + ReLU ("MLPs"): a ReLU after μ itself could not reach N(0, I).
- Filter: the table computes 1024 numbers from i_t, 16 filters of length 64; h_t and o_t have 128 numbers. This is a convolution (not a product of
  elements, as the report writes it) along h_t with stride 16, which gives 8 numbers a filter. The generator's first layer is a 3 × 3 convolution on
  4 × 4 cells: each filter is a cell with 8 channels. (The public code: filter of h_t, an image of the sentence, and a path of a GRU in addition.)
- D_I reads s_t and h_0 next to the features of each cell (the table: "combines conditional input"; the code multiplies them). No gradient runs
  through h_0 there, or the story encoder would learn to mislead the discriminator by it.
- E_img: [32, 1, 1] and 32 × 4 × T contradict each other; with stride 2 the layer gives [32, 2, 2]. E_txt reads the whole story (the table), not one
  sentence (the text); otherwise D_S would be a sum of independent terms, one a frame. Hence D_S has one story length.
- Sigmoids are in the losses, which take logits.
- norm: "batch" is the table's; "group" and, for discriminators, "spectral" can take its place (norms.py).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from story_ldm.nn.hooks import GRU, entry, with_entries
from story_ldm.nn.norms import norm_layer, normalise_weights
from story_ldm.systems.gans import Discriminator, start_convolutions

SYSTEMS = ("story-gan", "svfn", "svc", "image-gan")
CELLS = 16  # 4 × 4: where the generator starts, and the number of filters


class StoryEncoder(nn.Module):
    """h_0 = μ(S) + σ(S) ⊙ ε_S, ε_S ~ N(0, I)."""

    def __init__(self, sentence_width: int, width: int, norm):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(sentence_width, width, bias=False), norm(width), nn.ReLU())
        self.mean, self.log_variance = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, sentences: Tensor, noise: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """sentences (B, M, D), noise (B, H), mask (B, M) → h_0, μ and log σ², each (B, H)."""
        mask = mask[..., None].to(sentences.dtype)
        x = self.hidden((sentences * mask).sum(1) / mask.sum(1))
        mean, log_variance = self.mean(x), self.log_variance(x)
        return mean + (0.5 * log_variance).exp() * noise, mean, log_variance


class Text2Gist(nn.Module):
    """z_t = σ(W_z i_t + U_z h_{t-1} + b_z), r_t = σ(W_r i_t + U_r h_{t-1} + b_r),
    h_t = (1 - z_t) ⊙ h_{t-1} + z_t ⊙ tanh(W_h i_t + U_h (r_t ⊙ h_{t-1}) + b_h)."""

    def __init__(self, width: int):
        super().__init__()
        self.w = nn.Linear(width, 3 * width)  # W_z, W_r, W_h with their biases
        self.u = nn.Linear(width, 2 * width, bias=False)  # U_z, U_r
        self.u_h = nn.Linear(width, width, bias=False)

    def forward(self, i: Tensor, h: Tensor) -> Tensor:
        """i (B, M, H) and h_0 (B, H) → h_1 … h_M (B, M, H)."""
        states = []
        for wz, wr, wh in zip(*(x.unbind(1) for x in self.w(i).chunk(3, -1)), strict=True):
            uz, ur = self.u(h).chunk(2, -1)
            z, r = torch.sigmoid(wz + uz), torch.sigmoid(wr + ur)
            h = (1 - z) * h + z * torch.tanh(wh + self.u_h(r * h))
            states.append(h)
        return torch.stack(states, 1)


class DynamicFilter(nn.Module):
    """o = Filter(i) * h: i makes CELLS filters of `length` numbers, each of which runs along h and stops `positions` times."""

    def __init__(self, width: int, length: int, positions: int, norm):
        super().__init__()
        self.stride = width // positions
        self.padding = (length - self.stride) // 2
        fits = width == self.stride * positions and length - self.stride == 2 * self.padding >= 0
        assert fits, f"filters of {length} numbers cannot stop {positions} times along {width}"
        self.net = nn.Sequential(nn.Linear(width, CELLS * length, bias=False), norm(CELLS * length), nn.Tanh())

    def forward(self, i: Tensor, h: Tensor) -> Tensor:
        """(N, H), (N, H) → (N, CELLS * positions)."""
        filters = self.net(i).unflatten(1, (CELLS, -1))  # (N, 16, length)
        windows = F.pad(h, (self.padding, self.padding)).unfold(1, filters.shape[-1], self.stride)  # (N, positions, length)
        return (filters @ windows.mT).flatten(1)


class StoryGAN(ModelMixin, ConfigMixin):
    """The generator θ: sentences and noise → frames.

    width: numbers of h, i and g. gist_channels: of each of the 4 × 4 cells of o_t. block_out_channels: at 4 × 4, 8 × 8, …; frames have twice the
    side of the last."""

    @register_to_config
    def __init__(
        self,
        system: str = "story-gan",
        sentence_width: int = 128,
        noise_width: int = 100,
        width: int = 128,
        filter_length: int = 64,
        gist_channels: int = 8,
        block_out_channels: tuple[int, ...] = (512, 256, 128, 64),
        norm: str = "batch",
        norm_num_groups: int = 8,
    ):
        super().__init__()
        assert system in SYSTEMS, f"system is {system!r}; it must be one of {', '.join(SYSTEMS)}"
        make_norm, gist = norm_layer(norm, norm_num_groups), CELLS * gist_channels
        self.story_encoder = StoryEncoder(sentence_width, width, make_norm)
        if system == "image-gan":
            joined = sentence_width + width + noise_width
        else:
            joined = 2 * width
            entry = nn.Linear(sentence_width + noise_width, width, bias=False)
            self.entry = nn.Sequential(entry, make_norm(width), nn.ReLU())
            self.gru = GRU(width, width, batch_first=True)
        if system in ("svc", "image-gan"):
            self.join = nn.Sequential(nn.Linear(joined, gist, bias=False), make_norm(gist), nn.ReLU())
        else:
            self.filter = DynamicFilter(width, filter_length, gist_channels, make_norm)
        if system == "story-gan":
            self.text2gist = Text2Gist(width)

        layers: list[nn.Module] = []
        before = gist_channels
        for out in block_out_channels:
            layers += [nn.Conv2d(before, out, 3, padding=1, bias=False), make_norm(out), nn.ReLU(), nn.Upsample(scale_factor=2)]
            before = out
        self.image_generator = nn.Sequential(*layers, nn.Conv2d(before, 3, 3, padding=1), nn.Tanh())
        start_convolutions(self)

    def draw_noise(self, stories: int, frames: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """ε_S and g_0 (B, H) and ε_1 … ε_M (B, M, Z), all from N(0, I). Every system draws all of it, and so has the same where it needs it."""
        width, noise = self.config.width, self.config.noise_width
        return tuple(torch.randn(shape, generator=generator) for shape in ((stories, width), (stories, width), (stories, frames, noise)))

    @entry
    def encode_story(self, sentences: Tensor, story_noise: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """h_0, μ(S) and log σ²(S), each (B, H). mask (B, M): where there is a sentence; everywhere, by default."""
        mask = sentences.new_ones(sentences.shape[:2]) if mask is None else mask
        with torch.autocast(sentences.device.type, enabled=False):  # small, and the KL term needs float32
            return self.story_encoder(sentences.to(self.dtype), story_noise.to(self.dtype), mask)

    @entry
    def gists(self, sentences: Tensor, code: Tensor, state_noise: Tensor, frame_noise: Tensor) -> Tensor:
        """The context encoder: i_t, g_t = GRU(s_t, ε_t, g_{t-1}); h_t = Text2Gist(i_t, h_{t-1}); o_t = Filter(i_t) * h_t.

        sentences (B, M, D), h_0 and g_0 (B, H), ε (B, M, Z) → o (B, M, G)."""
        with torch.autocast(sentences.device.type, enabled=False):  # small, and long chains of products
            x = torch.cat([sentences, frame_noise], -1).to(self.dtype)
            code = code.to(self.dtype)
            stories, frames, _ = x.shape
            h = code[:, None].expand(-1, frames, -1)
            if self.config.system == "image-gan":
                return self.join(torch.cat([x, h], -1).flatten(0, 1)).view(stories, frames, -1)
            x = self.entry(x.flatten(0, 1)).view(stories, frames, -1)
            i, _ = self.gru(x, state_noise[None].to(x))
            if self.config.system == "svc":
                return self.join(torch.cat([h, i], -1).flatten(0, 1)).view(stories, frames, -1)
            if self.config.system == "story-gan":
                h = self.text2gist(i, code)
            return self.filter(i.flatten(0, 1), h.flatten(0, 1)).view(stories, frames, -1)

    @entry
    def draw(self, gists: Tensor) -> Tensor:
        """o (N, G) → frames (N, 3, H, W) in [-1, 1]."""
        cells = gists.view(len(gists), 4, 4, -1).permute(0, 3, 1, 2)  # a filter is a cell, its stops are channels; (N, C, 4, 4), channels last
        return self.image_generator(cells)

    @with_entries
    def forward(
        self, sentences: Tensor, story_noise: Tensor, state_noise: Tensor, frame_noise: Tensor, positions: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Frames (B, M, 3, H, W), h_0, μ and log σ² (B, H); with positions (B,), of each story that frame alone, (B, 3, H, W)."""
        code, mean, log_variance = self.encode_story(sentences, story_noise)
        gists = self.gists(sentences, code, state_noise, frame_noise)
        if positions is None:
            frames = self.draw(gists.flatten(0, 1)).unflatten(0, gists.shape[:2])
        else:
            frames = self.draw(gists[torch.arange(len(gists), device=gists.device), positions])
        return frames, code, mean, log_variance


class ImageDiscriminator(Discriminator):
    """D_I(x_t, s_t, h_0): does this frame belong to this sentence of this story? Condition: [s_t; h_0] (B, D + H)."""

    @register_to_config
    def __init__(
        self,
        sentence_width: int = 128,
        width: int = 128,
        block_out_channels: tuple[int, ...] = (64, 128, 256, 512),
        norm: str = "batch",
        norm_num_groups: int = 8,
    ):
        super().__init__()
        make_norm, channels = norm_layer(norm, norm_num_groups), block_out_channels[-1]
        self.frame_encoder = frame_encoder(block_out_channels, make_norm)
        join = nn.Conv2d(channels + sentence_width + width, channels, 3, padding=1, bias=False)
        self.join = nn.Sequential(join, make_norm(channels), nn.LeakyReLU(0.2))
        self.logit = nn.Conv2d(channels, 1, 4)
        start_convolutions(self)
        if norm == "spectral":
            normalise_weights(self)

    def encode(self, frames: Tensor) -> Tensor:
        return self.frame_encoder(frames.to(self.dtype))  # (B, C, 4, 4)

    def judge(self, features: Tensor, condition: Tensor) -> Tensor:
        everywhere = condition.to(features.dtype)[:, :, None, None].expand(-1, -1, *features.shape[2:])
        return self.logit(self.join(torch.cat([features, everywhere], 1))).flatten().float()


class StoryDiscriminator(Discriminator):
    """D_S = σ(wᵀ (E_img(X) ⊙ E_txt(S)) + b), without the σ: do these frames belong to this story? Condition: S (B, T, D)."""

    @register_to_config
    def __init__(
        self,
        sentence_width: int = 128,
        story_length: int = 5,
        block_out_channels: tuple[int, ...] = (64, 128, 256, 512),
        features: int = 32,
        norm: str = "batch",
        norm_num_groups: int = 8,
    ):
        super().__init__()
        make_norm, total = norm_layer(norm, norm_num_groups), 4 * features * story_length
        last = nn.Conv2d(block_out_channels[-1], features, 4, stride=2, padding=1, bias=False)
        self.frame_encoder = nn.Sequential(*frame_encoder(block_out_channels, make_norm), last, make_norm(features))
        self.text = nn.Sequential(nn.Linear(sentence_width * story_length, total, bias=False), make_norm(total))
        self.logit = nn.Linear(total, 1)
        start_convolutions(self)
        if norm == "spectral":
            normalise_weights(self)

    def encode(self, frames: Tensor) -> Tensor:
        x = self.frame_encoder(frames.flatten(0, 1).to(self.dtype))  # (B * T, 32, 2, 2)
        return x.reshape(len(frames), -1)  # (B, T * 32 * 4): the frames of a story one after another

    def judge(self, features: Tensor, condition: Tensor) -> Tensor:
        return self.logit(features * self.text(condition.flatten(1).to(self.dtype)))[:, 0].float()


def frame_encoder(widths: tuple[int, ...], make_norm) -> nn.Sequential:
    """Frames (N, 3, H, W) → (N, C, 4, 4): layers 1 to 4 of both discriminators."""
    layers: list[nn.Module] = []
    for before, out in zip((3, *widths), widths):
        layers += [nn.Conv2d(before, out, 4, stride=2, padding=1, bias=False), make_norm(out), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """L_KL = KL(N(μ, diag σ²) || N(0, I)) = ½ Σ (μ² + σ² - log σ² - 1): (B, H) → (B,)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1).sum(-1)
