"""A reader whose words a pretrained BERT reads, too: the encoder's states, what holds for every reader, and training with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_reader import STORY, read, tiny_reader
from test_train_reader import BATCH, STEPS, command
from transformers import BertConfig, BertModel, BertTokenizerFast

from story_ldm.encoders.pretrained_words import PIECES
from story_ldm.encoders.reader import MAX_WORDS, NGRAMS, Reader

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz.'", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
VOCABULARY += ["the", "bear", "waves", "luna", "red", "shirt", "##ing"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    """A BERT of two layers in the published layout."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(1)
    config = BertConfig(vocab_size=len(VOCABULARY), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def with_bert(folder: Path, layers: int = 2) -> Reader:
    """A reader with a BERT and, as after training, a projection that is not zero."""
    reader = tiny_reader().with_pretrained(folder, layers, 100).eval()
    torch.nn.init.normal_(reader.word_encoder.project.weight)
    return reader


def test_nothing_changes_until_it_is_trained(bert):
    reader = tiny_reader()
    grown = reader.with_pretrained(bert, 1, 100).eval()
    assert torch.equal(read(grown, STORY), read(reader, STORY))
    assert len(grown.word_encoder.bert.encoder.layer) == 1
    assert not any(p.requires_grad for p in grown.word_encoder.bert.parameters())
    assert not torch.equal(read(with_bert(bert), STORY), read(reader, STORY))


def test_words_are_what_the_encoder_says(bert):
    """A word is the mean of its pieces' states, and those the mean of the layers', as transformers computes them from the text."""
    reader = with_bert(bert, layers=1)
    words = reader.word_encoder
    words.project = torch.nn.Identity()
    texts = ["the bear waves.", "Lúna sitting"]  # of different length
    tokens, mask = reader.tokenize([[text] for text in texts])
    vectors = words(tokens[:, 0, :, 1 + NGRAMS + 1 :].long(), mask[:, 0])
    model = BertModel.from_pretrained(bert).eval()
    tokenizer = BertTokenizerFast.from_pretrained(bert)
    for text, of_words, pieces in zip(texts, vectors, ([[1], [2], [3], [4]], [[1], [2, 3, 4, 5]]), strict=True):
        with torch.no_grad():
            encoded = tokenizer(text, return_tensors="pt")
            # the second word has five pieces, of which the encoder is given four
            encoded = {k: torch.cat([v[:, : 1 + sum(map(len, pieces))], v[:, -1:]], 1) for k, v in encoded.items()}
            states = torch.stack(model(**encoded, output_hidden_states=True).hidden_states[:2]).mean(0)[0]
        for n, rows in enumerate(pieces):
            torch.testing.assert_close(of_words[n], states[rows].mean(0), atol=0.05, rtol=0)  # the pieces' vectors have 8 bits
    assert not vectors[1, 2:].any(), "padding has no vector"


def test_a_word_is_cut_to_its_first_pieces_and_may_be_unknown(bert):
    words = with_bert(bert).word_encoder
    assert len(words.pieces_of("antidisestablishmentarianism")) == PIECES
    assert words.pieces_of("小") == [words.vocabulary.index("[UNK]"), 0, 0, 0]
    assert words.pieces_of("waves") == [words.vocabulary.index("waves"), 0, 0, 0]
    few = tiny_reader().with_pretrained(bert, 1, 45).word_encoder
    assert len(few.vocabulary) == 45 and few.pieces_of("red") == words.pieces_of("r")[:1] + words.pieces_of("xe")[1:2] + words.pieces_of("xd")[
        1:2
    ] + [0]


def test_causality_and_stories_together(bert):
    """Invariants 1 and 2."""
    reader = with_bert(bert)
    before = read(reader, STORY)
    after = read(reader, [STORY[0], "They run and run and run and never stop.", STORY[2]])
    assert torch.equal(before[:, :1], after[:, :1]) and not torch.isclose(before[:, 1:], after[:, 1:]).all()
    other = ["The bear, the bear and the bear wave and wave and wave."]
    together = read(reader, STORY, other)
    torch.testing.assert_close(together[:1], before, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[1, :1], read(reader, other)[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(read(reader.train(), STORY, other), together, atol=1e-5, rtol=1e-4)


def test_saved_and_opened(bert, tmp_path):
    """Invariant 4, and the folder of the encoder is no longer needed."""
    reader = with_bert(bert)
    reader.save_pretrained(tmp_path)
    opened = Reader.from_pretrained(tmp_path).eval()
    assert torch.equal(read(opened, STORY), read(reader, STORY))
    assert torch.equal(read(opened.with_words(["luna"]).eval(), STORY), read(reader, STORY))
    with pytest.raises(ValueError, match="has a pretrained encoder already"):
        opened.with_pretrained(bert, 1, 100)


def test_an_encoder_that_does_not_fit_is_refused(bert, tmp_path):
    with pytest.raises(ValueError, match=r"layers is 3; the encoder in .* has 2"):
        tiny_reader().with_pretrained(bert, 3, 100)
    with pytest.raises(ValueError, match="pieces is 4; it must be above 4, the special ones"):
        tiny_reader().with_pretrained(bert, 1, 4)
    with pytest.raises(FileNotFoundError, match="is not a folder; it must hold a BERT"):
        tiny_reader().with_pretrained(tmp_path / "none", 1, 100)
    short = BertConfig.from_pretrained(bert)
    short.max_position_embeddings = 64
    short.save_pretrained(tmp_path)
    BertTokenizerFast.from_pretrained(bert).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=f"reads 64 word pieces; it must read {2 + PIECES * MAX_WORDS}"):
        tiny_reader().with_pretrained(tmp_path, 1, 100)


def test_training_leaves_the_encoder_as_it_is(trainer, bert, tmp_path):
    """Training goes on after a stop, with the same weights; the projection is trained, the encoder is not."""
    argv = command(tmp_path / "run", "--pretrained", bert, "--pretrained-layers", 2)
    trainer(*argv, "--checkpoint-every", 2)
    reader = Reader.from_pretrained(tmp_path / "run" / "reader")
    assert reader.word_encoder.project.weight.any()
    encoder = BertModel.from_pretrained(bert).state_dict()
    kept = {name: value for name, value in reader.word_encoder.bert.state_dict().items() if "word_embeddings" not in name}
    assert len(kept) > 30 and all(torch.equal(value, encoder[name]) for name, value in kept.items())
    stopped = [*command(tmp_path / "again", "--pretrained", bert, "--pretrained-layers", 2), "--checkpoint-every", 2]
    trainer.kill_at(tmp_path / "again" / "checkpoints" / "step-00000002", *stopped)
    assert f"{STEPS * BATCH}/{STEPS * BATCH} stories" in trainer(*stopped)
    again = Reader.from_pretrained(tmp_path / "again" / "reader").state_dict()
    assert [name for name, value in reader.state_dict().items() if not torch.equal(again[name], value)] == []
