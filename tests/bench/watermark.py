"""How well the invisible mark survives (docs/performance.md): rates over a corpus of pictures.

usage: watermark.py PROGRAM [FOLDER...]   PROGRAM: build/.../tests/bench/watermark_file
The corpus is made here (gradients, textures, noise, shapes), plus every picture of the folders named, at 512 and 1024
pixels a side. Needs numpy and Pillow; skimage's photographs are a good folder.
"""
import io
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image


def made(side, rng):
    """Pictures of every kind that has little or much to hide a mark in."""
    y, x = np.mgrid[0:side, 0:side] / side
    waves = sum(np.sin(2 * np.pi * (fx * x + fy * y) + p) for fx, fy, p in rng.uniform(0, 9, (12, 3)))
    clouds = np.zeros((side, side))
    for octave in range(2, 8):
        small = rng.normal(size=(2 ** octave, 2 ** octave)).astype(np.float32)
        clouds += np.asarray(Image.fromarray(small).resize((side, side), Image.BICUBIC)) / 2 ** (octave * 0.9)
    shapes = np.zeros((side, side))
    for cx, cy, r, v in rng.uniform(0, 1, (40, 4)):
        shapes[(x - cx) ** 2 + (y - cy) ** 2 < (r * 0.2) ** 2] = v
    noise = rng.normal(size=(side, side))
    planes = {
        "flat": np.full((side, side), 128.0), "white": np.full((side, side), 255.0), "ramp": 255 * x,
        "two ramps": 127 * x + 127 * y, "waves": 128 + 12 * waves, "clouds": 128 + 200 * clouds,
        "shapes": 255 * shapes, "sensor noise": 255 * x * 0.6 + 40 + 6 * noise, "strong noise": 128 + 40 * noise,
        "bricks": 90 + 90 * (((x * 20 + (y * 40 // 1 % 2) * 0.5) % 1 > 0.1) & (y * 40 % 1 > 0.15)),
        "lines": 255.0 * ((x + 0.3 * y) * side // 6 % 2), "drawing": 255 - 255 * (np.abs(clouds * 3 % 1 - 0.5) < 0.03),
    }
    tint = {"flat": (1, 0.9, 0.8), "ramp": (0.9, 0.6, 1)}
    for name, plane in planes.items():
        rgb = np.stack([plane * k for k in tint.get(name, (1, 0.97, 0.93))], axis=2)
        yield name, Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def photographs(folders, side):
    for folder in folders:
        for path in sorted(pathlib.Path(folder).iterdir()):
            if path.suffix not in (".png", ".jpg", ".jpeg", ".webp"):
                continue
            image = Image.open(path).convert("RGB")
            if min(image.size) < 200:
                continue
            scale = side / min(image.size)
            image = image.resize((max(side, round(image.width * scale)), max(side, round(image.height * scale))), Image.LANCZOS)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            yield path.stem, image.crop((left, top, left + side, top + side))


def recode(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return Image.open(data).convert("RGB")


def crop(image, share, corner):
    """`share` of the area goes, the rest is a rectangle off the middle."""
    keep = math.sqrt(1 - share)
    w, h = round(image.width * keep), round(image.height * keep)
    left, top = round((image.width - w) * corner[0]), round((image.height - h) * corner[1])
    return image.crop((left, top, left + w, top + h))


def scaled(image, factor, how=Image.LANCZOS):
    return image.resize((round(image.width * factor), round(image.height * factor)), how)


ATTACKS = {
    "untouched": lambda i: i,
    "JPEG q70": lambda i: recode(i, "JPEG", quality=70),
    "50 % resize": lambda i: scaled(i, 0.5),
    "20 % crop": lambda i: crop(i, 0.2, (0.37, 0.81)),
    "crop, half, JPEG q70": lambda i: recode(scaled(crop(i, 0.2, (0.9, 0.2)), 0.5), "JPEG", quality=70),
    "JPEG q50": lambda i: recode(i, "JPEG", quality=50),
    "JPEG q30": lambda i: recode(i, "JPEG", quality=30),
    "WebP q75": lambda i: recode(i, "WEBP", quality=75),
    "83 % resize, JPEG q85*": lambda i: recode(scaled(i, 0.83, Image.BICUBIC), "JPEG", quality=85),
    "35 % resize": lambda i: scaled(i, 0.35),
    "half the picture cropped away": lambda i: crop(i, 0.5, (0.2, 0.6)),
    "brighter, more contrast": lambda i: i.point(lambda v: min(255, max(0, int((v - 128) * 1.25 + 140)))),
    "mirrored": lambda i: i.transpose(Image.FLIP_LEFT_RIGHT),
    "turned by 1 degree": lambda i: i.rotate(1, Image.BICUBIC),
}


def find(program, image, folder, thorough):
    path = pathlib.Path(folder) / "look.pgm"
    image.convert("L").save(path)
    out = subprocess.run([program, "find", path, *(["thorough"] if thorough else [])], check=True, capture_output=True,
                         text=True).stdout.split()
    return out[0] == "1", float(out[1]), float(out[4])


def main(program, folders):
    rng = np.random.default_rng(7)
    for side in (512, 1024):
        corpus = [*made(side, rng), *photographs(folders, side)]
        hits = {name: [] for name in ATTACKS}
        misses = {name: [] for name in ATTACKS}
        psnr, cost, search, unmarked = [], [], [], []
        with tempfile.TemporaryDirectory() as folder:
            for name, image in corpus:
                source, out = pathlib.Path(folder) / "in.ppm", pathlib.Path(folder) / "out.ppm"
                image.save(source)
                cost.append(float(subprocess.run([program, "embed", source, out], check=True, capture_output=True, text=True).stdout))
                marked = Image.open(out).convert("RGB")
                error = np.mean((np.asarray(marked, np.float64) - np.asarray(image, np.float64)) ** 2)
                psnr.append(10 * math.log10(255 ** 2 / error) if error else 99)
                unmarked.append(find(program, image, folder, False)[1])
                for attack, change in ATTACKS.items():
                    found, score, ms = find(program, change(marked), folder, attack.endswith("*"))
                    hits[attack].append(found)
                    if attack == "untouched":
                        search.append(ms)
                    if not found:
                        misses[attack].append(f"{name} {score:.2f}")
        print(f"{side} x {side}, {len(corpus)} pictures: PSNR {min(psnr):.1f} to {max(psnr):.1f} dB, "
              f"embedding {sorted(cost)[len(cost) // 2]:.1f} ms, finding {sorted(search)[len(search) // 2]:.0f} ms, "
              f"best score of an unmarked one {max(unmarked):.3f}")
        for attack in ATTACKS:
            print(f"  {attack:32} {100 * sum(hits[attack]) / len(corpus):5.1f} %  {', '.join(misses[attack][:6])}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
