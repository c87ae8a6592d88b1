"""StoryGAN's sentences and its pipeline: each story as if alone, no label, saved and opened."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import STORY, TINY_GAN, calls_seen_by_hooks, sentences_of, tiny_text_encoder
from test_story_gan import CLOSE, D, inputs, seeded, tiny_gan, tiny_judges

from story_ldm.encoders.damsm import DAMSMTextEncoder
from story_ldm.encoders.sentence_vectors import load_sentence_encoder, read_words, sentence_vectors, story_vectors, tokens_of
from story_ldm.pipelines import StoryGANPipeline
from story_ldm.systems.story_gan.networks import SYSTEMS, StoryGAN
from story_ldm.training.checkpoints import save_component


def tiny_pipeline(tokenizer, system: str = "story-gan", norm: str = "group") -> StoryGANPipeline:
    torch.manual_seed(0)
    text_encoder = DAMSMTextEncoder(len(tokenizer), width=D, embedding_width=8).eval()
    return StoryGANPipeline(story_gan=tiny_gan(system, norm), text_encoder=text_encoder, tokenizer=tokenizer)


def test_sentence_vectors(tokenizer, tmp_path):
    pipe, stories = tiny_pipeline(tokenizer), [STORY, STORY[1:2]]
    vectors, mask = story_vectors(pipe.text_encoder, tokenizer, stories)
    assert vectors.shape == (2, 4, D) and mask.tolist() == [[True] * 4, [True, False, False, False]] and not vectors[1, 1:].any()
    torch.testing.assert_close(vectors.square().mean(-1)[mask], torch.ones(5))
    assert torch.equal(vectors[0, 1], vectors[1, 0]), "each is read alone"
    encoder = tiny_text_encoder(tokenizer)
    for part in (encoder, tokenizer):
        part.save_pretrained(tmp_path / "other")
    opened, its_tokenizer = load_sentence_encoder(tmp_path / "other")
    actual = sentence_vectors(opened, its_tokenizer, STORY)
    assert torch.equal(actual, sentence_vectors(opened, its_tokenizer, STORY)) and not any(p.requires_grad for p in opened.parameters())
    ids = torch.tensor([tokenizer(STORY[1]).input_ids])
    expected = encoder(ids).last_hidden_state[0].mean(0)
    torch.testing.assert_close(actual[1], expected / expected.square().mean().sqrt(), **CLOSE)
    with pytest.raises(ValueError, match=r"has \d+ tokens; this text encoder reads at most 32"):
        sentence_vectors(opened, its_tokenizer, [*STORY, "Bruno waves. " * 20])
    with pytest.raises(FileNotFoundError, match="train_damsm"):
        load_sentence_encoder(tmp_path / "nothing")


def test_padding_comes_behind_the_tokens(tokenizer):
    encoder, expected = tiny_text_encoder(tokenizer), sentence_vectors(tiny_text_encoder(tokenizer), tokenizer, STORY)
    left = copy.deepcopy(tokenizer)
    left.padding_side = "left"
    _, mask = tokens_of(encoder, left, STORY)
    assert mask[:, 0].all() and not mask.all()
    torch.testing.assert_close(sentence_vectors(encoder, left, STORY), expected)


def test_an_offloaded_pipeline_is_moved(tokenizer):
    """diffusers puts a hook on each part, which moves it before it is called."""
    pipe = tiny_pipeline(tokenizer)
    moved = calls_seen_by_hooks(pipe.text_encoder, pipe.story_gan)
    frames = pipe(STORY, generator=seeded(), output_type="pt").frames[0]
    assert moved == ["DAMSMTextEncoder", "StoryGAN", "StoryGAN", "StoryGAN"]
    assert torch.equal(frames, tiny_pipeline(tokenizer)(STORY, generator=seeded(), output_type="pt").frames[0])


def test_words_lie_where_an_offloaded_encoder_was_moved(tokenizer):
    class Moved(torch.nn.Module):
        device = torch.device("cpu")

        def forward(self, input_ids, attention_mask):
            return SimpleNamespace(last_hidden_state=torch.zeros(*input_ids.shape, 8, device="meta"))

    encoder = Moved()
    assert all(x.is_meta for x in read_words(encoder, *tokens_of(encoder, tokenizer, STORY)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="moves models to a GPU")
def test_offloaded_on_a_gpu(tokenizer):
    expected = tiny_pipeline(tokenizer)(STORY, generator=seeded(), output_type="pt").frames[0]
    for encoder in (None, tiny_text_encoder(tokenizer)):
        pipe = tiny_pipeline(tokenizer)
        if encoder:
            gan = StoryGAN(**TINY_GAN["story_gan"], sentence_width=8).eval()
            pipe = StoryGANPipeline(story_gan=gan, text_encoder=encoder, tokenizer=tokenizer)
            expected = pipe(STORY, generator=seeded(), output_type="pt").frames[0]
        pipe.enable_model_cpu_offload()
        torch.testing.assert_close(pipe(STORY, generator=seeded(), output_type="pt").frames[0].cpu(), expected, atol=0.01, rtol=0.01)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_stories_of_a_batch_are_those_drawn_alone(system, norm, tokenizer):
    """Invariant 2, for stories of different lengths, each with its own generator."""
    pipe, stories = tiny_pipeline(tokenizer, system, norm), [STORY, STORY[:1], STORY[1:], sentences_of(1, length=70)[0]]
    together = pipe(stories, generator=[seeded(n) for n in range(4)], output_type="pt").frames
    for n, story in enumerate(stories):
        alone = pipe(story, generator=seeded(n), output_type="pt").frames
        assert len(alone) == 1 and together[n].shape == (len(story), 3, 16, 16)
        torch.testing.assert_close(together[n], alone[0], **CLOSE)


def test_noise(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    draw = lambda **kwargs: pipe(STORY, output_type="pt", **kwargs).frames[0]  # noqa: E731
    assert torch.equal(draw(generator=seeded(3)), draw(generator=seeded(3))) and not torch.equal(draw(generator=seeded(3)), draw(generator=seeded(4)))
    noise = pipe.draw_noise([4], [seeded(3)])
    assert torch.equal(draw(latents=noise), draw(generator=seeded(3)))
    longer = pipe.draw_noise([9], [seeded(3)])
    assert all(torch.equal(a, b) for a, b in zip(noise[:2], longer[:2])) and torch.equal(noise[2], longer[2][:, :4])
    for n in range(3):  # all of the noise is used
        changed = [x + (m == n) for m, x in enumerate(noise)]
        assert not torch.equal(draw(latents=changed), draw(latents=noise))


def test_outputs(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    stories = [STORY, STORY[:2]]
    draw = lambda kind: pipe(stories, generator=[seeded(0), seeded(1)], output_type=kind).frames  # noqa: E731
    pil, array, tensor = draw("pil"), draw("np"), draw("pt")
    assert [[frame.size for frame in frames] for frames in pil] == [[(16, 16)] * 4, [(16, 16)] * 2]
    for n in range(2):
        assert array[n].shape == (len(stories[n]), 16, 16, 3) and 0 <= array[n].min() <= array[n].max() <= 1
        np.testing.assert_allclose(array[n], tensor[n].permute(0, 2, 3, 1).numpy())
        np.testing.assert_allclose(np.asarray(pil[n][0]) / 255, array[n][0], atol=0.003)
    (frames,) = pipe(STORY, return_dict=False)
    assert len(frames) == 1 and len(frames[0]) == 4 and pipe(STORY).memory_weights is None


@pytest.mark.parametrize(
    ("sentences", "kwargs", "message"),
    [
        ([], {}, r"sentences is \[\]; it must be a list of sentences"),
        ("She waves.", {}, "it must be a list of sentences"),
        ([STORY, []], {}, "story 1 is .* at least one sentence"),
        ([STORY, "She waves."], {}, "story 1 is 'She waves.'"),
        (["She waves.", " "], {}, "sentence 1 of story 0 is ' '"),
        (["She waves.", None], {}, "sentence 1 of story 0 is None"),
        ([STORY, STORY], {"generator": [torch.Generator()]}, "generator is a list of 1; .* each of the 2 stories"),
        (STORY, {"output_type": "latent"}, "output_type is 'latent'; it must be one of pil, np, pt"),
        (STORY, {"latents": (torch.zeros(1, 16), torch.zeros(1, 16), torch.zeros(1, 3, 4))}, r"latents have the shapes .*these stories need .*4, 4"),
    ],
)
def test_bad_input(sentences, kwargs, message, tokenizer):
    with pytest.raises(ValueError, match=message):
        tiny_pipeline(tokenizer)(sentences, **kwargs)


@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_and_opened(system, tokenizer, tmp_path):
    """Invariant 4; batch norms have statistics to keep."""
    pipe = tiny_pipeline(tokenizer, system, "batch")
    gan = pipe.story_gan.train()
    gan(*inputs(gan, stories=8))
    gan.eval()
    pipe.save_pretrained(tmp_path / "pipe", safe_serialization=True)
    assert {file.suffix for file in (tmp_path / "pipe").rglob("*") if file.is_file()} <= {".safetensors", ".json", ".txt", ".py"}
    opened, again = (StoryGANPipeline.from_pretrained(tmp_path / "pipe") for _ in range(2))
    assert opened.story_gan.config.system == system and not opened.story_gan.training
    saved, weights = gan.state_dict(), opened.story_gan.state_dict()
    assert list(saved) == list(weights) and all(torch.equal(weights[name], value) for name, value in saved.items())
    frames = [p(STORY, generator=seeded(), output_type="pt").frames[0] for p in (pipe, opened, again)]
    torch.testing.assert_close(frames[0], frames[1], **CLOSE)  # tensors of a file lie at other addresses: last bits differ
    torch.testing.assert_close(frames[1], frames[2], atol=1e-6, rtol=1e-6)
    for kind, judge in tiny_judges("batch").items():
        save_component(judge, tmp_path / kind)
        opened = type(judge).from_pretrained(tmp_path / kind)
        assert all(torch.equal(value, judge.state_dict()[name]) for name, value in opened.state_dict().items())


def test_another_text_encoder(tokenizer, tmp_path):
    """Any transformers model takes the place of the DAMSM encoder, and is kept in the pipeline's folder."""
    torch.manual_seed(0)
    gan = StoryGAN(**TINY_GAN["story_gan"], sentence_width=8).eval()
    pipe = StoryGANPipeline(story_gan=gan, text_encoder=tiny_text_encoder(tokenizer), tokenizer=tokenizer)
    pipe.save_pretrained(tmp_path)
    opened = StoryGANPipeline.from_pretrained(tmp_path)
    frames = [p(STORY, generator=seeded(), output_type="pt").frames[0] for p in (pipe, opened)]
    torch.testing.assert_close(*frames, **CLOSE)
