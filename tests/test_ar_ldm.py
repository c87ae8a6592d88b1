"""AR-LDM: its equations against slow transcriptions, causality in training and sampling, guidance, caches, both tasks, saving, any BLIP and CLIP.

Over 350 lines: the tests of one subject, which share tiny models and slow transcriptions of the equations.
"""

from __future__ import annotations

import pytest
import torch
from conftest import STORY, WIDTH, calls_seen_by_hooks, tiny_text_encoder, tiny_unet, tiny_vae
from diffusers import AutoencoderKL, DDIMScheduler, EulerAncestralDiscreteScheduler, StableDiffusionPipeline, UNet2DConditionModel
from test_cli import story_ldm
from test_pipeline import CLOSE, noise_for, pictures, seeded
from test_pipeline import draw as draw_latents
from torch import Tensor
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipForImageTextRetrieval, BlipForQuestionAnswering, BlipModel

from story_ldm import ARLDMPipeline, StoryLDMPipeline
from story_ldm.data.frames import frames_tensor
from story_ldm.encoders.latents import decode_latents
from story_ldm.encoders.sentences import tokenize_sentences, tokenize_stories
from story_ldm.pipelines.opening import pipeline_class
from story_ldm.systems.ar_ldm.conditioning import HistoryEmbedding, history_slots
from story_ldm.systems.ar_ldm.context_cache import context_cache
from story_ldm.systems.ar_ldm.denoiser import ARDenoiser, HistoryBatch
from story_ldm.systems.ar_ldm.history import as_history_encoder, encoder_token, new_history_encoder, open_history, pixel_values, read_history
from story_ldm.systems.ar_ldm.presets import PRESETS, parts_of

TINY = {"resolution": 16, "patch": 8, "vision_width": 12, "vision_layers": 1, "vision_heads": 2, "width": WIDTH, "layers": 1, "heads": 2}


def draw(pipe, sentences, **kwargs) -> Tensor | list[Tensor]:
    return draw_latents(pipe, sentences, **{"num_inference_steps": 2, **kwargs})


def tiny_history(tokenizer) -> BlipForImageTextRetrieval:
    torch.manual_seed(0)
    blip = new_history_encoder(len(tokenizer) + 1, tokenizer.model_max_length, **TINY).eval()
    for parameter in blip.parameters():  # initial weights are so small that frames hardly differ
        torch.nn.init.normal_(parameter, std=0.4)
    return blip


def plain_unet(pooled: bool = True) -> UNet2DConditionModel:
    return tiny_unet("none", **({} if pooled else {"class_embed_type": None, "projection_class_embeddings_input_dim": None})).to_unet()


