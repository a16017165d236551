"""From packages to pictures, with packages of a few made-up pictures in the shape of the published ones."""

import json

import numpy as np
import pytest
from PIL import Image

from mini import judge, prepare, sources

THINGS = {"1f34e": ("red apple", "food-fruit", (220, 40, 40)), "1f41f": ("Fish", "animal-marine", (60, 120, 220)),
          "1f459": ("bikini", "clothing", (200, 80, 170)), "1f550": ("one o’clock", "time", (90, 90, 90)),
          "1f1e6": ("flag: Somewhere", "country-flag", (0, 160, 0)), "1f96d": ("mango", "food-fruit", (250, 150, 40))}
KEPT = ["fish", "mango", "red apple"]


@pytest.fixture
def packages(tmp_path):
    def write(path, value):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps(value))

    groups = sorted({subgroup for _, subgroup, _ in THINGS.values()})
    write("emojibase-data/meta/groups.json", {"subgroups": dict(enumerate(groups))})
    write("emojibase-data/en/data.json",
          [{"hexcode": hexcode.upper() + "-FE0F", "label": label, "subgroup": groups.index(subgroup), "tags": ["nice-one", "é"]}
           for hexcode, (label, subgroup, _) in THINGS.items()])
    icons = {label.split()[-1]: {"body": f'<circle cx="16" cy="16" r="12" fill="rgb{rgb}"/>'}
             for label, _, rgb in THINGS.values()}
    names = {hexcode: label.split()[-1] for hexcode, (label, _, _) in THINGS.items()}
    for package in ("fluent-emoji-flat", "twemoji", "fluent-emoji"):
        write(f"@iconify-json/{package}/icons.json", {"icons": icons, "width": 32, "height": 32})
        write(f"@iconify-json/{package}/chars.json", {} if package == "fluent-emoji" else names)
    assets = tmp_path / "@lobehub" / "fluent-emoji-3d" / "assets"
    assets.mkdir(parents=True)
    for hexcode, (_, _, rgb) in THINGS.items():
        Image.new("RGBA", (64, 64), (*rgb, 255)).save(assets / f"{hexcode}.webp", lossless=True)
    return tmp_path


def test_what_is_trained_on_and_what_not(packages):
    known = sources.labels(packages)
    assert sorted(row["label"] for row in known.values()) == KEPT
    assert known["1f34e"] == {"label": "red apple", "tags": ["nice one"], "subgroup": "food-fruit", "weight": 4}


def test_a_picture_keeps_its_margin_and_colour(packages):
    for source in (sources.vector_set(packages, "@iconify-json/twemoji")["1f34e"],
                   sources.raster_set(packages, "@lobehub/fluent-emoji-3d")["1f34e"]):
        picture = sources.draw(source)
        assert picture.shape == (256, 256, 4) and not picture[:8, :, 3].any() and not picture[:, -8:, 3].any()
        assert picture[128, 128].tolist() == [220, 40, 40, 255]


def test_prepare_gives_the_same_files_again(packages, monkeypatch):
    for out in ("one", "two"):
        monkeypatch.setattr("sys.argv", ["prepare", "--packages", str(packages), "--out", str(packages / out)])
        prepare.main()
    rows = json.loads((packages / "one" / "pictures.json").read_text())
    assert [(row["set"], row["label"]) for row in rows] == [
        (one.name, label) for one in sources.SETS for label in ("red apple", "fish", "mango")]
    for name in ("pictures.npy", "pictures.json"):
        assert (packages / "one" / name).read_bytes() == (packages / "two" / name).read_bytes()


def test_the_judge_learns_what_it_is_shown(packages, monkeypatch):
    """On a set whose package lacks the list of names, as the published one does."""
    monkeypatch.setattr("sys.argv", ["prepare", "--packages", str(packages), "--out", str(packages / "data")])
    prepare.main()
    monkeypatch.setattr("sys.argv", ["judge", "--data", str(packages / "data"), "--packages", str(packages), "--out",
                                     str(packages / "judge"), "--steps", "30", "--batch", "12", "--threads", "1"])
    judge.main()
    line = json.loads((packages / "judge" / "log.jsonl").read_text())
    assert line["step"] == 30 and line["loss"] < np.log(3)
    model, labels = judge.load(packages / "judge" / "last.pt")
    assert labels == KEPT
    pictures, truth = judge.strangers(packages, json.loads((packages / "data" / "pictures.json").read_text()))
    assert sorted(truth) == KEPT
    assert judge.judged(model, pictures).shape == (3, 3)
