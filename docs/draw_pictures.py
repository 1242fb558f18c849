"""Draws docs/chip.svg and docs/pipeline.svg, from the chip `lpu-rram` itself: python docs/draw_pictures.py"""

from __future__ import annotations

from html import escape
from pathlib import Path

from isa.chip import Chip, load_chip

FOLDER = Path(__file__).resolve().parent
WIDTH = 960
STYLE = """
  text { font-family: ui-sans-serif, system-ui, "Segoe UI", "DejaVu Sans", sans-serif; font-size: 13px; fill: #1f2933 }
  .panel { fill: #ffffff } .note, .small { fill: #52606d } .small { font-size: 11px } .title { font-weight: 600 }
  .line { stroke: #52606d; fill: none; stroke-width: 1.5 } .faint { stroke: #d3d9df; fill: none; stroke-width: 1 }
  .head { fill: #52606d } .box { fill: #f1f4f7; stroke: #9aa5b1 } .judge { fill: #fdf3dd; stroke: #c99a2e }
  .mxm { fill: #c7d9f5; stroke: #3f6fb5 } .sxm { fill: #dccdf0; stroke: #7a52b3 } .rram { fill: #f7d3bd; stroke: #c2622d }
  .sram { fill: #cdead4; stroke: #3d8a55 } .vxm { fill: #f6e3a1; stroke: #a9861a }
  .trip { stroke: #c0392b; fill: none; stroke-width: 2.5 } .dot { fill: #c0392b } .hot { fill: #a93226; font-size: 11px }
"""
DARK = """
  text { fill: #e4e7eb } .panel { fill: #12161b } .note, .small { fill: #a3adb8 }
  .line { stroke: #a3adb8 } .faint { stroke: #2c343d }
  .head { fill: #a3adb8 } .box { fill: #1e252d; stroke: #5d6a77 } .judge { fill: #352a10; stroke: #c99a2e }
  .mxm { fill: #1f3557; stroke: #6f9ae0 } .sxm { fill: #36264f; stroke: #a98ade } .rram { fill: #522c17; stroke: #e28a56 }
  .sram { fill: #1c3f28; stroke: #67b883 } .vxm { fill: #453a10; stroke: #d8b53f }
  .trip { stroke: #ff7b6b } .dot { fill: #ff7b6b } .hot { fill: #ff9d90 }
"""


class Picture:
    """Shapes of one SVG, in user units; classes carry all colours, so that one file serves light and dark pages."""

    def __init__(self, height: int, title: str) -> None:
        self.height, self.title = height, title
        self.parts: list[str] = []

    def text(self, x: float, y: float, words: str, style: str = "", anchor: str = "middle") -> None:
        self.parts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{style}">{escape(words)}</text>')

    def box(self, x: float, y: float, width: float, height: float, style: str, radius: float = 2) -> None:
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" class="{style}"/>')

    def path(self, points: list[tuple[float, float]], style: str) -> None:
        self.parts.append(f'<path d="M{" L".join(f"{x:g} {y:g}" for x, y in points)}" class="{style}"/>')

    def arrow(self, x0: float, y0: float, x1: float, y1: float) -> None:
        """A straight arrow along one axis."""
        self.path([(x0, y0), (x1, y1)], "line")
        dx, dy = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
        back = (x1 - 8 * dx, y1 - 8 * dy)
        wings = [(back[0] + 4 * s * dy, back[1] + 4 * s * dx) for s in (1, -1)]
        self.path([(x1, y1), *wings, (x1, y1)], "head")

    def dot(self, x: float, y: float) -> None:
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="4" class="dot"/>')

    def svg(self) -> str:
        style = f"{STYLE}  @media (prefers-color-scheme: dark) {{{DARK}  }}\n"
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" role="img">',
                f"<title>{escape(self.title)}</title>",
                f"<style>{style}</style>",
                f'<rect width="{WIDTH}" height="{self.height}" rx="8" class="panel"/>',
                *self.parts,
                "</svg>\n",
            ]
        )


def draw_chip(chip: Chip) -> Picture:
    """The row of units, and below it one trip of data: place across, time down."""
    picture = Picture(505, f"The row of units of the chip {chip.name}, and one trip of data over it")
    left, pitch = 38, (WIDTH - 76) / chip.width
    top, tall = 78, 92
    title = f"The chip {chip.name}: a row of units at {chip.width} positions, each {chip.lanes} lanes wide"
    picture.text(WIDTH / 2, 28, title, "title")
    picture.text(left, 28, "west", "note", "start")
    picture.text(WIDTH - left, 28, "east", "note", "end")
    for unit in chip.units.values():
        planes = chip.mxm.planes_per_side
        high = (tall - 4 * (planes - 1)) / planes if unit.kind == "mxm" else tall
        down = (chip.planes.index(unit) % planes) * (high + 4) if unit.kind == "mxm" else 0
        picture.box(left + unit.position * pitch + 1.5, top + down, pitch - 3, high, unit.kind)
    _name_units(picture, chip, left, pitch, top)
    streams = f"{chip.streams} byte streams"
    for y, words, ends in (
        (top + tall + 18, f"{streams} eastward, one hop a cycle", (left, WIDTH - left)),
        (top + tall + 38, f"{streams} westward, one hop a cycle", (WIDTH - left, left)),
    ):
        picture.arrow(ends[0], y, ends[1], y)
        wide = 7.2 * len(words)
        picture.box(WIDTH / 2 - wide / 2, y - 9, wide, 18, "panel", 0)
        picture.text(WIDTH / 2, y + 4, words, "note")
    _draw_trip(picture, chip, left, pitch, top + tall + 76)
    return picture