def tiny_pipeline(tokenizer, longest: int = 5, scheduler=None, r: int = 2, pooled: bool = True) -> ARLDMPipeline:
    torch.manual_seed(0)
    blip = tiny_history(tokenizer)
    pipe = ARLDMPipeline(
        vae=tiny_vae(r, normalised=r > 1),
        text_encoder=tiny_text_encoder(tokenizer),
        tokenizer=tokenizer,
        history_encoder=blip,
        history_tokenizer=tokenizer,
        history_embedding=HistoryEmbedding(WIDTH, longest, encoder_token(blip, tokenizer), std=0.5).eval(),
        unet=plain_unet(pooled),
        scheduler=scheduler or DDIMScheduler(prediction_type="v_prediction", clip_sample=False),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def phi(pipe, sentence: str, past: list[tuple[str, Tensor]], null_text: bool = False, null_past: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """φ of one frame without padding, mask or batch: only what is read; token by token. past: the earlier sentences with their pictures (3, H, W)."""
    e = pipe.history_embedding
    ids, mask = tokenize_sentences(pipe.tokenizer, ["" if null_text else sentence])
    states = pipe.text_encoder(ids).last_hidden_state[0]
    pooled = states[mask.sum() - 1]
    tokens = [x + e.kinds.weight[0] for x in (states if null_text else states[: mask.sum()])]
    start = max(0, len(past) - (e.config.longest - 1))
    for k, (text, picture) in enumerate(past[start:]):
        ids, mask = tokenize_sentences(pipe.history_tokenizer, ["" if null_past else text])
        picture = torch.full_like(picture, -1.0) if null_past else picture
        own = read_history(pipe.history_encoder, e.config.encoder_token, ids, mask, picture[None])[0]
        tokens += [x + e.kinds.weight[1] + e.times.weight[k] for x in (own if null_past else own[: mask.sum()])]
    return torch.stack(tokens)[None], torch.ones(1, len(tokens)), pooled[None]


@torch.no_grad()
def by_hand(pipe, story, latents, steps=2, scale=2.0, memory_scale=None, given=()) -> Tensor:
    """The model without caches and batches: every step encodes all earlier frames anew and calls the UNet once for every guidance term."""
    clean, past = [], []
    for m, sentence in enumerate(story):
        if m < len(given):
            x = given[m][None]
        else:
            pipe.scheduler.set_timesteps(steps)
            x = latents[:, m] * pipe.scheduler.init_noise_sigma
            for t in pipe.scheduler.timesteps:

                def term(x=x, t=t, sentence=sentence, past=past, **null: bool) -> Tensor:
                    context, _, pooled = phi(pipe, sentence, past, **null)
                    return pipe.unet(x, t, context, class_labels=pooled).sample

                nothing, both = term(null_text=True, null_past=True), term()
                text = term(null_past=True) if past and memory_scale is not None else both
                e = nothing + scale * (text - nothing) + (scale if memory_scale is None else memory_scale) * (both - text)
                x = pipe.scheduler.step(e, t, x, return_dict=False)[0]
        clean.append(x)
        past.append((sentence, decode_latents(pipe.vae, x)[0]))
    return torch.cat(clean)


@pytest.mark.parametrize(("longest", "memory_scale"), [(5, None), (3, 1.5)])
def test_drawing_is_the_model_without_caches(longest, memory_scale, tokenizer):
    """φ_m, the window, published guidance and guidance apart, for all frames of a story, one of them given."""
    pipe = tiny_pipeline(tokenizer, longest)
    latents = noise_for(pipe, 1, len(STORY))
    given = torch.randn(1, 4, 8, 8, generator=seeded(1))
    for frames in ((), given):
        extra = {"frames": frames} if len(frames) else {}
        found = draw(pipe, STORY, latents=latents, memory_guidance_scale=memory_scale, **extra)
        torch.testing.assert_close(found, by_hand(pipe, STORY, latents, memory_scale=memory_scale, given=frames), **CLOSE)


def test_slots():
    """Slot j is read by frame m iff j < m; beyond `longest`, the frames of a window move on."""
    slots, read = history_slots(5, 5)
    assert slots.tolist() == [[0, 1, 2, 3]] * 5 and torch.equal(read, torch.ones(5, 4).tril(-1).bool())
    slots, read = history_slots(6, 3)
    assert [row[ok].tolist() for row, ok in zip(slots, read, strict=True)] == [[], [0], [0, 1], [1, 2], [2, 3], [3, 4]]
    assert [history_slots(1, n)[0].shape for n in (1, 4)] == [(1, 0)] * 2 and history_slots(3, 1)[0].shape == (3, 0)


def test_time_embedding_belongs_to_its_frame(tokenizer):
    """e_time(k) changes the frames after frame k, and no others."""
    pipe = tiny_pipeline(tokenizer)
    before = draw(pipe, STORY[:3])
    table = pipe.history_embedding.times.weight.data
    for k in range(3):
        kept = table[k].clone()
        table[k] += 1
        after = draw(pipe, STORY[:3])
        table[k] = kept
        assert [torch.equal(a, b) for a, b in zip(before[: k + 1], after, strict=False)] == [True] * (k + 1)
        assert not any(torch.equal(a, b) for a, b in zip(before[k + 1 :], after[k + 1 :], strict=True))


def test_states_of_a_frame(tokenizer):
    """BLIP's multimodal mode: its own token comes first, the text sees the picture, padding is not read, and the caller's tokens stay."""
    blip, token = tiny_history(tokenizer), len(tokenizer)
    assert encoder_token(blip, tokenizer) == token == blip.config.text_config.vocab_size - 1
    ids, mask = tokenize_sentences(tokenizer, STORY[:2])
    frames = torch.rand(2, 3, 16, 16, generator=seeded()) * 2 - 1
    kept = ids.clone()
    with torch.no_grad():
        states = read_history(blip, token, ids, mask, frames)
        assert torch.equal(ids, kept) and states.shape == (2, 32, WIDTH)
        own = ids.clone()
        own[:, 0] = token
        pixels = torch.stack(
            [
                (frames[:, c] * 0.5 + 0.5 - m) / s
                for c, (m, s) in enumerate(((0.48145466, 0.26862954), (0.4578275, 0.26130258), (0.40821073, 0.27577711)))
            ],
            1,
        )
        patches = blip.vision_model(pixels).last_hidden_state
        for n in range(2):
            short = own[n : n + 1, : mask[n].sum()]
            expected = blip.text_encoder(short, encoder_hidden_states=patches[n : n + 1]).last_hidden_state[0]
            torch.testing.assert_close(states[n, : mask[n].sum()], expected, **CLOSE)
        assert not torch.allclose(read_history(blip, token, ids, mask, frames.flip(0)), states, atol=1e-3)
        own = ids.clone()
        own[:, 0] = 5
        assert torch.equal(read_history(blip, token, own, mask, frames), states), "whatever the first token was"


def training_batch(pipe, length: int = 4, seed: int = 0, **changed) -> HistoryBatch:
    """Two stories with two noise draws each; fields may be replaced."""
    g = seeded(seed)
    stories = [[*STORY, *STORY][:length], [*STORY[::-1], *STORY][:length]]
    ids, mask = tokenize_stories(pipe.tokenizer, stories)
    noise = torch.randn(4, length, 4, 8, 8, generator=g)
    fields = {
        "latents": torch.randn(2, length, 4, 8, 8, generator=g),
        "ids": ids,
        "mask": mask,
        "weight": torch.ones(2, length),
        "noisy": torch.randn(4, length, 4, 8, 8, generator=g),
        "noise": noise,
        "levels": torch.randint(0, 1000, (4, length), generator=g),
        "history_ids": ids,
        "history_mask": mask,
        "frames": torch.rand(2, length - 1, 3, 32, 32, generator=g) * 2 - 1,
        "use_text": torch.ones(2, length, dtype=torch.bool),
        "use_history": torch.ones(2, length, dtype=torch.bool),
    }
    return HistoryBatch(**{**fields, **changed})


def denoiser_of(pipe) -> ARDenoiser:
    return ARDenoiser(pipe.unet, pipe.text_encoder, pipe.history_encoder, pipe.history_embedding, pipe.tokenizer, pipe.history_tokenizer).eval()


@pytest.mark.parametrize("longest", [4, 3])
def test_training_forward_is_the_model(longest, tokenizer):
    """All frames at once, with padding, masks and dropped rows, against one frame at a time with only what it reads."""
    pipe = tiny_pipeline(tokenizer, longest)
    use_text = torch.tensor([[1, 0, 1, 0], [1, 1, 1, 1]]).bool()
    use_history = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1]]).bool()
    batch = training_batch(pipe, use_text=use_text, use_history=use_history)
    with torch.no_grad():
        found = denoiser_of(pipe)(batch)
        stories = [STORY, STORY[::-1]]
        for row in range(4):
            n = row % 2
            for m in range(4):
                past = [(stories[n][k], batch.frames[n, k]) for k in range(m)]
                context, _, pooled = phi(pipe, stories[n][m], past, not use_text[n, m], not use_history[n, m])
                expected = pipe.unet(batch.noisy[row, m][None], batch.levels[row, m], context, class_labels=pooled).sample[0]
                torch.testing.assert_close(found[row, m], expected, **CLOSE)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("longest", [5, 3])
