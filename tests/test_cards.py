"""Cards of models and datasets: their metadata, and the licence of what a model was trained on."""

from __future__ import annotations

import json

import pytest
from huggingface_hub import DatasetCard, ModelCard

from story_ldm.data.sources.base import Source
from story_ldm.data.sources.record import card
from story_ldm.data.story_form import card_data
from story_ldm.files import markdown_table
from story_ldm.reports.cards import dataset_licence, model_licence, write_model_card, write_training_section


def record(dataset, **more) -> dict:
    return {"preset": "toon-64", "dataset": str(dataset), "license": None, "precision": "fp16", **more}


@pytest.fixture
def dataset(tmp_path):
    def make(metadata: str | None):
        folder = tmp_path / "stories"
        folder.mkdir(exist_ok=True)
        if metadata is not None:
            (folder / "README.md").write_text(f"---\n{metadata}\n---\n# My comics\n")
        return folder

    return make


def test_a_model_has_the_licence_of_its_dataset(dataset, capsys):
    assert model_licence(record("toonstories")) == {"license": "mit"}
    assert model_licence(record(dataset(None))) == {} and "is unknown" in capsys.readouterr().err
    assert model_licence(record(dataset("language: en"))) == {} and not capsys.readouterr().err
    assert model_licence(record(dataset("license: cc-by-4.0"))) == {"license": "cc-by-4.0"}
    own = {"license": "other", "license_name": "pictures", "license_link": "https://example.org"}
    assert model_licence(record(dataset("\n".join(f"{key}: {value}" for key, value in own.items())))) == own
    assert model_licence(record(dataset("license: ["))) == {} and "is unknown" in capsys.readouterr().err, "at the end of a long training"


def test_the_setting_comes_before_the_dataset_and_a_model_of_others_has_no_default(dataset):
    folder = dataset("license: cc-by-4.0")
    assert model_licence(record(folder, license="apache-2.0", init_from="a-stable-diffusion")) == {"license": "apache-2.0"}
    for other in ("init_from", "text_from"):
        assert model_licence(record(folder, **{other: "a-stable-diffusion"})) == {}
    assert model_licence(record(folder, init_from="a-stable-diffusion", train="memory")) == {"license": "cc-by-4.0"}, "none of it is in an adapter"


def test_card_of_a_pipeline(dataset, tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StoryLDMPipeline"}))
    write_model_card(tmp_path, record("toonstories"), {"unet": 12_345_678}, [[8, 0.5], [16, 0.25]], 16)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith(
        "---\nlibrary_name: diffusers\nlicense: mit\npipeline_tag: text-to-image\n---\n# Story-LDM toon-64, trained on toonstories\n"
    )
    assert "| unet | 12.35 M |" in card and "| 16 | 0.25 |" in card and "| precision | fp16 |" in card
    for metadata, licence in (("license: cc0-1.0", "cc0-1.0"), ("language: en", None)):
        write_model_card(tmp_path, record(dataset(metadata)), {}, [], 1)
        card = ModelCard.load(tmp_path / "README.md")
        assert card.data.license == licence and card.data.pipeline_tag == "text-to-image" and "built-in world" not in card.text
        assert ("license" in card.data.to_dict()) == bool(licence)


def test_card_of_a_part(dataset, tmp_path):
    for licence in ("cc0-1.0", "cc-by-4.0"):  # again, by a run that was resumed
        (tmp_path / "vae").mkdir(exist_ok=True)
        write_training_section(tmp_path / "vae", record(dataset(f"license: {licence}")), {"vae": 1}, seen=5, script="x.py")
        card = ModelCard.load(tmp_path / "vae" / "README.md")
        assert card.data.license == licence and card.text.count("## Training") == 1 and "5 stories seen" in card.text
    write_training_section(tmp_path, record(dataset("language: en")), {}, seen=5)
    assert (tmp_path / "README.md").read_text().startswith("## Training\n"), "no licence, no metadata"


def test_metadata_of_a_dataset(tmp_path):
    (tmp_path / "README.md").write_text(f"---\n{card_data(('train', 'test'), 'mit')}\n---\n# Stories\n")
    data = DatasetCard.load(tmp_path / "README.md").data.to_dict()
    files = [{"split": split, "path": f"data/{split}-*.parquet"} for split in ("train", "test")]
    assert data["configs"] == [{"config_name": "default", "data_files": files}] and data["task_categories"] == ["text-to-image"]
    assert dataset_licence(tmp_path) == {"license": "mit"} and "license" not in card_data((), None).to_dict()


def test_markdown_table():
    assert markdown_table(("a", "", "c"), [(1, None, ""), ("x", 2.5, "")]) == "| a | | c |\n|---|---|---|\n| 1 | None |  |\n| x | 2.5 |  |"
    assert markdown_table(("a", "b"), (), ("---", "---:")) == "| a | b |\n| --- | ---: |"


def test_names_in_cards_are_text(tmp_path, dataset, monkeypatch):
    """Of a dataset's folder, its licence, and the words of the command."""
    monkeypatch.setattr("sys.argv", ["train.py", "--note", "`\n<script>alert(1)</script>\n# Title"])
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StoryLDMPipeline"}))
    hostile = "a\n\n<img src=x onerror=alert(1)>|[b](javascript:c)"
    write_model_card(tmp_path, record(hostile, license="mit\n---\n# Title"), {hostile: 1}, [], 1)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.license == "mit\n---\n# Title"
    assert "<img" not in card.text and "[b](" not in card.text
    assert "# Title" in card.text and "\n# Title" not in card.text


def test_names_in_the_card_of_a_conversion_are_text():
    source = Source({}, lambda *_: [], lambda *_: {}, cast={"<b>Mia</b>": "she"}, characters=True, backgrounds=("[x](javascript:y)",))
    part = {
        "stories": 1,
        "frames": 1,
        "broken": [["<i>a</i>", "is `broken`\n# Title"]],
        "transparent": 0,
        "long": {"sentences": 0, "stories": 0},
        "files": {},
        "sha256": "0" * 64,
        "dropped_overlaps": 0,
    }
    conversion = {"source": "folder", "text": "full", "size": None, "frame": "middle", "drop_overlaps": False, "background": "white"}
    made = card(
        {
            "conversion": conversion,
            "long_sentences": "error",
            "splits": {"train": part},
            "published": {},
            "recalled": True,
            "overlaps": {},
            "notes": [],
        },
        source,
    )
    assert "<b>" not in made and "<i>" not in made and "[x](" not in made and "\n# Title" not in made
