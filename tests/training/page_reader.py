"""Reads pages, and has a browser look at them."""

import html
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

VOID = {"meta", "img", "br", "hr", "link", "input"}


@dataclass
class Node:
    """An element: its name, attributes and what is in it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    inside: list["Node | str"] = field(default_factory=list)

    def all(self, tag: str = "") -> Iterator["Node"]:
        for one in self.inside:
            if isinstance(one, Node):
                if tag in {"", one.tag}:
                    yield one
                yield from one.all(tag)

    def find(self, tag: str, **attributes: str) -> "Node":
        return next(one for one in self.all(tag) if attributes.items() <= one.attributes.items())

    @property
    def text(self) -> str:
        """With single spaces, and signs that every keyboard has."""
        return self._raw.replace("\N{MULTIPLICATION SIGN}", "x").replace("\N{EN DASH}", "-")

    @property
    def _raw(self) -> str:
        return " ".join("".join(one if isinstance(one, str) else f" {one._raw} " for one in self.inside).split())


class Reader(HTMLParser):
    """Reads a page into nodes, and refuses one whose elements aren't closed in order."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.root = Node("")
        self._open = [self.root]
        self.feed(source)
        assert [self.root] == self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].inside.append(node := Node(tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].inside.append(Node(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self._open.pop().tag

    def handle_data(self, data: str) -> None:
        self._open[-1].inside.append(data)


def check_self_contained(source: str) -> None:
    """The page refers to nothing outside of it: only to its own elements and to data inside; no script runs."""
    root = Reader(source).root
    addresses = [
        one.attributes[name]
        for one in root.all()
        for name in ("src", "href", "srcset", "data")
        if name in one.attributes
    ]
    assert addresses
    assert [] == [one for one in addresses if not one.startswith(("#", "data:"))]
    assert [] == re.findall(r"https?:|//[a-z]|@import|url\((?!#)", re.sub('base64,[^"]+', "", source))
    assert ["application/json"] == [one.attributes["type"] for one in root.all("script")]


def check_references(source: str) -> None:
    """No two elements share an id, and whatever is referred to by id is there."""
    ids = [one.attributes["id"] for one in Reader(source).root.all() if "id" in one.attributes]
    used = re.findall(r'(?:href="|url\()#([^")]+)', source)
    assert len(set(ids)) == len(ids)
    assert used
    assert set() == set(used) - set(ids)


LOOK = """
<script>
document.querySelector("iframe").addEventListener("load", ({target}) => {
  const inside = target.contentDocument, root = inside.documentElement;
  const names = [...inside.querySelectorAll("#comparison svg text")].filter(one => /LABELS/.test(one.textContent));
  const boxes = names.map(one => one.getBoundingClientRect());
  const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
  const found = {
    width: root.scrollWidth, visible: root.clientWidth, height: root.scrollHeight, labels: boxes.length,
    overlaps: boxes.filter((one, i) => boxes.some((other, j) => j < i && meet(one, other))).length,
    pictures: [...inside.images].filter(one => one.naturalWidth > 0).length,
  };
  document.body.append(Object.assign(document.createElement("pre"), {textContent: JSON.stringify(found)}));
});
</script>
"""


def seen(source: str, folder: Path, chromium: str, *, labels: str) -> dict[str, Any]:
    """What a real browser shows of a page, 360 pixels wide; `labels` finds texts in plots that may not overlap.

    The console has to stay silent.
    """
    phone = folder / "phone.html"
    frame = f'<iframe style="width: 360px; height: 800px; border: 0" srcdoc="{html.escape(source)}"></iframe>'
    phone.write_text(
        f"<!doctype html><meta charset=utf-8><body>{frame}{LOOK.replace('LABELS', labels)}", encoding="utf-8"
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--virtual-time-budget=10000"]
    command = [chromium, *flags, f"--user-data-dir={folder / 'profile'}", "--dump-dom", phone.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert [] == [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    found: dict[str, Any] = json.loads(list(Reader(done.stdout).root.all("pre"))[-1].text)
    return found
