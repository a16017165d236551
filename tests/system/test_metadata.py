"""What our files say, judged by readers that are not ours (Pillow, sd-parsers, an XML parser), and what ours says of
files that Pillow wrote. The program is tests/unit/media/write_sample.c."""
import gzip
import json
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from sd_parsers import ParserManager

import harness

CASES = Path(__file__).parent.parent / "cases" / "metadata"
FORMATS = ["png", "jpeg", "webp", "webp-lossless", "webp-alpha", "webp-animated"]
RECALL = {
    "source": "atelier",
    "prompt": "a red bicycle, zwei Räder 🚲",
    "negative_prompt": "blurry & <b>bad</b>",
    "steps": 20,
    "sampler": "DPM++ 2M",
    "scheduler": "Karras",
    "cfg_scale": 7.5,
    "seed": 41,
    "width": 40,
    "height": 30,
    "model": "base_v1",
    "model_hash": "abcdef1234",
}
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
USER_COMMENT, EXIF_IFD, ORIENTATION = 0x9286, 0x8769, 0x0112


def sample(*args):
    program = Path(harness.binary()).parents[2] / "tests/unit/media/write_sample"
    done = subprocess.run([program, *map(str, args)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def read(path):
    text = sample("read", path)
    return None if text == "none" else json.loads(text)


def picture(kind, color=(200, 30, 40)):
    image = Image.radial_gradient("L").resize((40, 30)).convert("RGB")
    image.putpixel((3, 4), color)
    if kind == "webp-alpha":
        image.putalpha(Image.linear_gradient("L").resize((40, 30)))
    return image


def save(kind, path, **more):
    image = picture(kind)
    if kind == "webp-animated":
        image.save(path, "WEBP", save_all=True, append_images=[picture(kind, (0, 0, 0))], duration=100, **more)
    elif kind == "webp-lossless":
        image.save(path, "WEBP", lossless=True, **more)
    else:
        image.save(path, kind.split("-")[0].upper(), **more)


def written(tmp_path, kind, mode="full", **more):
    source, target, recall = tmp_path / "in", tmp_path / "out", tmp_path / "recall.json"
    save(kind, source, **more)
    recall.write_text(json.dumps(RECALL), encoding="utf-8")
    sample("write", source, target, recall, mode)
    return source, target


def source_type(image):
    packet = image.info.get("xmp") or image.info["XML:com.adobe.xmp"]
    packet = packet.decode() if isinstance(packet, bytes) else packet
    tree = ElementTree.fromstring(packet.strip("\0"))
    return tree.find(f".//{RDF}Description").get(IPTC)


def frames(path):
    with Image.open(path) as image:
        found = []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            found.append(image.convert("RGBA").tobytes())
        return image.mode, image.size, found


@pytest.mark.parametrize("kind", FORMATS)
def test_pixels_and_mark(tmp_path, kind):
    source, target = written(tmp_path, kind)
    assert frames(source) == frames(target)
    with Image.open(target) as image:
        assert source_type(image).endswith("/trainedAlgorithmicMedia")
    _, target = written(tmp_path, kind, "composite")
    with Image.open(target) as image:
        assert source_type(image).endswith("/compositeWithTrainedAlgorithmicMedia")


def test_pillow_reads_png(tmp_path):
    _, target = written(tmp_path, "png")
    with Image.open(target) as image:
        image.load()
        lines = image.text["parameters"].split("\n")
        assert json.loads(image.text["atelier"])["seed"] == 41
    assert lines == [
        RECALL["prompt"],
        "Negative prompt: " + RECALL["negative_prompt"],
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 41, Size: 40x30, "
        "Model hash: abcdef1234, Model: base_v1, Version: Atelier",
    ]


@pytest.mark.parametrize("kind", FORMATS[1:])
def test_pillow_reads_exif(tmp_path, kind):
    _, target = written(tmp_path, kind)
    with Image.open(target) as image:
        comment = image.getexif().get_ifd(EXIF_IFD)[USER_COMMENT]
    assert comment[:8] == b"UNICODE\0"
    assert comment[8:].decode("utf-16-be").startswith(RECALL["prompt"] + "\nNegative prompt: ")


@pytest.mark.parametrize("kind", FORMATS[:3])
def test_sd_parsers_reads(tmp_path, kind):
    _, target = written(tmp_path, kind)
    info = ParserManager().parse(target)
    assert info is not None
    sampler = info.samplers[0]
    assert sampler.name == "DPM++ 2M"
    assert sampler.parameters == {"Steps": "20", "CFG scale": "7.5", "Seed": "41", "scheduler": "Karras"} or {
        key.lower().replace(" ", "_"): value for key, value in sampler.parameters.items()
    } == {"steps": "20", "cfg_scale": "7.5", "seed": "41", "scheduler": "Karras"}
    assert (sampler.model.name, sampler.model.hash) == ("base_v1", "abcdef1234")
    assert info.full_prompt == RECALL["prompt"]
    assert info.full_negative_prompt == RECALL["negative_prompt"]
    assert info.metadata["Size"] == "40x30"


@pytest.mark.parametrize("kind", FORMATS)
def test_ours_reads_ours(tmp_path, kind):
    _, target = written(tmp_path, kind)
    found = read(target)
    assert {key: found[key] for key in RECALL} == RECALL
    assert found["source"] == "atelier" and found["ai_marked"] is True


@pytest.mark.parametrize("kind", FORMATS)
def test_without_metadata_only_the_mark_is_left(tmp_path, kind):
    exif = Image.Exif()
    exif[0x010E] = "where the secret is"
    exif[ORIENTATION] = 6
    profile = b"not a true profile, but kept" * 4
    source, target = written(tmp_path, kind, "bare", exif=exif, icc_profile=profile)
    assert b"secret" in source.read_bytes()
    assert b"secret" not in target.read_bytes() and b"bicycle" not in target.read_bytes()
    with Image.open(target) as image:
        assert image.info["icc_profile"] == profile
        assert dict(image.getexif()) == {ORIENTATION: 6}
        assert source_type(image).endswith("/trainedAlgorithmicMedia")
    assert read(target) == {"ai_marked": True}


@pytest.mark.parametrize("case", sorted(path.stem for path in CASES.glob("*.txt")))
def test_files_of_others(tmp_path, case):
    """Each case inside a PNG (as plain and as compressed text) and, where the tool does so, in Exif."""
    keys = {"comfyui": "prompt", "invokeai": "invokeai_metadata", "invokeai_old": "sd-metadata", "novelai": "Comment",
            "atelier": "atelier"}
    key = keys.get(case) or keys.get(case.split("_")[0]) if case != "novelai_whole" else "parameters"
    text = (CASES / f"{case}.txt").read_text(encoding="utf-8")
    expected = json.loads((CASES / f"{case}.json").read_text(encoding="utf-8"))
    paths = []
    for compressed in (False, True):
        info = PngImagePlugin.PngInfo()
        info.add_text(key or "parameters", text, zip=compressed)
        paths.append(tmp_path / f"{compressed}.png")
        picture("png").save(paths[-1], pnginfo=info)
    if key is None:
        for kind in ("jpeg", "webp"):
            for prefix, encoding in ((b"UNICODE\0", "utf-16-be"), (b"UNICODE\0", "utf-16-le"), (b"ASCII\0\0\0", "utf-8")):
                exif = Image.Exif()
                exif.get_ifd(EXIF_IFD)[USER_COMMENT] = prefix + text.encode(encoding)
                paths.append(tmp_path / f"{encoding}.{kind}")
                picture(kind).save(paths[-1], exif=exif)
    if key == "prompt":
        exif = Image.Exif()
        exif[0x0110] = "prompt:" + json.dumps(json.loads(text))
        paths.append(tmp_path / "comfy.webp")
        picture("webp").save(paths[-1], exif=exif)
    for path in paths:
        found = read(path)
        assert {k: v for k, v in found.items() if k not in ("raw", "workflow", "atelier")} == expected, path.name


@pytest.mark.parametrize("signature", ["stealth_pnginfo", "stealth_pngcomp", "stealth_rgbinfo", "stealth_rgbcomp"])
def test_hidden_in_pixels(tmp_path, signature):
    """Hidden by a writer of its own: bits down the columns, in alpha or in the three colours."""
    text = (CASES / "a1111.txt").read_bytes()
    data = gzip.compress(text) if signature.endswith("comp") else text
    payload = signature.encode() + (len(data) * 8).to_bytes(4, "big") + data
    bits = [byte >> shift & 1 for byte in payload for shift in range(7, -1, -1)]
    image = Image.new("RGBA", (61, 83), (10, 11, 12, 255))
    channels = (0, 1, 2) if "rgb" in signature else (3,)
    for index, bit in enumerate(bits):
        pixel, channel = divmod(index, len(channels))
        place = divmod(pixel, image.height)
        color = list(image.getpixel(place))
        color[channels[channel]] = color[channels[channel]] & 0xFE | bit
        image.putpixel(place, tuple(color))
    raw = tmp_path / "pixels"
    raw.write_bytes(image.tobytes())
    found = json.loads(sample("hidden", raw, image.width))
    found.pop("raw")
    assert found == json.loads((CASES / "a1111.json").read_text(encoding="utf-8"))


def test_bombs_are_left_alone(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a" * (200 << 20), zip=True)
    info.add_itxt("prompt", "{" + " " * (200 << 20), zip=True)
    path = tmp_path / "bomb.png"
    picture("png").save(path, pnginfo=info)
    assert path.stat().st_size < 2 << 20
    assert read(path) is None