def test_causality_in_training(longest, dropped, tokenizer):
    """Invariant 1, to the bit: frames ≤ j keep their predictions if frame j or a later sentence changes, also where text and history are dropped."""
    pipe = tiny_pipeline(tokenizer, longest)
    model, keep = denoiser_of(pipe), torch.ones(2, 4, dtype=torch.bool)
    if dropped:
        keep[0] = keep[1, 2] = False
    use = {"use_text": keep, "use_history": keep}
    batch = training_batch(pipe, **use)
    with torch.no_grad():
        before = model(batch)
        for j in range(4):
            frames, ids, history = batch.frames.clone(), batch.ids.clone(), batch.history_ids.clone()
            frames[:, j:] = torch.rand(frames[:, j:].shape, generator=seeded(9)) * 100 - 50
            history[:, j:, 1:4] = torch.tensor([300, 301, 302])
            ids[:, j + 1 :, 1:4] = torch.tensor([300, 301, 302])
            after = model(training_batch(pipe, frames=frames, ids=ids, history_ids=history, **use))
            assert torch.equal(before[:, : j + 1], after[:, : j + 1]), j
            same = torch.tensor([[torch.equal(before[row, m], after[row, m]) for m in range(j + 1, 4)] for row in range(4)])
            assert torch.equal(same, ~keep[:, j + 1 :].repeat(2, 1)), "later frames with text read it, and those without text do not"