def _name_units(picture: Picture, chip: Chip, left: float, pitch: float, top: float) -> None:
    kinds: list[tuple[str, list[int]]] = []
    for unit in sorted(chip.units.values(), key=lambda u: u.position):
        if kinds and kinds[-1][0] == unit.kind:
            kinds[-1][1].append(unit.position)
        else:
            kinds.append((unit.kind, [unit.position]))
    for kind, positions in kinds:
        count = len(positions)
        what = f" × {count}" if count > 1 and kind != "mxm" else ""
        # The names of the narrow units at the ends would overlap: those of the matrix units stand a line higher.
        x = left + (positions[0] + positions[-1] + 1) / 2 * pitch
        picture.text(x, top - (24 if kind == "mxm" else 8), kind.upper() + what, "title")


def _draw_trip(picture: Picture, chip: Chip, left: float, pitch: float, top: float) -> None:
    """read → feed → add → write: where each value is at each cycle."""
    scale = 2.3
    timing = chip.timing

    def at(unit: str) -> int:
        return chip.units[unit].position

    def place(position: float, cycle: float) -> tuple[float, float]:
        return left + (position + 0.5) * pitch, top + cycle * scale

    source, target = "sram.w4", "sram.w8"
    shown = timing["sram.read"].latency
    fed = shown + at(source) - at("mxm0")
    summed = fed + timing["mxm.feed"].latency
    added = summed + at("vxm") - at("mxm0")
    stored = added + timing["vxm.alu"].latency
    written = stored + at("vxm") - at(target)
    end = written + timing["sram.write"].latency
    for cycle in range(0, end + 10, 20):
        x, y = place(-0.5, cycle)
        picture.path([(x, y), (WIDTH - left, y)], "faint")
        picture.text(left - 6, y + 4, f"{cycle}", "small", "end")
    picture.text(left, top - 12, "cycle", "small", "end")
    stops = [
        (source, 0, shown, f"@0  {source}.rd  read: the word is on a westward stream at {shown}", 1),
        ("mxm0", fed, summed, f"@{fed}  mxm0.fd  feed: {at(source)} hops later; sums are on eastward streams at {summed}", 1),
        ("vxm", added, stored, f"@{added}  vxm.0  add the bias; the result is on westward streams at {stored}", 1),
        (target, written, end, f"@{written}  {target}.wr  write; the word is there at {end}", -1),
    ]
    picture.path([place(at(unit), cycle) for unit, begin, finish, _, _ in stops for cycle in (begin, finish)], "trip")
    for unit, begin, finish, words, side in stops:
        picture.dot(*place(at(unit), begin))
        x, y = place(at(unit), (begin + finish) / 2)
        wide = 5.9 * len(words)
        picture.box(x + (8 if side > 0 else -8 - wide), y - 6, wide, 12, "panel", 0)
        picture.text(x + 10 * side, y + 4, words, "hot", "start" if side > 0 else "end")


def draw_pipeline() -> Picture:
    """From the source to bits that are compared."""
    picture = Picture(318, "From source to a run that is exact in cycles and bits")
    wide, gap, top, high = 158, 30, 26, 84
    stages = [
        ("source", "model.lks", "weights.npz", "box"),
        ("graph dialect", "tensors", "shapes, precision", "box"),
        ("flow dialect", "trips of data", "places in memory", "box"),
        ("schedule", "cycle, slot, streams", "of every operation", "box"),
        ("program", ".lasm  .lbin", "predicted cycles", "box"),
    ]
    xs = [25 + i * (wide + gap) for i in range(len(stages))]
    for x, (title, *words, style) in zip(xs, stages, strict=True):
        picture.box(x, top, wide, high, style, 6)
        picture.text(x + wide / 2, top + 28, title, "title")
        for i, line in enumerate(words):
            picture.text(x + wide / 2, top + 50 + 18 * i, line, "note")
    for x in xs[:-1]:
        picture.arrow(x + wide + 3, top + high / 2, x + wide + gap - 3, top + high / 2)
    below = top + high + 64
    judges = [
        (1, "reference", "the same numerics,", "other code"),
        (3, "checker", "proves every rule", "of the chip"),
        (4, "machines", "fast and reference;", "they trap, never stall"),
    ]
    for column, title, *words in judges:
        picture.box(xs[column], below, wide, high, "judge", 6)
        picture.text(xs[column] + wide / 2, below + 28, title, "title")
        for i, line in enumerate(words):
            picture.text(xs[column] + wide / 2, below + 50 + 18 * i, line, "note")
    picture.arrow(xs[1] + wide / 2, top + high + 3, xs[1] + wide / 2, below - 3)
    picture.arrow(xs[4] + wide / 2, top + high + 3, xs[4] + wide / 2, below - 3)
    bend = top + high + 32
    picture.path([(xs[4] + wide / 4, top + high + 3), (xs[4] + wide / 4, bend), (xs[3] + wide / 2, bend)], "line")
    picture.arrow(xs[3] + wide / 2, bend, xs[3] + wide / 2, below - 3)
    base, low = below + high + 3, below + high + 38
    for column in (1, 4):
        picture.path([(xs[column] + wide / 2, base), (xs[column] + wide / 2, low)], "line")
    picture.path([(xs[1] + wide / 2, low), (xs[4] + wide / 2, low)], "line")
    words = "every output byte equal, cycles as predicted"
    middle = (xs[1] + xs[4] + wide) / 2
    picture.box(middle - 175, low - 10, 350, 20, "panel", 0)
    picture.text(middle, low + 4, words, "title")
    return picture


def pictures() -> dict[str, str]:
    """File name to text."""
    return {"chip.svg": draw_chip(load_chip("lpu-rram")).svg(), "pipeline.svg": draw_pipeline().svg()}


if __name__ == "__main__":
    for name, text in pictures().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
