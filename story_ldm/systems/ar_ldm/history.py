"""The history encoder of AR-LDM: a finished frame and its sentence, read together by a BLIP of transformers.

    blip, tokenizer = open_history("a BLIP's folder, or runs/history")
    states = read_history(blip, encoder_token(blip, tokenizer), ids, mask, frames)      # (N, S), (N, S), (N, 3, H, W) → (N, S, D)

BLIP's multimodal mode (Li et al. 2022, Sec. 3.1): a ViT reads the frame; a bidirectional text transformer with cross-attention to the patches in each
layer reads the sentence, whose first token is replaced by the encoder's own. It is a `BlipForImageTextRetrieval`, whose matching head
`train_history_encoder.py` trains it by; every other BLIP is turned into one. Nothing of it is random: dropout is off, so a frame has one embedding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoTokenizer,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipForQuestionAnswering,
    BlipModel,
    PreTrainedTokenizerBase,
)

from story_ldm.files import json_object
from story_ldm.model_folders import open_local

BLIPS = {kind.__name__: kind for kind in (BlipForImageTextRetrieval, BlipForConditionalGeneration, BlipForQuestionAnswering, BlipModel)}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # BLIP's own, of pixels in [0, 1]
BLACK = -1.0  # of a frame: the picture of guidance's empty history


def new_history_encoder(
    vocabulary: int,
    max_length: int,
    *,
    resolution: int,
    patch: int,
    vision_width: int,
    vision_layers: int,
    vision_heads: int,
    width: int,
    layers: int,
    heads: int,
) -> BlipForImageTextRetrieval:
    """A new BLIP for sentences of up to `max_length` tokens. vocabulary: rows of its table, the last of which is the encoder's own token."""
    text: dict[str, Any] = {"vocab_size": vocabulary, "max_position_embeddings": max_length, "bos_token_id": vocabulary - 1}
    text |= {"pad_token_id": None, "eos_token_id": None, "sep_token_id": None}  # a row for padding would never be trained, and CLIP pads with the end
    text |= {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers, "num_attention_heads": heads}
    vision: dict[str, Any] = {"image_size": resolution, "patch_size": patch, "hidden_size": vision_width, "intermediate_size": 4 * vision_width}
    vision |= {"num_hidden_layers": vision_layers, "num_attention_heads": vision_heads, "initializer_range": 0.02}
    return BlipForImageTextRetrieval(BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=8))


def as_history_encoder(blip: Any) -> BlipForImageTextRetrieval:
    """A BLIP of any kind as one for matching, with its vision and text transformers; without dropout. Raises ValueError for what is no BLIP, or one
    without cross-attention."""
    names = {BlipForConditionalGeneration: "text_decoder.bert", BlipForQuestionAnswering: "text_encoder", BlipModel: "text_model"}
    if type(blip) in names:
        text = blip.get_submodule(names[type(blip)])
        with torch.device("meta"):
            matching = BlipForImageTextRetrieval(blip.config)
        matching.to_empty(device="cpu")
        matching.init_weights()
        matching.vision_model.load_state_dict(blip.vision_model.state_dict())
        matching.text_encoder.load_state_dict({name: value for name, value in text.state_dict().items() if not name.startswith("pooler.")})
        blip = matching
    if not isinstance(blip, BlipForImageTextRetrieval):
        raise ValueError(f"the history encoder is a {type(blip).__name__}; it must be one of {', '.join(BLIPS)}")
    if not blip.config.text_config.is_decoder:
        raise ValueError("is_decoder of the history encoder's text_config is False; it must be True, for its text layers to read the frame")
    for part in blip.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    return blip


def open_history(folder: Path) -> tuple[BlipForImageTextRetrieval, PreTrainedTokenizerBase]:
    """The float32 history encoder and tokenizer of a folder: of a BLIP as it is published, of train_history_encoder.py, or of a pipeline.

    Raises FileNotFoundError if there is no folder, ValueError if it holds something else."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; it must hold a history encoder")
    encoder, tokenizer = (folder / part if (folder / part).is_dir() else folder for part in ("history_encoder", "history_tokenizer"))
    config = encoder / "config.json"
    found = json_object(config).get("architectures") if config.is_file() else None
    name = found[0] if isinstance(found, list) and found else None
    if name not in BLIPS:
        raise ValueError(f"architectures of {config} is {found!r}; a history encoder is one of {', '.join(BLIPS)}")
    blip = as_history_encoder(open_local(BLIPS[name], encoder, dtype=torch.float32))
    return blip, open_local(AutoTokenizer, tokenizer, trust_remote_code=False)


def encoder_token(blip: BlipForImageTextRetrieval, tokenizer: PreTrainedTokenizerBase) -> int:
    """Number of BLIP's token [ENC]: by its name if the tokenizer has it, else the last row of the table, as in the published models."""
    return tokenizer.get_vocab().get("[ENC]", blip.config.text_config.vocab_size - 1)


def pixel_values(frames: Tensor, size: int) -> Tensor:
    """Frames (N, 3, H, W) in [-1, 1] → what a BLIP reads (N, 3, size, size)."""
    if frames.shape[-2:] != (size, size):
        frames = F.interpolate(frames.float(), (size, size), mode="bicubic", antialias=True).clamp(-1, 1)
    mean, std = (frames.new_tensor(x).view(3, 1, 1) for x in (MEAN, STD))
    return ((frames + 1) / 2 - mean) / std


def read_history(blip: BlipForImageTextRetrieval, token: int, ids: Tensor, mask: Tensor, frames: Tensor) -> Tensor:
    """BLIP(c_k, x_k): sentences (N, S) and their frames (N, 3, H, W) in [-1, 1] → states (N, S, D) of all tokens. mask (N, S): 0 for padding."""
    return match_history(blip, token, ids, mask, frames)[0]


def match_history(blip: BlipForImageTextRetrieval, token: int, ids: Tensor, mask: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
    """The same states, and the logits (N, 2) of whether sentence and frame match, read off the first state."""
    own = torch.cat([torch.full_like(ids[:, :1], token), ids[:, 1:]], 1)
    out = blip(input_ids=own, pixel_values=pixel_values(frames, blip.config.vision_config.image_size), attention_mask=mask)
    return out.question_embeds, out.itm_score