@pytest.mark.parametrize("scale", [{}, {"memory_guidance_scale": 1.0}, {"guidance_scale": 1.0}])
def test_causality_in_sampling(scale, tokenizer):
    """Invariant 1 in sampling and continuation, within and beyond the window."""
    for longest, frames in ((5, pictures(1)), (3, [])):
        pipe = tiny_pipeline(tokenizer, longest)
        extra = {**scale, **({"frames": frames} if frames else {})}
        before = draw(pipe, STORY, **extra)
        for k in range(len(STORY)):
            after = draw(pipe, [*STORY[:k], "Milo runs away into the forest.", *STORY[k + 1 :]], **extra)
            assert torch.equal(before[:k], after[:k]), k
            assert all(not torch.equal(before[m], after[m]) for m in range(max(k, len(frames)), len(STORY)))
    pipe = tiny_pipeline(tokenizer)
    one, other = (draw(pipe, STORY, frames=pictures(1, seed=seed), **scale) for seed in (0, 9))
    assert all(not torch.equal(a, b) for a, b in zip(one, other, strict=True)), "a given frame is read by all later ones"


def test_first_frame_is_the_plain_ldms(tokenizer):
    """Bit for bit StableDiffusionPipeline's with e_type(0) added to the states, where no padding is masked; else the plain UNet's with the mask."""
    pipe = tiny_pipeline(tokenizer, r=1, pooled=False, scheduler=DDIMScheduler(clip_sample=False, steps_offset=1))
    parts = {"vae": pipe.vae, "text_encoder": pipe.text_encoder, "tokenizer": tokenizer, "unet": pipe.unet, "scheduler": pipe.scheduler}
    plain = StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    plain.set_progress_bar_config(disable=True)
    kind = pipe.history_embedding.kinds.weight[0].detach()
    full = " ".join(["waves"] * 30)
    assert len(tokenizer(full).input_ids) == 32
    with torch.no_grad():
        embeds = [pipe.text_encoder(tokenize_sentences(tokenizer, [text])[0]).last_hidden_state + kind for text in (full, "")]
    for scale in (3.0, 1.0):
        common = {"num_inference_steps": 4, "guidance_scale": scale}
        for kind_of in ("latent", "pt"):
            expected = plain(prompt_embeds=embeds[0], negative_prompt_embeds=embeds[1], generator=seeded(3), output_type=kind_of, **common).images[0]
            for story in ([full], [full, *STORY]):
                found = pipe(story, generator=seeded(3), output_type=kind_of, **common).frames[0]
                assert torch.equal(found[0], expected)
    ids, mask = tokenize_sentences(tokenizer, STORY[:1])
    x = torch.randn(1, 4, 8, 8, generator=seeded(4))
    with torch.no_grad():
        pipe.scheduler.set_timesteps(2)
        context, z = pipe.text_encoder(ids).last_hidden_state + kind, x
        for t in pipe.scheduler.timesteps:
            z = pipe.scheduler.step(pipe.unet(z, t, context, encoder_attention_mask=mask).sample, t, z).prev_sample
    assert torch.equal(draw(pipe, STORY, latents=x[:, None].repeat(1, 4, 1, 1, 1), guidance_scale=1.0)[:1], z)


