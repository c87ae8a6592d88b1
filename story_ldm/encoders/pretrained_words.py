"""Words as a pretrained BERT reads them, frozen, beside the reader's own vectors.

    words = PretrainedWords(**PretrainedWords.settings(Path("all-MiniLM-L6-v2"), layers=3, pieces=20_000), width=192)
    words.load_encoder(Path("all-MiniLM-L6-v2"))
    pieces = torch.tensor([[words.pieces_of("luna"), words.pieces_of("waves")]])         # (N, L, PIECES)
    words(pieces, mask)                                                                   # (N, L, D)

A sentence passes the first layers of the encoder; a word is the mean of its pieces' states, mixed over the layers by trained shares (ELMo, Peters et
al. 2018, equation 1) and projected to the reader's width. The projection begins at zero: a trained reader that is given an encoder reads as before.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tokenizers.models import WordPiece
from torch import Tensor, nn

from story_ldm.encoders.bert import BertLayers, bert_sizes
from story_ldm.model_folders import as_broken_folder, open_local

PIECES = 4  # of a word that are read
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
ENGLISH = re.compile(r"(##)?([a-z]+|[!-~])")  # pieces that are kept: of letters, or one sign


class PretrainedWords(nn.Module):
    """encoder: the config of a BERT; its weights are part of the state, those of the pieces in 8 bits. vocabulary: the pieces."""

    table: Tensor
    scale: Tensor

    def __init__(self, encoder: dict[str, Any], vocabulary: list[str], width: int):
        super().__init__()
        sizes = bert_sizes(encoder)
        self.bert = BertLayers(**sizes).requires_grad_(False)
        self.register_buffer("table", torch.zeros(len(vocabulary), sizes["hidden_size"], dtype=torch.int8))
        self.register_buffer("scale", torch.zeros(len(vocabulary), 1))
        self.vocabulary = vocabulary
        self.mix = nn.Parameter(torch.zeros(sizes["num_hidden_layers"] + 1))
        self.project = nn.Linear(sizes["hidden_size"], width)
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    @staticmethod
    def settings(folder: Path, layers: int, pieces: int) -> dict[str, Any]:
        """`encoder` and `vocabulary` of a BERT saved in `folder`, cut to its first layers and to as many pieces of English words and signs, which
        are the most frequent ones if its vocabulary is sorted, as published ones are.

        Raises FileNotFoundError if it is no folder, ValueError if the encoder has fewer layers, or if no piece is left of the special ones."""
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is not a folder; it must hold a BERT: config.json, model.safetensors and vocab.txt")
        from transformers import BertConfig

        with as_broken_folder(folder, "BERT"):
            encoder = BertConfig.from_pretrained(folder, local_files_only=True).to_diff_dict()
            most, rows = bert_sizes(encoder)["num_hidden_layers"], _rows(folder)
        if not 1 <= layers <= most:
            raise ValueError(f"layers is {layers}; the encoder in {folder} has {most}")
        if pieces <= len(SPECIAL):
            raise ValueError(f"pieces is {pieces}; it must be above {len(SPECIAL)}, the special ones")
        encoder["num_hidden_layers"] = layers
        vocabulary = [*SPECIAL, *(piece for piece in rows if ENGLISH.fullmatch(piece))]
        return {"encoder": encoder, "vocabulary": vocabulary[:pieces]}

    def load_encoder(self, folder: Path) -> None:
        """Weights of the encoder saved in `folder`."""
        from transformers import BertModel

        whole, rows = open_local(BertModel, folder).state_dict(), _rows(folder)
        vectors = whole.pop("embeddings.word_embeddings.weight")[[rows[piece] for piece in self.vocabulary]]
        self.scale.copy_(vectors.abs().amax(1, keepdim=True) / 127)
        self.table.copy_((vectors / self.scale.clamp(min=1e-9)).round())
        own = self.bert.state_dict()
        self.bert.load_state_dict({name: whole.get(name, value) for name, value in own.items()})

    @cached_property
    def _word_pieces(self) -> WordPiece:
        return WordPiece({piece: n for n, piece in enumerate(self.vocabulary)}, unk_token="[UNK]", max_input_chars_per_word=100)

    def pieces_of(self, word: str) -> list[int]:
        """Numbers of the word's first pieces, PIECES of them, padded with zeros; the word is in lower case and loses its accents."""
        plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
        pieces = [piece.id for piece in self._word_pieces.tokenize(plain)][:PIECES]
        return pieces + [0] * (PIECES - len(pieces))

    def forward(self, pieces: Tensor, mask: Tensor) -> Tensor:
        """pieces (N, L, PIECES), 0 for none, and mask (N, L) of the words → (N, L, D)."""
        words = pieces.shape[1]
        here = ((pieces != 0) & mask.bool()[..., None]).flatten(1)  # (N, L · PIECES)
        # the sentence without its gaps, between [CLS] and [SEP]
        slots = here.cumsum(1) * here
        counts = here.sum(1)
        longest = int(counts.max()) + 2 if len(here) else 2
        ids = pieces.new_zeros(len(pieces), longest).scatter_(1, slots, pieces.flatten(1) * here)
        ids[:, 0] = SPECIAL.index("[CLS]")
        ids.scatter_(1, (counts + 1)[:, None], SPECIAL.index("[SEP]"))
        read = torch.arange(longest, device=ids.device) < (counts + 2)[:, None]
        with torch.no_grad():
            vectors = self.table[ids].to(self.scale.dtype) * self.scale[ids]
            states = torch.stack(self.bert(vectors, read), -1)  # (N, longest, D, layers + 1)
        shares = torch.softmax(self.mix, 0).to(states.dtype)
        of_pieces = self.project(states @ shares)
        gathered = of_pieces.gather(1, slots[..., None].expand(-1, -1, of_pieces.shape[-1])) * here[..., None]
        return gathered.unflatten(1, (words, PIECES)).sum(2) / here.unflatten(1, (words, PIECES)).sum(2).clamp(min=1)[..., None]


def _rows(folder: Path) -> dict[str, int]:
    """Piece → row of the encoder saved in `folder`, in the order of the rows."""
    from transformers import BertTokenizerFast

    vocabulary = BertTokenizerFast.from_pretrained(folder, local_files_only=True).get_vocab()
    return dict(sorted(vocabulary.items(), key=lambda item: item[1]))
