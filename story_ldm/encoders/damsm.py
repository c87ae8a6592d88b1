"""Matched encoders of sentences and frames: DAMSM, the deep attentional multimodal similarity model (AttnGAN, Xu et al. 2018, Sec. 3.2).

    text_encoder, image_encoder, tokenizer = load_damsm("runs/damsm/damsm")
    words, sentence = text_encoder(*tokenize(tokenizer, ["Bruno waves.", "He sits down."]))    # (B, L, D), (B, D): input of the GANs
    regions, image = image_encoder(frames)                                                     # frames (B, 3, H, W) in [-1, 1]
    cosines = sentence_frame_cosines(embed_sentences(text_encoder, tokenizer, sentences), embed_frames(image_encoder, frames))

`training/train_damsm.py` trains both encoders jointly: it aligns each sentence with its frame, and each word with the regions that show it.
`story_ldm.metrics.matching` uses them to measure how well frames match their sentences.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import CLIPTokenizer

from story_ldm.files import json_object
from story_ldm.model_folders import open_local
from story_ldm.nn.hooks import LSTM
from story_ldm.nn.layers import ResidualBlock

ENCODER_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
PARTS = {"text_encoder": ENCODER_FILES, "image_encoder": ENCODER_FILES, "tokenizer": ("tokenizer.json", "tokenizer_config.json")}


class DAMSMTextEncoder(ModelMixin, ConfigMixin):
    """Token embeddings and one bidirectional LSTM with D/2 units per direction.

    A word vector concatenates the outputs of both directions at its token; the sentence vector concatenates their last states.
    dropout: share of the embedding values that training drops. `forward` takes the random draws, because they depend on (seed, step) only."""

    @register_to_config
    def __init__(self, vocab_size: int, width: int = 128, embedding_width: int = 64, dropout: float = 0.2):
        super().__init__()
        assert width % 2 == 0, f"width is {width}; it must be even, for two LSTM directions of half the width"
        self.embedding = nn.Embedding(vocab_size, embedding_width)
        self.lstm = LSTM(embedding_width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, ids: Tensor, mask: Tensor, draws: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """ids and mask (B, L) → words (B, L, D), zero at padding, and sentences (B, D). The mask is 1 for tokens; padding comes after them.

        draws (B, L, embedding_width), uniform in [0, 1): embedding values whose draw is below `dropout` are dropped; None drops nothing."""
        x = self.embedding(ids)
        if draws is not None:
            x = x * (draws >= self.config.dropout) / (1 - self.config.dropout)
        # packed: the backward direction must start at the sentence's last token, not at padding
        packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        with torch.autocast(x.device.type, enabled=False):  # cheap, and rounding would add up over the time steps
            words, (last, _) = self.lstm(packed)
        words, _ = pad_packed_sequence(words, batch_first=True, total_length=ids.shape[1])
        return words, last.transpose(0, 1).flatten(1)  # (2, B, D/2) → (B, D)


class GroupNormBlock(ResidualBlock):
    """The evaluator's block with group norm: the features of a frame depend neither on the rest of its batch nor on the number of processes."""

    def __init__(self, channels: int, groups: int):
        super().__init__(channels)
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)  # type: ignore[assignment]