def test_without_memory_frames_are_drawn_alone(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    noise = noise_for(pipe, 1, 4)
    found = draw(pipe, STORY, latents=noise, use_memory=False)
    for m, sentence in enumerate(STORY):
        torch.testing.assert_close(found[m : m + 1], draw(pipe, [sentence], latents=noise[:, m : m + 1]), **CLOSE)


@pytest.mark.parametrize("scheduler", [DDIMScheduler, EulerAncestralDiscreteScheduler])
def test_batched_stories_are_the_same_one_by_one(scheduler, tokenizer):
    """Stories of different lengths, some of which go on from frames."""
    pipe = tiny_pipeline(tokenizer, 3, scheduler=scheduler(prediction_type="v_prediction"))
    stories, frames = [STORY[:2], STORY, ["Toby sits."], STORY[1:]], [[], pictures(1), [], pictures(2, seed=1)]
    for extra in ({}, {"frames": frames}, {"memory_guidance_scale": 1.5}):
        together = draw(pipe, stories, generator=[seeded(n) for n in range(4)], **extra)
        assert [len(story) for story in together] == [2, 4, 1, 3]
        for n, story in enumerate(stories):
            mine = {**extra, "frames": [frames[n]]} if "frames" in extra else extra
            torch.testing.assert_close(together[n], draw(pipe, [story], generator=[seeded(n)], **mine)[0], atol=1e-4, rtol=1e-3)


def test_going_on_from_latents_is_one_call(tokenizer):
    """Bit for bit; and given pictures are read as they are."""
    pipe = tiny_pipeline(tokenizer)
    whole = draw(pipe, STORY)
    for k in (1, 3):
        assert torch.equal(draw(pipe, STORY, frames=whole[:k]), whole)
    read = []
    pipe._read_frame = lambda ids, mask, frame: read.append(frame) or ARLDMPipeline._read_frame(pipe, ids, mask, frame)
    given = pictures(1)
    draw(pipe, STORY[:2], frames=given)
    assert torch.equal(read[1], frames_tensor(given)[0])


def test_caches_are_exact(tokenizer, monkeypatch):
    """Each finished frame is read and decoded once; keys and values are computed once a frame, and change no bit."""
    pipe = tiny_pipeline(tokenizer)
    calls = calls_seen_by_hooks(pipe.history_encoder)
    projected = []
    layer = pipe.unet.mid_block.attentions[0].transformer_blocks[0].attn2.to_k
    forward = layer.forward
    layer.forward = lambda *args: projected.append(1) or forward(*args)
    decoded = []
    monkeypatch.setattr("story_ldm.pipelines.ar_ldm.decode_latents", lambda *args: decoded.append(1) or decode_latents(*args))
    cached = draw(pipe, STORY, num_inference_steps=6, output_type="pt")
    assert len(calls) == len(STORY), "the empty history, and every frame but the last"
    assert len(projected) == len(decoded) == len(STORY)
    assert layer.forward(torch.zeros(1, WIDTH)).shape[0] == 1 and "forward" not in vars(pipe.unet.conv_in), "afterwards all is as before"
    monkeypatch.setattr("story_ldm.pipelines.ar_ldm.context_cache", lambda unet: torch.no_grad())
    projected.clear()
    assert torch.equal(draw(pipe, STORY, num_inference_steps=6, output_type="pt"), cached) and len(projected) == 6 * len(STORY)


def test_a_cache_ends_with_its_block(tokenizer):
    unet = plain_unet()
    x, t, labels = torch.randn(1, 4, 8, 8, generator=seeded()), torch.tensor(5), torch.zeros(1, WIDTH)
    one, other = torch.randn(2, 1, 3, WIDTH, generator=seeded(1))
    with torch.no_grad():
        expected = [unet(x, t, c, class_labels=labels).sample for c in (one, other)]
        for context, value in zip((one, other), expected, strict=True):
            with pytest.raises(KeyError), context_cache(unet):
                for _ in range(2):
                    assert torch.equal(unet(x, t, context, class_labels=labels).sample, value)
                raise KeyError


def test_saved_and_opened(tokenizer, tmp_path):
    """Invariant 4: the same pictures, from safetensors only; the scripts find the class by the folder."""
    pipe = tiny_pipeline(tokenizer)
    pipe.save_pretrained(tmp_path)
    assert {file.suffix for file in tmp_path.rglob("*") if file.is_file()} <= {".safetensors", ".json", ".txt", ".py"}
    assert pipeline_class(tmp_path) is ARLDMPipeline
    opened = [ARLDMPipeline.from_pretrained(tmp_path) for _ in range(2)]
    for one in opened:
        one.set_progress_bar_config(disable=True)
    first, again = (draw(one, STORY) for one in opened)
    assert torch.equal(first, again)
    torch.testing.assert_close(first, draw(pipe, STORY), **CLOSE)
    assert opened[0].history_embedding.config.encoder_token == len(tokenizer)
    with pytest.raises(ValueError, match=r"not a StoryLDMPipeline; open it by ARLDMPipeline\.from_pretrained"):
        StoryLDMPipeline.from_pretrained(tmp_path)


def test_the_command_line_draws_by_its_folder(tokenizer, tmp_path, monkeypatch, capsys):
    tiny_pipeline(tokenizer).save_pretrained(tmp_path / "model")
    argv = ["generate", "Bruno waves.", "He sits.", "--model", tmp_path / "model", "--output", tmp_path / "story.png", "--steps", 1]
    for more, says in (
        (["--memory", "reference"], "--memory is reference, and --model is .*, an ARLDMPipeline: it has no reader, no such memory"),
        (["--explain"], "--explain is given, and --model is .*, an ARLDMPipeline: it has no reader"),
        (["--long-sentences", "chunks"], "--long-sentences is chunks, and --model is .*, an ARLDMPipeline"),
    ):
        with pytest.raises(SystemExit, match=says):
            story_ldm(monkeypatch, *argv, *more)
    assert not (tmp_path / "story.png").exists()
    story_ldm(monkeypatch, *argv, "--memory", "none")
    assert (tmp_path / "story.png").exists() and "warning" not in capsys.readouterr().err


def blip_config(vocabulary: int, **text) -> BlipConfig:
    sizes = {"intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": vocabulary, "hidden_size": WIDTH, "max_position_embeddings": 64, "hidden_dropout_prob": 0.1, **text}
    text |= {"bos_token_id": vocabulary - 2, "eos_token_id": 2, "sep_token_id": 3}
    return BlipConfig(text_config=text, vision_config={**sizes, "hidden_size": 12, "image_size": 16, "patch_size": 8, "attention_dropout": 0.1})


@pytest.mark.parametrize("kind", [BlipForConditionalGeneration, BlipForImageTextRetrieval, BlipForQuestionAnswering, BlipModel])
def test_any_blip_in_the_published_layout(kind, tokenizer, tmp_path):
    """Model and BERT tokenizer in one folder; two rows of the table are [DEC] and [ENC]; what it makes of a frame stays, without dropout."""
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *"abcdefghijklmnopqrstuvwxyz.",
        *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
    ]
    torch.manual_seed(0)
    blip = kind(blip_config(len(words) + 2))
    for parameter in blip.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    blip.save_pretrained(tmp_path)
    BertTokenizer(vocab={word: n for n, word in enumerate(words)}, model_max_length=64).save_pretrained(tmp_path)
    history, own = open_history(tmp_path)
    token = encoder_token(history, own)
    assert type(history) is BlipForImageTextRetrieval and token == len(words) + 1
    own.model_max_length = 48
    ids, mask = tokenize_sentences(own, ["a bear waves."])
    assert ids.shape == (1, 48) and ids[0, 0] == 2
    frames = torch.rand(1, 3, 16, 16, generator=seeded()) * 2 - 1
    with torch.no_grad():
        states = read_history(history.train(), token, ids, mask, frames)
        assert torch.equal(states, read_history(history, token, ids, mask, frames)), "no dropout"
        text = {BlipForConditionalGeneration: lambda: blip.text_decoder.bert, BlipModel: lambda: blip.text_model}.get(
            kind, lambda: blip.text_encoder
        )()
        ids[0, 0] = token
        patches = blip.eval().vision_model(pixel_values(frames, 16)).last_hidden_state
        expected = text(ids, attention_mask=mask, encoder_hidden_states=patches).last_hidden_state
    torch.testing.assert_close(states, expected, **CLOSE)
    pipe = tiny_pipeline(tokenizer)
    pipe.register_modules(history_encoder=history.eval(), history_tokenizer=own)
    pipe.history_embedding.register_to_config(encoder_token=token)
    assert draw(pipe, ["a bear.", "he waves."]).isfinite().all()


