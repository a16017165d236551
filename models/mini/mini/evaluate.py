"""evaluate: what the model makes of prompts, told by the judge and by measuring colours. Prints figures and writes them.

  seen       "a LABEL" for 200 labels: the judge's first choice among the 200 is the label
  unseen     "a COLOUR THING" for up to 200 pairs that were kept out of training: the first choice is the thing
  colour     of both kinds of coloured prompts: the colour asked for covers more of the thing than any other colour

The 200 labels are fixed by `chosen`, before anything is trained: of the labels of weight 2 and more that all sets draw,
those with the smallest checksum. White is not asked for: on a white ground it cannot be measured.
"""

import argparse
import json
import pathlib
import zlib

import numpy as np
import torch

from mini import colours, compose, encode, judge, model as models, tokens

COUNT = 200


def chosen(rows: list[dict]) -> list[str]:
    """The labels that are asked for; no two of them one thing in two colours."""
    sets = {row["set"] for row in rows}
    drawn = {}
    for row in rows:
        if row["weight"] >= 2:
            drawn.setdefault(row["label"], set()).add(row["set"])
    things, found = set(), []
    for label in sorted((one for one in drawn if drawn[one] == sets), key=lambda one: zlib.crc32(one.encode())):
        if compose.noun(label) not in things:
            things.add(compose.noun(label))
            found.append(label)
    return sorted(found[:COUNT])


def pairs(rows: list[dict], labels: list[str], pictures: np.ndarray, is_unseen: bool, count: int = COUNT):
    """Pairs of colour and label: such as training had, or such as it had not.

    None is a picture as it is: not a thing's own colour in any set, nor what another label says ("blue heart").
    """
    composer = compose.Composer(rows, pictures, 0)
    able = sorted({row["label"] for n, row in enumerate(rows) if row["label"] in labels and composer.can_change(n)})
    words = [word for word in colours.PAINTS if word != "white"]
    own = {(composer.colour[n][0], compose.noun(row["label"])) for n, row in enumerate(rows)}
    own |= {(row["label"].replace("grey", "gray").removeprefix("light ").split()[0], compose.noun(row["label"]))
            for row in rows}
    all_of = [(word, label) for label in able for word in words
              if compose.unseen(word, compose.noun(label)) == is_unseen and (word, compose.noun(label)) not in own]
    all_of.sort(key=lambda pair: zlib.crc32(" ".join(pair).encode()))
    return all_of[:count]


def obeyed(picture: torch.Tensor, word: str) -> bool:
    """Whether `word` is the commonest colour of what is not the white ground; picture [3, H, W] in [0, 1]."""
    pixels = picture.permute(1, 2, 0).numpy().reshape(-1, 3)
    thing = pixels[(pixels < 0.93).any(1)]
    if len(thing) < 0.02 * len(pixels):
        return False
    counts = np.bincount(colours.words(*colours.hsv(thing)), minlength=len(colours.PAINTS))
    return list(colours.PAINTS)[counts.argmax()] == word


@torch.no_grad()
def drawn(model, decoder, captions: list[str], size: int, steps: int, guidance: float, seed: int) -> torch.Tensor:
    """Pictures [N, 3, size, size] in [0, 1]; every one has noise of its own."""
    device = next(model.parameters()).device
    generator, found = torch.Generator().manual_seed(seed), []
    for at in range(0, len(captions), 25):
        part = captions[at:at + 25]
        noise = torch.randn(len(part), 16, size // 8, size // 8, generator=generator).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            latent = models.sample(model, part, noise, steps, guidance)
            found += [decoder(one[None].float()).float().clamp(0, 1).cpu() for one in latent]
    return torch.cat(found)


def first_choice(the_judge, known: list[str], labels: list[str], pictures: torch.Tensor) -> list[str]:
    columns = torch.tensor([known.index(label) for label in labels])
    return [labels[n] for n in judge.judged(the_judge, pictures)[:, columns].argmax(1).tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--autoencoder", type=pathlib.Path, required=True)
    parser.add_argument("--judge", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--count", type=int, default=COUNT, help="prompts of each kind")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = json.loads((options.data / "pictures.json").read_text())
    pictures = np.load(options.data / "pictures.npy", mmap_mode="r")
    labels = chosen(rows)
    the_judge, known = judge.load(options.judge)
    model = models.load(options.checkpoint, tokens.Prompts(options.data / "tokenizer.json")).to(device)
    decoder = encode.load(options.autoencoder).decoder.to(device)
    figures = {"samples": models.samples_of(options.checkpoint, options.size), "size": options.size, "steps": options.steps,
               "guidance": options.guidance, "labels": len(labels), "count": options.count}
    how = (options.size, options.steps, options.guidance)

    asked = labels[::max(1, len(labels) // options.count)]
    made = drawn(model, decoder, [compose.article(label) for label in asked], *how, 1)
    best = first_choice(the_judge, known, labels, made)
    figures["seen"] = sum(a == b for a, b in zip(asked, best)) / len(asked)
    print(f"seen labels: {figures['seen']:.1%} of {len(asked)}", flush=True)
    hits = 0
    total = 0
    for name, is_unseen in (("unseen", True), ("seen_colour", False)):
        these = pairs(rows, labels, pictures, is_unseen, options.count)
        made = drawn(model, decoder, [compose.article(f"{word} {compose.noun(label)}") for word, label in these], *how, 2)
        best = first_choice(the_judge, known, labels, made)
        right = [obeyed(picture, word) for picture, (word, _) in zip(made, these)]
        thing = [choice == label for choice, (_, label) in zip(best, these)]
        figures[name] = sum(thing) / len(these)
        figures[f"{name}_colour"] = sum(right) / len(these)
        figures[f"{name}_both"] = sum(a and b for a, b in zip(thing, right)) / len(these)
        hits, total = hits + sum(right), total + len(these)
        print(f"{name} pairs: thing {figures[name]:.1%}, colour {figures[f'{name}_colour']:.1%}, "
              f"both {figures[f'{name}_both']:.1%} of {len(these)}", flush=True)
    figures["colour"] = hits / total
    print(f"colour obeyed: {figures['colour']:.1%} of {total}")
    options.out.write_text(json.dumps(figures, indent="\t") + "\n")


if __name__ == "__main__":
    main()
