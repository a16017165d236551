"""card: writes the model card from what is measured: data and licences, how and how long it was trained, figures, limits.

Beside it, in card/: sheet.png (64 fixed prompts, one seed each, none chosen), loss.svg, compute-SIZE.svg (what more training
gives, from figures of several checkpoints). Nothing in the card is typed in: run it again after training again.
"""

import argparse
import json
import pathlib
import platform

import torch
from PIL import Image

from mini import encode, evaluate, model as models, sources, tokens

PROMPTS = (
    # 24 plain things
    "a red apple", "a pizza", "a hamburger", "a strawberry", "a banana", "a birthday cake", "a hot beverage", "a bread",
    "a cat face", "a dog face", "a penguin", "a butterfly", "a fish", "a turtle", "an owl", "a tulip",
    "a red heart", "a grinning face", "a rocket", "a sailboat", "a guitar", "a light bulb", "a soccer ball", "an umbrella",
    # 16 colours
    "a blue apple", "a purple rocket", "a green heart", "a pink fish", "a yellow umbrella", "an orange butterfly",
    "a black cat", "a red guitar", "a blue strawberry", "a green balloon", "a purple tulip", "a brown fish",
    "a pink car", "a gray owl", "a yellow turtle", "a red banana",
    # 8 grounds
    "a cat face on a blue background", "a pizza on a green background", "a rocket on a black background",
    "a tulip on a yellow background", "a penguin on a pink background", "a red heart on a light blue background",
    "an owl on an orange background", "a fish on a purple background",
    # 8 pairs
    "a red apple and a banana", "a dog face and a yellow star", "a rocket to the left of a red heart",
    "a pizza next to a hamburger", "a tulip above a butterfly", "a fish to the right of a turtle",
    "a blue heart and a green apple", "a guitar and a soccer ball",
    # 4 counts
    "two red hearts", "three strawberries", "four balloons", "two penguins",
    # 4 places
    "a rocket in the top left corner", "a fish at the bottom", "a butterfly on the right", "a small banana",
)
COLUMNS = 8
WATTS = {"cpu": 15, "gpu": 700}  # of one core, of one GPU: stated, not measured
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 640, 300, 60, 30, 40
INKS = ("#2563eb", "#dc2626", "#059669", "#9333ea")


def short(value: float) -> str:
    for part, letter in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= part:
            return f"{value / part:.3g}{letter}"
    return f"{value:.2g}"


