"""docs/bring-your-own.md: its blocks, by what they are."""

import re

from tests.architecture.sources import ROOT

PAGE = (ROOT / "docs" / "bring-your-own.md").read_text()
BLOCKS = re.findall(r"```(\w+)(?: (\S+))?\n(.*?)```", PAGE, re.DOTALL)
(TENSORFLOW,) = [text for language, kind, text in BLOCKS if (language, kind) == ("python", "tensorflow")]
FILES = {kind.removeprefix("file="): text for _, kind, text in BLOCKS if kind.startswith("file=")}
(KERAS,) = [text for language, kind, text in BLOCKS if (language, kind) == ("python", "")]
COMMANDS = re.findall(r"^hone-train (.+)$", PAGE, re.MULTILINE)
