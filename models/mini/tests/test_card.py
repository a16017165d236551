import json
import re
import xml.etree.ElementTree

import pytest

from mini import card, sample, sources


@pytest.fixture
def facts() -> dict:
    figures = {"size": 128, "steps": 16, "guidance": 4.0, "labels": 200, "count": 200, "seen": 0.614, "unseen": 0.27, "unseen_both": 0.2,
               "seen_colour": 0.5, "colour": 0.83}
    return {"figures": [figures, {**figures, "size": 256, "seen": 0.476}], "curves": [[{**figures, "samples": 5e5, "count": 50, "seen": 0.4}, {**figures, "samples": 1e6}]],
            "seconds": 7200.0, "steps": 8000, "samples": {"128": 9e5, "256": 1e5}, "sizes": [128, 256], "transformer": 14e6, "text": 1e6,
            "autoencoder": 2e6, "shape": {"width": 256, "depth": 5, "context": 128, "layers": 3, "known": [1, 2, 3]},
            "pictures": {one.name: 900 for one in sources.SETS}, "labels": 800, "losses": [(50, 0.9), (8000, 0.0612)],
            "psnr": 33.1, "autoencoder_seconds": 3600, "judge": 0.7, "hardware": "a processor", "processes": 2,
            "watts": 15, "lora": "taken for a penguin: 0% without, 90% with"}


def test_prompts_are_64_of_their_kinds():
    assert len(card.PROMPTS) == len(set(card.PROMPTS)) == 24 + 16 + 8 + 8 + 4 + 4
    assert all(" background" in prompt for prompt in card.PROMPTS[40:48])
    assert not any(" background" in prompt for prompt in card.PROMPTS[:40])


def test_card_says_what_was_measured(facts):
    text = card.written(facts)
    for words in ("61 %", "27 %", "83 %", "33.1 dB", "2.0 hours on 2 x a processor", "about 0.06 kWh", "8,000 steps",
                  "900,000 of 128 x 128 and 100,000 of 256 x 256", "| 500,000 | 50 | 40 %", "| 61 % | 48 % | 60 % |", "14.0 M", "90% with", *(one.attribution for one in sources.SETS),
                  *(one.licence for one in sources.SETS), *card.PROMPTS):
        assert words in text, words
    assert not re.search(r"\bnan\b|\bNone\b", text)


def test_charts_are_drawings(facts):
    drawn = xml.etree.ElementTree.fromstring(card.chart("loss", "step", {"loss": facts["losses"], "other": [(1, 2.0)]}))
    lines = drawn.findall("{*}polyline")
    assert len(lines) == 2
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in lines[0].get("points").split())
    assert x0 < x1 and y0 < y1


def test_log_tells_each_step_once(tmp_path):
    rows = [{"step": 50, "loss": 1.0}, {"step": 100, "loss": 0.5}, {"step": 50, "loss": 0.9}, {"step": 60, "psnr": 1}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [(row["step"], row["loss"]) for row in card.logged(tmp_path, "loss")] == [(50, 0.9), (100, 0.5)]


def test_curves_are_in_order_of_samples(tmp_path):
    """One of each size. The last checkpoint may be one of those kept under way: it counts once."""
    for name, size, samples in (("figures-128", 128, 160000), ("figures-256", 256, 9000), ("curve-128-step-001000", 128, 80000),
                                ("curve-128-step-000500", 128, 40000), ("curve-128-step-002000", 128, 160000),
                                ("curve-256-step-001000", 256, 0)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"size": size, "samples": samples}))
    assert [[(one["size"], one["samples"]) for one in curve] for curve in card.curves(tmp_path)] == [
        [(128, 40000), (128, 80000), (128, 160000)], [(256, 0), (256, 9000)]]


def test_sample_is_a_picture_and_the_seed_decides(model):
    decoder = lambda latent: latent[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3).sigmoid()
    one, same, other = (sample.picture(model, decoder, "a red apple", 32, 2, 4.0, seed) for seed in (1, 1, 2))
    assert one.size == (32, 32) and one.mode == "RGB"
    assert one.tobytes() == same.tobytes() != other.tobytes()
