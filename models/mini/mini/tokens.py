"""The engine's tokenizer (Qwen2's byte-level BPE) and how it wraps a prompt for this layout.

The vocabulary is read from the engine's own source, so that both always agree. A prompt becomes 284 tokens: a fixed
prefix, " " + prompt, a fixed suffix, padding; the first 28 are cut from what the transformer sees.
"""

import functools
import pathlib
import re

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

VOCABULARY = 151936
PAD = 151643
START, END = 151644, 151645
THINK, THINK_END = 151667, 151668
TEXT = 256   # text tokens that the transformer sees
CUT = 28     # tokens of the prefix that it does not
PREFIX = ("user\nDescribe the image by detailing the color, quantity, text, shape, size, texture, spatial "
          "relationships of the objects and background:")
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")


def letters() -> dict[int, str]:
    """The printable letter that stands for each byte in byte-level BPE."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {byte: chr(byte) for byte in shown}
    hidden = [byte for byte in range(256) if byte not in table]
    table.update({byte: chr(256 + n) for n, byte in enumerate(hidden)})
    return {byte: table[byte] for byte in [*shown, *hidden]}


def read(vocabulary: pathlib.Path) -> Tokenizer:
    """From the engine's src/tokenizers/vocab/qwen.hpp, an array of the merges file's bytes."""
    text = bytes(int(one, 16) for one in re.findall(r"0x([0-9a-f]{2})", vocabulary.read_text())).decode()
    merges = [tuple(line.split(" ")) for line in text.split("\n") if " " in line and not line.startswith("#version")]
    names = [*letters().values(), *(first + second for first, second in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={name: n for n, name in enumerate(names)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    return tokenizer


class Prompts:
    """Prompts to token ids. `tokenizer` is a saved tokenizer.json."""

    def __init__(self, tokenizer: pathlib.Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.prefix = [START, *self.tokenizer.encode(PREFIX).ids]
        self.suffix = [START, *self.tokenizer.encode("assistant\n").ids, THINK, *self.tokenizer.encode("\n\n").ids,
                       THINK_END, *self.tokenizer.encode("\n\n").ids]
        assert len(self.prefix) == CUT + 1

    @functools.lru_cache(maxsize=1 << 18)
    def words(self, prompt: str) -> tuple[int, ...]:
        """The tokens of the prompt alone, END after them."""
        return (*self.tokenizer.encode(" " + prompt).ids, END)
