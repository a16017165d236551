"""mini.train without its sheets of pictures, which would take most of the tests' time."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from mini import train  # noqa: E402 (after the path)

train.sheet = lambda *_: None
train.main()