def test_what_is_no_history_encoder(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="the history encoder is a CLIPTextModel; it must be one of BlipForImageTextRetrieval"):
        as_history_encoder(tiny_text_encoder(tokenizer))
    tiny_text_encoder(tokenizer).save_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder; it must hold a history encoder"):
        open_history(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"architectures of .* is \['CLIPTextModel'\]; a history encoder is one of Blip"):
        open_history(tmp_path)
    with pytest.raises(ValueError, match="is_decoder of the history encoder's text_config is False"):
        as_history_encoder(BlipForImageTextRetrieval(blip_config(60, is_decoder=False)))
    pipe = tiny_pipeline(tokenizer)
    with pytest.raises(ValueError, match="width of the history embedding is 4; these must be equal"):
        ARLDMPipeline(**{**pipe.components, "history_embedding": HistoryEmbedding(4)})


def test_two_steps_of_training_change_every_part(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    model = denoiser_of(pipe).train()
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    for seed in range(2):
        batch = training_batch(pipe, seed=seed)
        loss = (model(batch) - batch.noise).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    same = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    unused = ("history_encoder.vision_proj", "history_encoder.text_proj", "history_encoder.itm_head")
    assert all(name.startswith(unused) or name.endswith(("key.bias", "k_proj.bias")) for name in same), same  # softmax cancels those of keys
    assert draw(pipe, STORY).isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sentences": []}, "sentences is"),
        ({"sentences": ["waves " * 99]}, "reads at most 32"),
        ({"use_memory": "referential"}, "use_memory is 'referential'; it must be True or False"),
        ({"guidance_scale": "2"}, "guidance_scale is '2'"),
        ({"memory_guidance_scale": float("nan")}, "memory_guidance_scale is nan"),
        ({"latents": torch.zeros(1, 1, 4, 8, 8)}, r"latents have the shape \(1, 1, 4, 8, 8\); these stories require \(1, 4, 4, 8, 8\)"),
        ({"frames": pictures(5)}, "it may have at most 4"),
        ({"height": 30}, "height is 30"),
        ({"output_type": "jpg"}, "output_type is 'jpg'"),
        ({"prompt": "x"}, "prompt is not an argument"),
        ({"callback_on_step_end_tensor_inputs": ["prompt_embeds"]}, "it may have latents, noise_prediction"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt is 0"),
    ],
)
def test_refused(arguments, message, tokenizer):
    pipe = tiny_pipeline(tokenizer)
    pipe.draw_frame = None  # nothing is drawn
    with pytest.raises(ValueError, match=message):
        pipe(**{"sentences": STORY, **arguments})


