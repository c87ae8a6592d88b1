"""Captions in many scripts: drawn by a font that has them, in lines that fit, and what no font has is named."""

from __future__ import annotations

import sys
from functools import cache

import numpy as np
import pytest
from PIL import Image

from story_ldm.reports import fonts
from story_ldm.reports.pictures import story_gallery
from story_ldm.reports.strips import story_strip

installed = pytest.mark.skipif(len(fonts.font_files()) < len(fonts.PACKAGES), reason="needs the extra fonts")
SCRIPTS = {
    "Cyrillic": "Мия сидит у реки и смотрит на далёкие горы.",
    "Greek": "Η Μία κάθεται δίπλα στο ποτάμι.",
    "Vietnamese": "Mia ngồi bên bờ sông và nhìn những ngọn núi xa.",
    "Arabic": "مريم تجلس بجانب النهر وتنظر إلى الجبال البعيدة",
    "Hebrew": "מיה יושבת ליד הנהר ומביטה בהרים",
    "Hindi": "मिया नदी के किनारे बैठती है",
    "Bengali": "মিয়া নদীর ধারে বসে আছে",
    "Tamil": "மியா ஆற்றின் அருகே அமர்ந்திருக்கிறாள்",
    "Telugu": "మియా నది పక్కన కూర్చుంది",
    "Thai": "มีอานั่งอยู่ริมแม่น้ำและมองดูภูเขา",
    "Khmer": "មីអាអង្គុយក្បែរទន្លេ",
    "Chinese": "米娅坐在河边,看着远处的山。她很高兴。",
    "Japanese": "ミアは川のそばに座っています。",
    "Korean": "미아는 강가에 앉아 있다.",
    "Georgian": "მია მდინარესთან ზის და მთებს უყურებს.",
    "Armenian": "Միան նստած է գետի մոտ։",
    "Amharic": "ሚያ በወንዙ ዳር ተቀምጣለች።",
    "Gujarati": "મિયા નદી પાસે બેઠી છે",
    "Kannada": "ಮಿಯಾ ನದಿಯ ಬಳಿ ಕುಳಿತಿದ್ದಾಳೆ",
    "Malayalam": "മിയ നദിക്കരയിൽ ഇരിക്കുന്നു",
    "Burmese": "မီယာ မြစ်ဘေးမှာ ထိုင်နေသည်",
    "Lao": "ມີອານັ່ງຢູ່ແຄມແມ່ນ້ຳ",
    "Sinhala": "මියා ගඟ අසල වාඩි වී සිටී",
    "emoji": "Mia waves 👋🏽! Rex: 😀, ❤️ and 👩‍🚀.",
    "mixed": "Mia sagt 你好 und नमस्ते.",
}


@installed
@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_a_font(script, capsys):
    lines = fonts.wrapped(SCRIPTS[script], 14, 160)
    assert "".join(words for line in lines for words, _ in line) == SCRIPTS[script]
    for line in lines:
        assert sum(font.getlength(words) for words, font in line) <= 160 + 10
        for words, font in line:
            assert fonts.font_for(words, 14) is not None and fonts.opened(None, 14).getlength("a") > 0
            box = bytes(font.getmask("\U0010ffff"))  # what a font draws for characters that it lacks
            assert all(bytes(font.getmask(c)) != box for c in words if not fonts._is_silent(c))
    strip = story_strip([Image.new("RGB", (64, 64))], [SCRIPTS[script]], 160)
    assert (np.asarray(strip)[175:] < 128).any() and not capsys.readouterr().err


@pytest.mark.parametrize("extra", [pytest.param("fonts", marks=installed), "none"])
def test_captions_are_drawn_with_and_without_the_extra(extra, capsys, monkeypatch):
    """Without it, with Pillow's own font as ever; characters that it lacks are named."""
    fonts._warn.cache_clear()
    if extra == "none":
        monkeypatch.setattr(fonts, "font_files", lambda: ())
        monkeypatch.setitem(sys.modules, "fontTools.ttLib", None)
        monkeypatch.setattr(fonts, "characters", cache(fonts.characters.__wrapped__))
    for text, lacks in (('Mia waves: "Hi!"', False), ("Mia winkt 米", True)):
        assert (np.asarray(story_strip([Image.new("RGB", (64, 64))], [text], 160))[175:] < 128).any()
        assert ("'米' is drawn as boxes" in capsys.readouterr().err) == (lacks and extra == "none")


@installed
def test_titles_of_galleries_are_drawn_as_captions_are(capsys):
    """Formerly as boxes, and silently."""
    frames = [Image.new("RGB", (64, 64))] * 2
    titles = [np.asarray(story_gallery([(name, frames, None)], ["Mia sits.", "Mia 😀."], 64)) for name in ("米娅", "河边", "😀", "👋")]
    assert not any((a == b).all() for n, a in enumerate(titles) for b in titles[:n]) and not capsys.readouterr().err


def test_titles_that_no_font_has_are_named(capsys, monkeypatch):
    fonts._warn.cache_clear()
    monkeypatch.setattr(fonts, "font_files", lambda: ())
    for _ in range(2):
        story_gallery([("system 😀!", [Image.new("RGB", (64, 64))], None)], ["Mia sits."], 64)
    assert capsys.readouterr().err.startswith("warning: '😀' is drawn as boxes: pip install") and not capsys.readouterr().err


@installed
def test_what_no_font_has_is_named_by_words(capsys):
    fonts._warn.cache_clear()
    for _ in range(2):
        fonts.wrapped("Mia waves ᚠᚢᚦ here", 14, 160)
    assert capsys.readouterr().err == "warning: 'ᚠᚢᚦ' is drawn as boxes: no installed font has it\n"


def test_the_extra_is_named_where_it_is_missing(capsys, monkeypatch):
    fonts._warn.cache_clear()
    monkeypatch.setattr(fonts, "font_files", lambda: ())
    fonts.wrapped("米娅", 14, 160)
    assert """'米' is drawn as boxes: pip install "story-ldm[fonts]" has fonts""" in capsys.readouterr().err
