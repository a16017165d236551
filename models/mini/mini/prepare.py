"""prepare: from the packages to two files: pictures.npy (uint8 [N, 256, 256, 4]) and pictures.json (N rows).

One label in twenty is held out of the autoencoder's training ("held": true) so that its figures are of pictures it
never saw. The same packages give the same files.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import zlib

import numpy as np

from mini import sources

HELD_OUT = 20


def held(label: str) -> bool:
    return zlib.crc32(label.encode()) % HELD_OUT == 0


def rows(folder: pathlib.Path) -> list[tuple[dict, object]]:
    """Every picture to draw: its row, and what it is drawn from."""
    known = sources.labels(folder)
    found = []
    for one in sources.SETS:
        is_raster = (folder / one.package / "assets").is_dir()
        pictures = (sources.raster_set if is_raster else sources.vector_set)(folder, one.package)
        for hexcode, meta in sorted(known.items()):
            if hexcode in pictures:
                row = {"set": one.name, "style": one.style_word, "hexcode": hexcode, "held": held(meta["label"]), **meta}
                found.append((row, pictures[hexcode]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=pathlib.Path, required=True, help="folder with the unpacked packages")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = rows(options.packages)
    shape = (len(wanted), sources.SIZE, sources.SIZE, 4)
    unfinished = options.out / "pictures.npy.part"
    pictures = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
    with multiprocessing.Pool() as pool:
        for n, drawn in enumerate(pool.imap(sources.draw, [source for _, source in wanted], chunksize=16)):
            pictures[n] = drawn
            if n % 500 == 0:
                print(f"drawn {n} of {len(wanted)}", flush=True)
    pictures.flush()
    (options.out / "pictures.json").write_text(json.dumps([row for row, _ in wanted]))
    os.replace(unfinished, options.out / "pictures.npy")
    print(f"{len(wanted)} pictures of {len({row['label'] for row, _ in wanted})} labels, "
          f"{sum(row['held'] for row, _ in wanted)} held out")


if __name__ == "__main__":
    main()