def chart(title: str, across: str, lines: dict[str, list[tuple[float, float]]]) -> str:
    """An SVG of some lines over one axis; legible on light and on dark paper."""
    points = [point for line in lines.values() for point in line]
    x0, x1 = min(x for x, _ in points), max(x for x, _ in points)
    y0, y1 = min(0.0, *(y for _, y in points)), max(y for _, y in points) * 1.05
    place = lambda x, y: (LEFT + (x - x0) / ((x1 - x0) or 1) * (WIDTH - LEFT - RIGHT),
                          HEIGHT - BOTTOM - (y - y0) / ((y1 - y0) or 1) * (HEIGHT - BOTTOM - 40))
    text = lambda x, y, words, anchor="middle", ink="#333": (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{ink}">{words}</text>')
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
             f'font-size="12"><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>', text(WIDTH / 2, 18, title)]
    for n in range(5):
        y = y0 + (y1 - y0) * n / 4
        _, at = place(x0, y)
        parts.append(f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>{text(LEFT - 6, at + 4, short(y), "end")}')
        x = x0 + (x1 - x0) * n / 4
        parts.append(text(place(x, y0)[0], HEIGHT - BOTTOM + 16, short(x)))
    parts.append(text(WIDTH / 2, HEIGHT - 6, across))
    for n, (name, line) in enumerate(lines.items()):
        ink = INKS[n % len(INKS)]
        spots = [place(x, y) for x, y in line]
        parts.append(f'<polyline fill="none" stroke="{ink}" stroke-width="2" points="'
                     + " ".join(f"{x:.1f},{y:.1f}" for x, y in spots) + '"/>')
        if len(spots) < 20:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{ink}"/>' for x, y in spots]
        parts.append(text(LEFT + 10 + 140 * n, 36, name, "start", ink))
    return "\n".join([*parts, "</svg>\n"])


def logged(run: pathlib.Path, key: str) -> list[dict]:
    """The rows of a run's log that have `key`, each step once: after a kill some are told again."""
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [row for _, row in sorted({row["step"]: row for row in rows if key in row}.items())]


def curves(out: pathlib.Path) -> list[list[dict]]:
    """For each size the figures of the checkpoints kept under way, by the samples of that size they had seen, and last those
    of the finished one."""
    kept = sorted((json.loads(path.read_text()) for path in out.glob("curve-*.json")), key=lambda one: one["samples"])
    return [[*(one for one in kept if one["size"] == whole["size"] and one["samples"] < whole["samples"]), whole]
            for whole in finished(out)]


def finished(out: pathlib.Path) -> list[dict]:
    """The figures of the finished model, small pictures first."""
    return sorted((json.loads(path.read_text()) for path in out.glob("figures-*.json")), key=lambda one: one["size"])


def hardware(kind: str) -> str:
    if kind == "gpu":
        return torch.cuda.get_device_name() if torch.cuda.is_available() else "a GPU"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def share(value: float) -> str:
    return f"{100 * value:.0f} %"


def written(facts: dict) -> str:
    """The card. `facts`: see gathered()."""
    figures, hours = facts["figures"], facts["seconds"] / 3600
    row = lambda question, key, bar="": f"| {question} | {' | '.join(share(one[key]) for one in figures)} | {bar} |"
    whole = "\n".join((
        row(f'"a LABEL", first choice among {figures[0]["labels"]} labels', "seen", "60 %"),
        row('"a COLOUR THING" of pairs kept out of training: the thing', "unseen", "25 %"),
        row("the same: thing and colour", "unseen_both"),
        row('"a COLOUR THING" of pairs that training had: the thing', "seen_colour"),
        row("colour obeyed, of all pairs", "colour", "80 %")))
    seen = " and ".join(f"{count:,.0f} of {size} x {size}" for size, count in facts["samples"].items())
    sets = "\n".join(f"| {one.name} | `{one.package}` | {facts['pictures'][one.name]} | {one.licence} | {one.attribution} |"
                     for one in sources.SETS)
    prompts = "\n".join("| " + " | ".join(PROMPTS[n:n + COLUMNS]) + " |" for n in range(0, len(PROMPTS), COLUMNS))
    more = "\n\n".join("\n".join((
        "| samples of {0} x {0} | prompts of each kind | seen labels | unseen pairs | colour |".format(curve[-1]["size"]),
        "| --- | --- | --- | --- | --- |",
        *(f"| {one['samples']:,.0f} | {one['count']} | {share(one['seen'])} | {share(one['unseen'])} | {share(one['colour'])} |"
          for one in curve),
        f"\n![figures over samples seen](card/compute-{curve[-1]['size']}.svg)")) for curve in facts["curves"])
    lora = f"\n\nLoRA of rank 4 from 12 pictures, through the engine: {facts['lora']}." if facts["lora"] else ""
    energy = facts["seconds"] * facts["processes"] * facts["watts"] / 3.6e6
    return f"""# Atelier Mini

A very small text-to-image model for stickers, icons and emoji-like pictures, trained from nothing by Atelier's own code
(`README.md` beside this file). This card is written by `mini.card` from logs and measurements.

| what | value |
| --- | --- |
| parameters | {facts['transformer'] / 1e6:.1f} M transformer, {facts['text'] / 1e6:.1f} M text encoder, {facts['autoencoder'] / 1e6:.1f} M autoencoder |
| shape | width {facts['shape']['width']}, {facts['shape']['depth']} double blocks, text width {facts['shape']['context']}, {facts['shape']['layers']} layers of text |
| words | {len(facts['shape']['known'])} tokens have an embedding; others say nothing |
| picture sizes in training | {', '.join(f'{size} x {size}' for size in facts['sizes'])} |

## What it was trained on

| set | package | pictures | licence | attribution |
| --- | --- | --- | --- | --- |
{sets}

Labels and tags: `{sources.LABELS}` (MIT). {sum(facts['pictures'].values())} pictures of {facts['labels']} labels; from them
compositions: recoloured with the colour named, coloured grounds, pairs, counts, places. One of eight pairs of colour and
thing is kept out of all training. Sets with share-alike licences, people, flags and signs are left out.

## How it was trained

{facts['steps']:,} steps, samples: {seen}; {hours:.1f} hours on {facts['processes']} x {facts['hardware']}; the autoencoder
{facts['autoencoder_seconds'] / 3600:.1f} hours before that. Energy of the transformer's training: about {energy:.2g} kWh, from
{facts['processes']} x {facts['watts']} W over these hours (an assumption, not a measurement). Last loss {facts['losses'][-1][1]:.4f}.

![loss](card/loss.svg)

## Figures

By a classifier that never saw the generator ({share(facts['judge'])} right about drawings of a set that neither was trained on),
{figures[0]['steps']} steps, guidance {figures[0]['guidance']:g}, up to {figures[0]['count']} prompts of each kind:

| question | {' | '.join(f"{one['size']} x {one['size']}" for one in figures)} | bar |
| --- |{' --- |' * len(figures)} --- |
{whole}

The autoencoder gives held-out pictures of 256 x 256 back with {facts['psnr']:.1f} dB (bar 30).{lora}

## What more training gives

{more}

## 64 prompts, none chosen

One seed each, in this order:

![contact sheet](card/sheet.png)

|{' |' * COLUMNS}
|{' --- |' * COLUMNS}
{prompts}

## Limits

- It knows the things, colours and places of its captions; other words say nothing to it. No people, letters or scenes.
- Details of small things, more than two things, and counts above four are beyond it.
- Larger pictures had fewer samples: faces and other things of many parts may come out doubled in them.
- White things are asked for without a check: on a white ground their colour cannot be measured.
- It draws in the manner of its sets; for anything else the full models of the catalogue are there.
"""


def gathered(options, state: dict, model: models.Model, autoencoder) -> dict:
    rows = json.loads((options.data / "pictures.json").read_text())
    config = json.loads(options.config.read_text())
    kind = options.config.stem
    size_of = lambda module: sum(one.numel() for one in module.parameters())
    lora = options.out / "lora.txt"
    return {
        "figures": finished(options.out), "curves": curves(options.out),
        "seconds": state["seconds"], "steps": state["step"], "samples": state["samples"],
        "sizes": config["sizes"], "shape": model.shape, "transformer": size_of(model.transformer),
        "text": size_of(model.text), "autoencoder": size_of(autoencoder),
        "pictures": {one.name: sum(row["set"] == one.name for row in rows) for one in sources.SETS},
        "labels": len({row["label"] for row in rows}),
        "losses": [(row["step"], row["loss"]) for row in logged(options.run, "loss")],
        "psnr": logged(options.autoencoder, "psnr_256")[-1]["psnr_256"],
        "autoencoder_seconds": logged(options.autoencoder, "psnr_256")[-1]["seconds"],
        "judge": logged(options.judge, "right_of_strangers")[-1]["right_of_strangers"],
        "hardware": options.hardware or hardware(kind), "processes": options.processes,
        "watts": options.watts or WATTS.get(kind, WATTS["cpu"]),
        "lora": lora.read_text().strip().splitlines()[-1] if lora.exists() else "",
    }


def sheet(model: models.Model, decoder, size: int) -> Image.Image:
    pictures = evaluate.drawn(model, decoder, list(PROMPTS), size, 16, 4.0, 42)
    rows = [torch.cat(list(row), 2) for row in pictures.split(COLUMNS)]
    return Image.fromarray((torch.cat(rows, 1).permute(1, 2, 0) * 255).round().byte().numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--run", type=pathlib.Path, required=True, help="folder of the training")
    parser.add_argument("--autoencoder", type=pathlib.Path, required=True, help="folder of the autoencoder's training")
    parser.add_argument("--judge", type=pathlib.Path, required=True, help="folder of the judge's training")
    parser.add_argument("--config", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder with figures-*.json")
    parser.add_argument("--card", type=pathlib.Path, required=True, help="CARD.md to write; pictures go to card/ beside it")
    parser.add_argument("--hardware", help="instead of this machine's")
    parser.add_argument("--processes", type=int, default=1, help="cores or GPUs that trained")
    parser.add_argument("--watts", type=float, help="of one of them")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    checkpoint = options.run / "last.pt"
    state = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    model = models.load(checkpoint, tokens.Prompts(options.data / "tokenizer.json"))
    autoencoder = encode.load(options.autoencoder / "last.pt")
    facts = gathered(options, state, model, autoencoder)
    folder = options.card.parent / "card"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "loss.svg").write_text(chart("loss", "step", {"loss": facts["losses"]}))
    for curve in facts["curves"]:
        size = curve[-1]["size"]
        (folder / f"compute-{size}.svg").write_text(chart("figures over samples seen", f"samples of {size} x {size}", {
            name: [(one["samples"], one[key]) for one in curve]
            for name, key in (("seen labels", "seen"), ("unseen pairs", "unseen"), ("colour obeyed", "colour"))}))
    sheet(model, autoencoder.decoder, facts["figures"][-1]["size"]).save(folder / "sheet.png", optimize=True)
    options.card.write_text(written(facts))
    print(options.card)


if __name__ == "__main__":
    main()
