"""The reader: reads a story sentence by sentence and keeps what it understood in slots, which are what the UNet reads.

    reader = Reader(words=["bruno", "bear", ...], labels={"kinds": [...], ...})
    tokens, mask = reader.tokenize([["Luna the rabbit waves.", "She sits down."]])        # (B, M, L, columns), (B, M, L)
    condition, logits = reader(tokens, mask)                                              # slots as sentence states, and the facts read off them

The sentences of a frame pass a few layers, with rotary positions: with absolute ones, "Bruno in red and Rosa in blue" is bound at chance. Then,
sentence by sentence, the slots attend to each other and to the sentence, and what comes out is the state after it. So frame m sees S^{<m}
through the slots alone: causal, of any length, at constant cost a sentence. Slots of characters are in the order of appearance.

Names are bound to slots by the words themselves: a slot attends to the words that mean its character, which is trained on the stories' references,
keeps codes of them, and attends by these to equal words again, from the next layer on; a word attends to equal ones of its frame. Without this, names
that come in another order than before were read in the old order.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from story_ldm.data.words import MAX_WORDS, split_words
from story_ldm.encoders.bert import bert_sizes
from story_ldm.encoders.conditioning import Conditioning
from story_ldm.encoders.pretrained_words import PIECES, PretrainedWords
from story_ldm.encoders.reader_blocks import CODE, ReaderBlock, word_codes
from story_ldm.encoders.understood import UnderstoodCharacter, UnderstoodFrame

PAD, UNKNOWN = 0, 1  # rows of the table of words before the first word
BUCKETS = 4096  # hashed letter n-grams share so many vectors
NGRAMS = 14  # letter n-grams of a word
WORD = 1 + NGRAMS  # the column of a token that says which word it is, whether it has a vector of its own or not
WORDS = 32_749  # numbers of that column
ENDS, CALLS, QUOTES = (torch.tensor([zlib.crc32(mark.encode()) % WORDS + 1 for mark in marks]) for marks in (".!?", "!?", "\"'"))  # of sentences
HASH = torch.tensor([pow(7, 11 * n + 13, 2**61 - 1) for n in range(1 + NGRAMS)])  # multipliers
NAME = 32  # width of the queries and keys by which a slot chooses the words to keep
GAIN = 16.0  # of trained logits, so that they grow as fast as is needed at usual learning rates
FAR = -1e4  # added to attention logits of padding


@lru_cache(2**16)
def ngram_buckets(word: str) -> tuple[int, ...]:
    """Numbers, from 1 to BUCKETS, of the letter n-grams (n = 3, 4) of a word with its ends marked; at most NGRAMS."""
    marked = f"<{word}>"
    grams = {marked[i : i + n] for n in (3, 4) for i in range(len(marked) - n + 1)}
    return tuple(sorted(zlib.crc32(gram.encode()) % BUCKETS + 1 for gram in grams)[:NGRAMS])


def sentence_numbers(words: Tensor) -> Tensor:
    """Which of its frame's sentences a word belongs to, from 0 (…, L), by the column WORD of the tokens (…, L). A sentence ends after . ! ? unless
    another such mark follows, or, after ! and ?, a quotation mark: what is called out and who calls stay together."""
    ends, calls, quotes = ((words[..., None] == marks.to(words.device)).any(-1) for marks in (ENDS, CALLS, QUOTES))
    following = nn.functional.pad(ends[..., 1:] | (calls[..., :-1] & quotes[..., 1:]) | (words[..., 1:] == 0), (0, 1), value=True)
    after = (ends & ~following).long().cumsum(-1)
    return nn.functional.pad(after[..., :-1], (1, 0))


def normal(std: float, *shape: int) -> nn.Parameter:
    """Random numbers by `nn.init`, which is skipped where weights are loaded."""
    weight = nn.Parameter(torch.empty(shape))
    nn.init.normal_(weight)
    weight.data *= std
    return weight


class Reader(ModelMixin, ConfigMixin):
    """Sentences to slots: `characters` of them for the characters in the order of their appearance, one for the place, and `scratch` more.

    words: the words with a vector of their own; every word has one of its letter n-grams, too. labels: names of the facts' values, by kind of fact
    ("kinds", "garments", "actions", "props", "prop_colors", "places", and in ToonStories 2 "faces", "partners", "times", "weathers"): what the heads
    are trained on and `understand` says; none without them.
    positions: "rotary" or "absolute", the latter for comparison. pretrained: `PretrainedWords.settings`, for words that are also read by a frozen
    BERT. The last slot of scratch is the pooled sentence.
    """

    @register_to_config
    def __init__(
        self,
        words: list[str],
        labels: dict[str, list[str]] | None = None,
        characters: int = 4,
        scratch: int = 3,
        width: int = 192,
        heads: int = 4,
        token_layers: int = 2,
        layers: int = 3,
        positions: str = "rotary",
        pretrained: dict[str, Any] | None = None,
    ):
        super().__init__()
        assert width % (2 * heads) == 0, f"width is {width}; it must be divisible by twice the {heads} heads"
        assert scratch >= 1, f"scratch is {scratch}; the last slot of scratch is the pooled sentence"
        assert len(words) < 2**15 - 2, f"{len(words)} words; the tokens' numbers are 16-bit integers"
        if positions not in ("rotary", "absolute"):
            raise ValueError(f"positions is {positions!r}; it must be rotary or absolute")
        self.rows = {word: n + 2 for n, word in enumerate(words)}
        self.word = nn.Embedding(len(words) + 2, width, padding_idx=PAD)
        self.ngram = nn.Embedding(BUCKETS + 1, width, padding_idx=PAD)
        for table in (self.word, self.ngram):
            nn.init.normal_(table.weight, std=0.5)
            table.weight.data[PAD] = 0
        self.word_encoder = PretrainedWords(**pretrained, width=width) if pretrained else None
        self.columns = WORD + 1 + (PIECES if pretrained else 0)  # of a token
        self.position = normal(0.5, MAX_WORDS, width) if positions == "absolute" else None
        self.token_blocks = nn.ModuleList(ReaderBlock(width, heads, rotary=positions == "rotary") for _ in range(token_layers))
        self.token_norm = nn.LayerNorm(width)
        slots = characters + 1 + scratch
        self.which = normal(0.5, slots, width)
        self.start = normal(0.1, slots, width)
        self.further = nn.Parameter(torch.zeros(slots, width))  # added where a sentence goes on with the frame of the one before
        self.blocks = nn.ModuleList(ReaderBlock(width, heads, rotary=False) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        # names: logits that words add for equal words of their sentence, and slots for words that they have kept, for each layer and head
        self.same_word = nn.Parameter(torch.zeros(token_layers, heads))
        self.known_word = nn.Parameter(torch.full((layers, heads), 4 / GAIN))  # from zero they may be learnt late, or not at all
        self.name_query, self.name_key = nn.Linear(width, NAME), nn.Linear(width, NAME)
        labels = labels or {}
        # what is read off a character's slot: whether it is to be seen, its kind, …; "not said" and "nothing" come first
        self.facts = {"seen": 1} | {
            name: len(labels[name]) + extra
            for name, extra in {"kinds": 0, "garments": 1, "actions": 0, "props": 1, "prop_colors": 1, "faces": 0, "partners": 1}.items()
            if name in labels
        }
        # what is read off the slot of the place
        self.frame_facts = {name: len(labels[name]) for name in ("places", "times", "weathers") if name in labels}
        self.character_head = nn.Linear(width, sum(self.facts.values())) if labels else None
        self.place_head = nn.Linear(width, sum(self.frame_facts.values())) if self.frame_facts else None

    def tokenize(self, stories: list[list[str]]) -> tuple[Tensor, Tensor]:
        """Tokens (B, M, L, columns), each a word's row, the buckets of its n-grams, its number and its pieces for a pretrained encoder, and
        mask (B, M, L). Shorter stories are padded with empty sentences, sentences to the longest.

        Raises ValueError for a frame of more than MAX_WORDS words and punctuation marks."""
        split = [[split_words(sentence) for sentence in story] for story in stories]
        for story, sentences in zip(stories, split, strict=True):
            for sentence, words in zip(story, sentences, strict=True):
                if len(words) > MAX_WORDS:
                    raise ValueError(
                        f"sentence {sentence!r} has {len(words)} words and punctuation marks; a frame may have {MAX_WORDS}: shorten or split it"
                    )
        frames, length = max(map(len, split)), max((len(words) for story in split for words in story), default=0) or 1
        tokens = torch.zeros(len(stories), frames, length, self.columns, dtype=torch.int16)
        for n, sentences in enumerate(split):
            for m, words in enumerate(sentences):
                if words:
                    tokens[n, m, : len(words)] = torch.tensor([self._token(word) for word in words], dtype=torch.int16)
        return tokens, tokens[..., 0] != PAD

    def _token(self, word: str) -> list[int]:
        buckets = ngram_buckets(word)
        pieces = self.word_encoder.pieces_of(word) if self.word_encoder is not None else []
        return [self.rows.get(word, UNKNOWN), *buckets, *[PAD] * (NGRAMS - len(buckets)), zlib.crc32(word.encode()) % WORDS + 1, *pieces]

    def with_words(self, words: list[str]) -> Reader:
        """This reader with vectors of their own for those of the words that had none; until they are trained, it reads as before."""
        new = [word for word in words if word not in self.rows]
        grown = Reader(**{**self.config, "words": [*self.rows, *new]})
        state = self.state_dict()
        state["word.weight"] = torch.cat([state["word.weight"], state["word.weight"][UNKNOWN].expand(len(new), -1)])
        grown.load_state_dict(state)
        return grown

    def with_pretrained(self, folder: Path, layers: int, pieces: int) -> Reader:
        """This reader with the first layers and pieces of the BERT in `folder` beside its own words; until it is trained, it reads as before.

        Raises ValueError if it has one already, or if the BERT reads no sentence of MAX_WORDS words."""
        if self.word_encoder is not None:
            raise ValueError("this reader has a pretrained encoder already")
        settings = PretrainedWords.settings(folder, layers, pieces)
        if (most := bert_sizes(settings["encoder"])["max_position_embeddings"]) < 2 + PIECES * MAX_WORDS:
            raise ValueError(f"the BERT in {folder} reads {most} word pieces; it must read {2 + PIECES * MAX_WORDS}, {PIECES} a word of a frame")
        grown = Reader(**{**self.config, "pretrained": settings})
        assert grown.word_encoder is not None
        grown.load_state_dict(self.state_dict() | {f"word_encoder.{name}": value for name, value in grown.word_encoder.state_dict().items()})
        grown.word_encoder.load_encoder(folder)
        return grown

    def freeze_heads(self) -> None:
        for head in (self.character_head, self.place_head):
            if head is not None:
                head.requires_grad_(False)

    def forward(self, tokens: Tensor, mask: Tensor) -> tuple[Conditioning, dict[str, Tensor]]:
        """tokens (B, M, L, columns) and mask (B, M, L) → conditioning with the slots as states (B, M, S, D), and logits by fact: "seen"
        (B, M, C, 1), the others (B, M, C, values), "places", "times" and "weathers" (B, M, values); "mentions" are attention weights
        (B, M, C, L)."""
        slots, mentions = self.read(tokens, mask)
        characters, place = slots[..., : self.config.characters, :], slots[..., self.config.characters, :]
        logits: dict[str, Tensor] = {}
        if self.character_head is not None:
            logits = dict(zip(self.facts, self.character_head(characters).split(list(self.facts.values()), -1), strict=True))
            logits["mentions"] = mentions[:, :, : self.config.characters]
        if self.place_head is not None:
            logits |= zip(self.frame_facts, self.place_head(place).split(list(self.frame_facts.values()), -1), strict=True)
        return Conditioning(slots, slots[..., -1, :]), logits

    def read(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The slots (B, M, S, D) after each frame, and how much each attends to its words (B, M, S, L), in the first head of the middle layer. Where
        a frame has several sentences, each updates the slots by itself; words know all words of their frame.

        Besides its state, a slot keeps the codes of words that it has attended to so (its name, say), as far as it chooses to, and attends by them
        to equal words from the next layer on."""
        stories, slots = len(mask), len(self.which)
        keys, names, lengths = self._read_words(tokens.transpose(0, 1).flatten(0, 1), mask.transpose(0, 1).flatten(0, 1), stories)
        numbers = sentence_numbers(tokens[..., WORD])
        state, states, attended = self.start.expand(stories, -1, -1), [], []
        known = self.start.new_zeros(stories, slots, CODE)
        for m, (of_frame, name_keys, counts) in enumerate(zip(keys.split(stories), names.split(stories), lengths.split(stories), strict=True)):
            longest = int(counts.max())
            codes = word_codes(tokens[:, m, :longest, WORD]).to(known.dtype)
            words, number = mask[:, m, :longest].bool(), numbers[:, m, :longest]
            shown = state.new_zeros(stories, slots, longest)
            for n in range(1 + int(number.max() if longest else 0)):
                rows: Any = (number.amax(1) >= n).nonzero()[:, 0] if n else slice(None)
                x = state[rows] + self.which + min(n, 1) * self.further  # always in the graph: DDP expects its gradient
                told = words[rows] & (number[rows] == n), codes[rows], of_frame[rows, ..., :longest, :], name_keys[rows, :longest]
                x, held, pointing = self._update(x, known[rows], *told)
                if n == 0:
                    state, known, shown = x, held, pointing
                else:
                    state, known = state.index_copy(0, rows, x), known.index_copy(0, rows, held)
                    shown = shown.index_add(0, rows, pointing)
            states.append(state)
            attended.append(nn.functional.pad(shown, (0, mask.shape[2] - longest)))
        return torch.stack(states, 1), torch.stack(attended, 1)

    def _update(self, x: Tensor, known: Tensor, words: Tensor, codes: Tensor, keys: Tensor, name_keys: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Slots (N, S, D) and the codes that they keep (N, S, CODE) after a sentence, and how much they attend to each word (N, S, L): of the words
        (N, L) of their frame that are this sentence's, with their codes (N, L, CODE), keys and values (N, layers, 2, heads, L, d) and keys as
        names (N, L, NAME)."""
        bias = nn.functional.pad(self._bias(words), (len(self.which), 0))
        for number, (block, gain, more) in enumerate(zip(self.blocks, self.known_word, keys.unbind(1), strict=True)):
            familiar = (known / known.norm(dim=-1, keepdim=True).clamp(min=1)) @ codes.mT
            familiar = GAIN * gain[:, None, None] * nn.functional.pad(familiar, (len(self.which), 0))[:, None]
            x, weights = block(x, bias + familiar, more.transpose(0, 1))
            if number == len(self.blocks) // 2:
                pointing = weights[:, 0, :, len(self.which) :]
                kept = torch.sigmoid(self.name_query(self.norm(x)) @ name_keys.mT * NAME**-0.5) * pointing
                known = known + kept.to(known.dtype) @ codes
        return self.norm(x), known, pointing

    @staticmethod
    def _bias(mask: Tensor) -> Tensor:
        return (~mask.bool()).float()[:, None, None] * FAR

    def _read_words(self, tokens: Tensor, mask: Tensor, stories: int) -> tuple[Tensor, Tensor, Tensor]:
        """Keys and values of N = M·B sentences for each block (N, layers, 2, heads, L, d), keys of the words as names (N, L, NAME), and the
        sentences' lengths (N,).

        In training, sentences of like length pass together, for speed: a sentence's rounding then depends on the others. Otherwise those of one
        position pass together, and no sentence depends on a later one to the bit."""
        lengths = mask.sum(1)
        order = lengths.argsort(stable=True) if self.training else torch.arange(len(mask), device=mask.device)
        parts, names = [], []
        for rows in order.split(max(8, -(-len(mask) // 6)) if self.training else stories):
            longest = max(1, int(lengths[rows].max()))
            x, bias = self._embed(tokens[rows, :longest, : 1 + NGRAMS].long()), self._bias(mask[rows, :longest])
            if self.word_encoder is not None:
                x = x + self.word_encoder(tokens[rows, :longest, WORD + 1 :].long(), mask[rows, :longest])
            if self.position is not None:
                x = x + self.position[:longest]
            words = tokens[rows, :longest, WORD]
            same = ((words[:, None] == words[:, :, None]) & ~torch.eye(longest, dtype=torch.bool, device=words.device)).to(x.dtype)[:, None]
            for block, gain in zip(self.token_blocks, self.same_word, strict=True):
                x, _ = block(x, bias + GAIN * gain[:, None, None] * same)
            x = self.token_norm(x)
            names.append(nn.functional.pad(self.name_key(x), (0, 0, 0, mask.shape[1] - longest)))
            keys = torch.stack([block.keys_values(x).transpose(0, 1) for block in self.blocks if isinstance(block, ReaderBlock)], 1)
            parts.append(nn.functional.pad(keys, (0, 0, 0, mask.shape[1] - longest)))
        back = order.argsort()
        return torch.cat(parts)[back], torch.cat(names)[back], lengths

    def _embed(self, tokens: Tensor) -> Tensor:
        """Vectors (N, L, D) of tokens (N, L, 1 + NGRAMS), their first columns: the word's own and the sum of its n-grams' over the root of their
        number."""
        flat = tokens.flatten(0, 1)
        # equal tokens are embedded once; rows are compared by a hash
        _, inverse = (flat * HASH.to(flat.device)).sum(-1).unique(return_inverse=True)
        first = inverse.new_empty(int(inverse.max()) + 1).scatter_(0, inverse, torch.arange(len(flat), device=tokens.device))
        distinct = flat[first]
        count = (distinct[:, 1:] != PAD).sum(-1, keepdim=True).clamp(min=1)
        vectors = self.word(distinct[:, 0]) + self.ngram(distinct[:, 1:]).sum(1) * count.rsqrt().to(self.word.weight.dtype)
        return vectors[inverse].view(*tokens.shape[:2], -1)

    @torch.no_grad()
    def understand(self, stories: list[list[str]], device: torch.device | None = None) -> list[list[UnderstoodFrame]]:
        """What each sentence is understood to show. device: where it is read, by default where the weights are (not so of an offloaded reader).

        Raises ValueError if the reader was trained without labels."""
        labels = self.config.labels
        if self.character_head is None or self.place_head is None:
            raise ValueError("this reader has no heads: it was trained without labels, and cannot say what it understood")
        tokens, mask = (x.to(device or self.device) for x in self.tokenize(stories))
        _, logits = self(tokens, mask)
        seen = logits["seen"][..., 0] > 0
        most = nn.functional.one_hot(logits["seen"][..., 0].argmax(-1), seen.shape[-1]).bool()
        seen = torch.where(seen.any(-1, keepdim=True), seen, most)
        values = {name: logits[name].argmax(-1).tolist() for name in logits if name not in ("seen", "mentions")}

        def name_of(fact: str, value: int, first: int = 0) -> str | None:
            return labels[fact][value - first] if value >= first else None

        def character(n: int, m: int, slot: int) -> UnderstoodCharacter:
            value = {fact: values[fact][n][m][slot] for fact in self.facts if fact in values}
            to = value.get("partners", 0) - 1
            prop, color = name_of("props", value["props"], 1), name_of("prop_colors", value["prop_colors"], 1)
            return UnderstoodCharacter(
                kind=labels["kinds"][value["kinds"]],
                garment=name_of("garments", value["garments"], 1),
                action=labels["actions"][value["actions"]],
                prop=" ".join(filter(None, (color, prop))) if prop else None,
                face=labels["faces"][value["faces"]] if "faces" in value else None,
                partner=labels["kinds"][values["kinds"][n][m][to]] if to >= 0 and to != slot and seen[n, m, to] else None,
            )

        def frame(n: int, m: int) -> UnderstoodFrame:
            place, *sky = (labels[fact][values[fact][n][m]] for fact in self.frame_facts)
            return UnderstoodFrame(place, [character(n, m, slot) for slot in seen[n, m].nonzero()[:, 0].tolist()], *sky)

        return [[frame(n, m) for m in range(len(story))] for n, story in enumerate(stories)]
