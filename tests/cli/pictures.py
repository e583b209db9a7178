"""Reads the pictures that `stepflow visualize` draws, and measures their boxes and texts."""

import re
import unicodedata
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"

# The widest of the fonts that the pictures name is 0.602 of its size; other scripts come from other fonts.
ADVANCE = 0.61


@dataclass(frozen=True)
class Rect:
    """A rectangle; `y` grows downwards."""

    x: float
    y: float
    width: float
    height: float

    def holds(self, other: "Rect") -> bool:
        return (
            self.x <= other.x
            and self.y <= other.y
            and other.x + other.width <= self.x + self.width
            and other.y + other.height <= self.y + self.height
        )

    def meets(self, other: "Rect") -> bool:
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


@dataclass(frozen=True)
class Box:
    """A rectangle with its texts: a node, or the label of an edge."""

    kind: str
    rect: Rect
    texts: tuple[str, ...]
    text_rects: tuple[Rect, ...]
    title: str


@dataclass(frozen=True)
class Picture:
    """What is in a picture."""

    size: Rect
    nodes: list[Box]
    labels: list[Box]
    lines: list[str]

    def overlapping(self) -> list[tuple[Box, Box]]:
        """Return the pairs of boxes that overlap, except a box inside another one."""
        return [
            (one, other)
            for one, other in combinations([*self.nodes, *self.labels], 2)
            if one.rect.meets(other.rect)
            and not (one.kind == "step" and one.rect.holds(other.rect))
            and not (other.kind == "step" and other.rect.holds(one.rect))
        ]

    def spilling(self) -> list[Box]:
        """Return the boxes whose text does not fit."""
        return [
            box
            for box in [*self.nodes, *self.labels]
            if not all(box.rect.holds(text) for text in box.text_rects)
        ]


def read(svg: str) -> Picture:
    """Return the picture that this SVG shows."""
    root = ElementTree.fromstring(svg)
    sizes = {
        match[1]: float(match[2])
        for style in root.iter(f"{SVG}style")
        for match in re.finditer(r"\.([\w-]+(?: text)?)\{[^}]*font-size:(\d+)px", style.text or "")
    }
    size = Rect(0, 0, float(root.attrib["width"]), float(root.attrib["height"]))
    boxes = [_box(group, sizes) for group in root.iter(f"{SVG}g")]
    labels = [box for box in boxes if box.kind == "label"]
    lines = [
        path.attrib["d"]
        for path in root.iter(f"{SVG}path")
        if path.get("class", "").startswith("edge")
    ]
    return Picture(size, [box for box in boxes if box.kind != "label"], labels, lines)


def _box(group: ElementTree.Element, sizes: dict[str, float]) -> Box:
    kind = group.attrib["class"].split()[0]
    (shape,) = group.findall(f"{SVG}rect")
    rect = Rect(*(float(shape.attrib[name]) for name in ("x", "y", "width", "height")))
    texts = group.findall(f"{SVG}text")
    rects = tuple(_text_rect(text, kind, sizes) for text in texts)
    title = group.findtext(f"{SVG}title", "")
    return Box(kind, rect, tuple(text.text or "" for text in texts), rects, title)


def _text_rect(text: ElementTree.Element, kind: str, sizes: dict[str, float]) -> Rect:
    size = sizes[text.get("class", f"{kind} text")]
    columns = sum(
        2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text.text or ""
    )
    width = columns * ADVANCE * size
    x, base = float(text.attrib["x"]), float(text.attrib["y"])
    # From the top of the capitals to the foot of a `p`.
    return Rect(x - width / 2, base - 0.8 * size, width, 1.05 * size)
