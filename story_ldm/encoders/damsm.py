"""Matched encoders of sentences and frames: DAMSM, the deep attentional multimodal similarity model (AttnGAN, Xu et al. 2018, Sec. 3.2).

    text_encoder, image_encoder, tokenizer = load_damsm("runs/damsm/damsm")
    words, sentence = text_encoder(*tokenize(tokenizer, ["Bruno waves.", "He sits down."]))    # (B, L, D), (B, D): what the GANs read
    regions, image = image_encoder(frames)                                                     # frames (B, 3, H, W) in [-1, 1]
    cosines = sentence_frame_cosines(embed_sentences(text_encoder, tokenizer, sentences), embed_frames(image_encoder, frames))

Trained by `training/train_damsm.py`, together: a sentence and its frame come near each other, and so do a word and the regions that show it.
`story_ldm.metrics.matching` measures stories with them.
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

from story_ldm.encoders.evaluator import ResidualBlock

ENCODER_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
PARTS = {"text_encoder": ENCODER_FILES, "image_encoder": ENCODER_FILES, "tokenizer": ("tokenizer.json", "tokenizer_config.json")}


class DAMSMTextEncoder(ModelMixin, ConfigMixin):
    """Token embeddings and one bi-directional LSTM, D/2 numbers a direction: a word is what both say at its place, a sentence their last states.

    dropout: share of the embeddings' numbers that training leaves out. Its draws are given to `forward`, for they belong to (seed, step)."""

    @register_to_config
    def __init__(self, vocab_size: int, width: int = 128, embedding_width: int = 64, dropout: float = 0.2):
        super().__init__()
        assert width % 2 == 0, f"width {width} cannot be halved between two directions"
        self.embedding = nn.Embedding(vocab_size, embedding_width)
        self.lstm = nn.LSTM(embedding_width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, ids: Tensor, mask: Tensor, draws: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """ids, mask (B, L), 1 for real tokens, which come first → words (B, L, D), zero where there is no token, and sentence (B, D).

        draws (B, L, embedding_width) in [0, 1): those below `dropout` are left out."""
        x = self.embedding(ids)
        if draws is not None:
            x = x * (draws >= self.config.dropout) / (1 - self.config.dropout)
        # packed, so that the backward direction starts at the sentence's own end
        packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        with torch.autocast(x.device.type, enabled=False):  # small, and long chains of products
            words, (last, _) = self.lstm(packed)
        words, _ = pad_packed_sequence(words, batch_first=True, total_length=ids.shape[1])
        return words, last.transpose(0, 1).flatten(1)  # (2, B, D/2) → (B, D)


class GroupNormBlock(ResidualBlock):
    """The evaluator's block, in which a frame is read the same whatever else is in its batch, and in whichever process."""

    def __init__(self, channels: int, groups: int):
        super().__init__(channels)
        self.norm1, self.norm2 = nn.GroupNorm(groups, channels), nn.GroupNorm(groups, channels)


class DAMSMImageEncoder(ModelMixin, ConfigMixin):
    """Pixel-unshuffle, levels of residual convolutions as in the frame evaluator, and on the last map (C, 8, 8) a vector for each of its 64
    cells, the regions, and one for the whole. Each pixel tells its place, too: who jumps is seen by how high he is."""

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
        assert sample_size % cell == 0, f"frames of {sample_size} pixels cannot be cut into cells of {cell}"
        assert len(layers_per_block) == len(block_out_channels), "layers_per_block and block_out_channels differ in length"
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
        """Frames (B, 3, H, W) in [-1, 1] → regions (B, N, D), N = 64 cells from top left to bottom right, and image (B, D)."""
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
    """R(Q, D) of every sentence with every frame by words and regions: words (S, L, D), mask (S, L), regions (F, N, D) → (S, F)."""
    lengths = mask.sum(1)
    order = lengths.argsort(stable=True)
    # sentences of like length together, for there would be more padding than words
    parts = [(rows, int(lengths[rows[-1]])) for rows in order.chunk(8)]
    scores = [_word_scores(words[rows, :longest], mask[rows, :longest].bool(), regions, gamma1, gamma2) for rows, longest in parts]
    return torch.cat(scores)[order.argsort()]


def _word_scores(words: Tensor, mask: Tensor, regions: Tensor, gamma1: float, gamma2: float) -> Tensor:
    shape = (len(regions), *mask.shape, -1)
    s = words.flatten(0, 1) @ regions.mT  # Eq. 7, s_ij = e_i · v_j: (F, S*L, N)
    normed = s.view(shape).masked_fill(~mask[:, :, None], float("-inf")).softmax(2)  # Eq. 8, over the words of a sentence
    attention = (gamma1 * normed).softmax(-1).flatten(1, 2)  # Eq. 9, α_ij, over the regions of a frame
    # The cosine of e_i and c_i = Σ_j α_ij v_j without c_i, (F, S*L, D) numbers: e_i · c_i = Σ_j α_ij s_ij and |c_i|² = α_i · (v vᵀ) α_i
    length = (attention * (attention @ (regions @ regions.mT))).sum(-1).clamp(min=1e-12).sqrt()
    cosine = (attention * s).sum(-1) / (length * words.flatten(0, 1).norm(dim=-1).clamp(min=1e-6))
    likeness = (gamma2 * cosine.view(shape[:3])).masked_fill(~mask, float("-inf"))
    return likeness.logsumexp(-1).T / gamma2  # Eq. 10


def matching_loss(scores: Tensor, same: Tensor | None, gamma3: float) -> Tensor:
    """Scores R (B, B) of sentences with frames → -log P(D_i | Q_i) - log P(Q_i | D_i), mean over i (Eqs. 11 to 13; AttnGAN writes the sum)."""
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

    same (B, B) bool: sentence i would be right for frame j, too; such pairs are left out of the denominators. In float32 throughout.
    gammas: γ1, γ2, γ3 as in AttnGAN's code (its text has γ1 = 5). Eq. 10 is taken from its text: the code leaves the 1/γ2 out, so that its γ3
    is five times as large on words as on sentences.
    Returns the loss and its parts `word` and `sentence`, with `top1`, the share of frames whose own sentence is the nearest of the batch.
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
    """Token numbers and mask (B, L), padded to the longest sentence, behind its tokens; an LSTM reads any length: nothing is cut or refused."""
    tokens = tokenizer(sentences, padding=True, padding_side="right", verbose=False)
    return torch.tensor(tokens.input_ids), torch.tensor(tokens.attention_mask)


@torch.no_grad()
def embed_sentences(text_encoder: DAMSMTextEncoder, tokenizer: CLIPTokenizer, sentences: list[str], batch: int = 512) -> Tensor:
    """F sentences → (F, D) on the CPU."""
    parts = [tokenize(tokenizer, sentences[n : n + batch]) for n in range(0, len(sentences), batch)]
    return torch.cat([text_encoder(ids.to(text_encoder.device), mask)[1].float().cpu() for ids, mask in parts])


@torch.no_grad()
def embed_frames(image_encoder: DAMSMImageEncoder, frames: Tensor, batch: int = 256) -> Tensor:
    """Frames (F, 3, H, W) in [-1, 1] → (F, D) on the CPU."""
    return torch.cat([image_encoder(part.to(image_encoder.device))[1].float().cpu() for part in frames.split(batch)])


def load_damsm(folder: str | Path) -> tuple[DAMSMTextEncoder, DAMSMImageEncoder, CLIPTokenizer]:
    """Text encoder, image encoder and tokenizer of a trained folder, for reading, in float32 whatever they are stored in.

    Raises FileNotFoundError where a part is missing, ValueError where the parts do not belong together."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; training/train_damsm.py leaves one in <output>/damsm")
    missing = [f"{part}/{file}" for part, files in PARTS.items() for file in files if not (folder / part / file).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {', '.join(missing)}; a DAMSM folder holds {', '.join(PARTS)}")
    encoders = []
    for part, kind in (("text_encoder", DAMSMTextEncoder), ("image_encoder", DAMSMImageEncoder)):
        name = kind.load_config(folder / part).get("_class_name")
        if name != kind.__name__:
            raise ValueError(f"{folder / part} holds a {name}, not a {kind.__name__}")
        encoder = kind.from_pretrained(folder / part, dtype=torch.float32, use_safetensors=True).eval()
        for weight in encoder.parameters():  # out of the mapped file, where they lie unaligned and a CPU's products round otherwise
            weight.data = weight.data.clone()
        encoders.append(encoder)
    text_encoder, image_encoder = encoders
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    if len(tokenizer) != text_encoder.config.vocab_size:
        raise ValueError(f"{folder}: the tokenizer has {len(tokenizer)} tokens, the text encoder {text_encoder.config.vocab_size}")
    if text_encoder.config.width != image_encoder.config.width:
        raise ValueError(f"{folder}: sentences have {text_encoder.config.width} numbers, images {image_encoder.config.width}")
    return text_encoder, image_encoder, tokenizer