class DAMSMImageEncoder(ModelMixin, ConfigMixin):
    """Pixel-unshuffle and levels of residual convolutions, as in the frame evaluator, then two outputs from the last map (C, 8, 8): a vector for
    each of its 64 cells (the regions), and one for the frame. Pixel coordinates are input channels: a jump, say, shows in a character's height."""

    @register_to_config
    def __init__(
        self,
        width: int = 128,
        sample_size: int = 64,
        pixel_shuffle: int = 2,
        block_out_channels: tuple[int, ...] = (32, 64, 128),
        layers_per_block: tuple[int, ...] = (0, 1, 1),
        norm_num_groups: int = 8,
    ):
        super().__init__()
        cell = pixel_shuffle * 2 ** (len(block_out_channels) - 1)
        assert sample_size % cell == 0, f"sample_size is {sample_size}; it must be divisible by {cell}"
        assert len(layers_per_block) == len(block_out_channels), "layers_per_block and block_out_channels must have the same length"
        channels, groups = block_out_channels[-1], norm_num_groups
        layers: list[nn.Module] = []
        before = 3 * pixel_shuffle**2 + 2
        for level, (out, blocks) in enumerate(zip(block_out_channels, layers_per_block, strict=True)):
            layers += [nn.Conv2d(before, out, 3, stride=1 if level == 0 else 2, padding=1)]
            layers += [nn.GroupNorm(groups, out), nn.ReLU()] if blocks == 0 else [GroupNormBlock(out, groups) for _ in range(blocks)]
            before = out
        self.trunk = nn.Sequential(*layers, nn.GroupNorm(groups, channels), nn.ReLU())
        self.regions = nn.Conv2d(channels, width, 1)
        self.image = nn.Sequential(nn.Linear(2 * channels, 2 * channels), nn.ReLU(), nn.Linear(2 * channels, width))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, 3, H, W) in [-1, 1] → regions (B, N, D), N = 64 cells in row-major order, and images (B, D)."""
        size = self.config.sample_size
        frames = frames.to(self.dtype)
        if frames.shape[-2:] != (size, size):
            frames = F.interpolate(frames, (size, size), mode="area")
        x = F.pixel_unshuffle(frames, self.config.pixel_shuffle)
        line = torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype, device=x.device)
        place = torch.stack(torch.meshgrid(line, line, indexing="ij")).expand(len(x), -1, -1, -1)  # (B, 2, H', W')
        x = self.trunk(torch.cat([x, place], 1).contiguous(memory_format=torch.channels_last))
        regions = self.regions(x).flatten(2).transpose(1, 2)  # (B, D, 8, 8) → (B, N, D)
        return regions, self.image(torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1))


def word_scores(words: Tensor, mask: Tensor, regions: Tensor, gamma1: float, gamma2: float) -> Tensor:
    """Score R(Q, D) of every sentence with every frame at the word level: words (S, L, D), mask (S, L), regions (F, N, D) → (S, F)."""
    lengths = mask.sum(1)
    order = lengths.argsort(stable=True)
    # sentences of similar length together; otherwise most of the work would be padding
    parts = [(rows, int(lengths[rows[-1]])) for rows in order.chunk(8)]
    scores = [_word_scores(words[rows, :longest], mask[rows, :longest].bool(), regions, gamma1, gamma2) for rows, longest in parts]
    return torch.cat(scores)[order.argsort()]


def _word_scores(words: Tensor, mask: Tensor, regions: Tensor, gamma1: float, gamma2: float) -> Tensor:
    shape = (len(regions), *mask.shape, -1)
    s = words.flatten(0, 1) @ regions.mT  # Eq. 7, s_ij = e_i · v_j: (F, S*L, N)
    normed = s.view(shape).masked_fill(~mask[:, :, None], float("-inf")).softmax(2)  # Eq. 8, over the words of a sentence
    attention = (gamma1 * normed).softmax(-1).flatten(1, 2)  # Eq. 9, α_ij, over the regions of a frame
    # The cosine of e_i and c_i = Σ_j α_ij v_j, without storing c_i (F, S*L, D): e_i · c_i = Σ_j α_ij s_ij and |c_i|² = α_i · (v vᵀ) α_i
    length = (attention * (attention @ (regions @ regions.mT))).sum(-1).clamp(min=1e-12).sqrt()
    cosine = (attention * s).sum(-1) / (length * words.flatten(0, 1).norm(dim=-1).clamp(min=1e-6))
    exponents = (gamma2 * cosine.view(shape[:3])).masked_fill(~mask, float("-inf"))
    return exponents.logsumexp(-1).T / gamma2  # Eq. 10


def matching_loss(scores: Tensor, same: Tensor | None, gamma3: float) -> Tensor:
    """Scores R (B, B) of sentences with frames → -log P(D_i | Q_i) - log P(Q_i | D_i), mean over i (Eqs. 11 to 13; AttnGAN has the sum).

    same (B, B) bool: pairs off the diagonal that match, too; they are left out of the denominators."""
    logits = gamma3 * scores
    if same is not None:
        logits = logits.masked_fill(same & ~torch.eye(len(same), dtype=torch.bool, device=same.device), float("-inf"))
    own = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)


def damsm_loss(
    words: Tensor,
    mask: Tensor,
    sentence: Tensor,
    regions: Tensor,
    image: Tensor,
    same: Tensor | None = None,
    gammas: tuple[float, float, float] = (4.0, 5.0, 10.0),
) -> tuple[Tensor, dict[str, Tensor]]:
    """Eqs. 7 to 13 for B sentences and their frames: words (B, L, D), mask (B, L), sentence (B, D), regions (B, N, D), image (B, D).

    Returns the loss and its parts: `word`, `sentence`, and `top1`, the share of frames whose own sentence is the nearest in the batch.
    same (B, B) bool: sentence i also matches frame j; such pairs are left out of the denominators. All in float32.
    gammas: γ1, γ2, γ3 of AttnGAN's code (its paper has γ1 = 5). Eq. 10 follows the paper: the code omits its 1/γ2, which makes the effective γ3
    five times as large for words as for sentences.
    """
    gamma1, gamma2, gamma3 = gammas
    with torch.autocast(words.device.type, enabled=False):
        words, sentence, regions, image = (x.float() for x in (words, sentence, regions, image))
        cosines = F.normalize(sentence, dim=-1) @ F.normalize(image, dim=-1).T  # R of the sentence level
        parts = {
            "word": matching_loss(word_scores(words, mask, regions, gamma1, gamma2), same, gamma3),
            "sentence": matching_loss(cosines, same, gamma3),
        }
    if same is not None:
        cosines = cosines.masked_fill(same & ~torch.eye(len(same), dtype=torch.bool, device=same.device), float("-inf"))
    top1 = (cosines.argmax(0) == torch.arange(len(cosines), device=cosines.device)).float().mean()
    return parts["word"] + parts["sentence"], parts | {"top1": top1}


def tokenize(tokenizer: CLIPTokenizer, sentences: list[str]) -> tuple[Tensor, Tensor]:
    """Token ids and mask (B, L), padded on the right to the longest sentence. There is no length limit: an LSTM reads any length."""
    tokens = tokenizer(sentences, padding=True, padding_side="right", verbose=False)
    return torch.tensor(tokens.input_ids), torch.tensor(tokens.attention_mask)


@torch.no_grad()
def embed_sentences(text_encoder: DAMSMTextEncoder, tokenizer: CLIPTokenizer, sentences: list[str], batch: int = 512) -> Tensor:
    """Sentence vectors (F, D) of F sentences, on the CPU."""
    parts = [tokenize(tokenizer, sentences[n : n + batch]) for n in range(0, len(sentences), batch)]
    return torch.cat([text_encoder(ids.to(text_encoder.device), mask)[1].float().cpu() for ids, mask in parts])


@torch.no_grad()
def embed_frames(image_encoder: DAMSMImageEncoder, frames: Tensor, batch: int = 256) -> Tensor:
    """Image vectors (F, D) of frames (F, 3, H, W) in [-1, 1], on the CPU."""
    return torch.cat([image_encoder(part.to(image_encoder.device))[1].float().cpu() for part in frames.split(batch)])


def load_damsm(folder: str | Path) -> tuple[DAMSMTextEncoder, DAMSMImageEncoder, CLIPTokenizer]:
    """Text encoder, image encoder and tokenizer from a folder of train_damsm.py, in evaluation mode and float32, whatever precision is stored.

    Raises FileNotFoundError if a part is missing, ValueError if the parts do not belong together."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; training/train_damsm.py writes its encoders to <output>/damsm")
    missing = [f"{part}/{file}" for part, files in PARTS.items() for file in files if not (folder / part / file).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}; a DAMSM folder has {', '.join(PARTS)}")
    encoders = []
    for part, kind in (("text_encoder", DAMSMTextEncoder), ("image_encoder", DAMSMImageEncoder)):
        name = json_object(folder / part / "config.json").get("_class_name")
        if name != kind.__name__:
            raise ValueError(f"{folder / part} holds a {name}, not a {kind.__name__}")
        encoder = open_local(kind, folder / part, dtype=torch.float32).eval()
        for weight in encoder.parameters():  # copied: in the mapped file they are unaligned, and matrix products on a CPU round differently
            weight.data = weight.data.clone()
        encoders.append(encoder)
    text_encoder, image_encoder = encoders
    tokenizer = open_local(CLIPTokenizer, folder / "tokenizer")
    if len(tokenizer) != text_encoder.config.vocab_size:
        raise ValueError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, the text encoder {text_encoder.config.vocab_size}")
    if text_encoder.config.width != image_encoder.config.width:
        raise ValueError(f"{folder}: sentence vectors have width {text_encoder.config.width}, image vectors {image_encoder.config.width}")
    return text_encoder, image_encoder, tokenizer