def test_arguments_as_in_story_ldm(tokenizer):
    pipe = tiny_pipeline(tokenizer)
    base = draw(pipe, STORY)
    assert not torch.equal(draw(pipe, STORY, negative_prompt="a cat"), base)
    assert torch.equal(draw(pipe, STORY, negative_prompt=["a cat", "", "", ""])[0], draw(pipe, STORY, negative_prompt="a cat")[0])
    twice = draw(pipe, [STORY], num_images_per_prompt=2, generator=[seeded(0), seeded(1)])
    torch.testing.assert_close(twice[0], base, **CLOSE)
    seeds = draw(pipe, STORY, generator=None, seeds=[1, 2, 3, 4])
    assert torch.equal(draw(pipe, STORY, generator=None, seeds=[1, 2, 9, 4])[:2], seeds[:2])
    steps = []

    def callback(pipe, step, t, tensors):
        steps.append(step)
        pipe._interrupt = step == 2
        return {"latents": tensors["latents"] * 0.5}

    changed = draw(pipe, STORY, callback_on_step_end=callback)
    assert steps == list(range(3)) and len(changed) == 2 and not torch.equal(changed[0], base[0])
    out = pipe(STORY, num_inference_steps=1)
    assert [frame.size for frame in out.frames[0]] == [(32, 32)] * 4 and out.memory_weights is None
    assert pipe(STORY[:1], num_inference_steps=1, height=48, width=32).frames[0][0].size == (32, 48)
    again = ARLDMPipeline.from_pipe(pipe)
    assert again.unet is pipe.unet
    with pytest.raises(ValueError, match="others have no history encoder"):
        ARLDMPipeline.from_pipe(StableDiffusionPipeline)


def test_presets_have_the_published_sizes_and_those_of_the_shipped_model():
    counts = {name: {part: sum(p.numel() for p in model.parameters()) for part, model in parts_of(name).items()} for name in PRESETS}
    published = counts["ar-ldm-sd15"]
    assert published["UNet"] == 859_520_964 and published["text encoder"] == 123_060_480
    assert round(published["history encoder"] / 1e6) == 445 and published["embeddings"] == 7 * 768
    assert round((sum(published.values()) - published["autoencoder"]) / 1e9, 2) == 1.43
    shipped = 11_142_384 + 1_054_080 + 927_236  # toon-story-ldm's UNet, text encoder and language memory
    assert abs((sum(counts["toon-64"].values()) - counts["toon-64"]["autoencoder"]) / shipped - 1) < 0.1
    assert isinstance(parts_of("toon-64")["autoencoder"], AutoencoderKL)
