"""Draws docs/architecture.svg: the flow of the network, the inside of a block, and what fuses into what.

    python docs/drawing.py > docs/architecture.svg

The picture brings its own background, in the colours of the reader's light or dark theme.
"""

from collections.abc import Iterator

WIDTH, HEIGHT = 860, 742
BOX = 30  # height of a box
STYLE = """
svg { --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --box: #f6f8fa; --line: #818b98;
  --a: #ddf4ff; --a-line: #0969da; --b: #dafbe1; --b-line: #1a7f37;
  --c: #fff1e5; --c-line: #bc4c00; --d: #fbefff; --d-line: #8250df; }
@media (prefers-color-scheme: dark) { svg { --paper: #0d1117; --ink: #e6edf3; --faint: #9198a1; --box: #1b222c;
  --line: #7d8590; --a: #0c2d4a; --a-line: #58a6ff; --b: #12331c; --b-line: #3fb950;
  --c: #42260f; --c-line: #f0883e; --d: #2f1c4a; --d-line: #b083f0; } }
text { font: 12.5px -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: var(--ink); text-anchor: middle;
  dominant-baseline: central; }
.title { font-weight: 600; font-size: 15px; }
.note { fill: var(--faint); text-anchor: start; }
.paper { fill: var(--paper); }
.box { fill: var(--box); stroke: var(--line); }
.maybe { stroke-dasharray: 4 3; }
.flow { fill: none; stroke: var(--line); stroke-width: 1.3; }
.a { fill: var(--a); stroke: var(--a-line); } .b { fill: var(--b); stroke: var(--b-line); }
.c { fill: var(--c); stroke: var(--c-line); } .d { fill: var(--d); stroke: var(--d-line); }
text.a, text.b, text.c, text.d { stroke: none; font-weight: 700; }
text.a { fill: var(--a-line); } text.b { fill: var(--b-line); }
text.c { fill: var(--c-line); } text.d { fill: var(--d-line); }
#tip path { fill: var(--line); }
"""


def text(x: float, y: float, words: str, kind: str = "word") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{words}</text>'


def box(x: float, y: float, words: str, width: float = 140, kind: str = "box", height: float = BOX) -> str:
    """A box around (x, y). Words behind a line break stand in a second line."""
    frame = f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" rx="5" class="{kind}"/>'
    lines = words.split("\n")
    first = y - 8.5 * (len(lines) - 1)
    return frame + "".join(text(x, first + 17 * number, line) for number, line in enumerate(lines))


def group(x: float, y: float, width: float, height: float, letter: str) -> str:
    """A coloured field with its upper left corner at (x, y): what is in it becomes the box of that colour."""
    frame = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" class="{letter}"/>'
    return frame + text(x + width - 11, y + 13, letter, letter)


def joint(x: float, y: float, sign: str) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="10" class="box"/>' + text(x, y - 0.5, sign)


def flow(*points: tuple[float, float]) -> str:
    """A line with corners at the points and a tip at its end."""
    path = " L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path d="M{path}" class="flow" marker-end="url(#tip)"/>'


def network() -> Iterator[str]:
    """Left: the flow."""
    x, right = 130, 200
    yield text(x + 30, 28, "the network", "title")
    rows = [64, 108, 152, 206, 250, 322, 374, 426, 476, 522, 574, 624, 668]
    picture, centre, shallow, first, second, last, concat, fusion, merge, rebuild, tail, skip, output = rows
    half = BOX / 2
    for above, below in ((picture, centre), (centre, shallow), (shallow, first), (first, second), (concat, fusion)):
        yield flow((x, above + half), (x, below - half - (7 if below == fusion else 0)))
    yield flow((x, second + half), (x, 279))
    yield text(x, 286, "…")
    yield flow((x, 294), (x, last - half))
    yield flow((x, fusion + 22), (x, merge - 10))
    yield flow((x, merge + 10), (x, rebuild - half))
    yield flow((x, rebuild + half), (x, tail - 22))
    yield flow((x, tail + 22), (x, skip - 10))
    yield flow((x, skip + 10), (x, output - half))
    # every stage through its 1x1 into the concatenation, shallow features around them, the picture around all
    for stage in (first, second, last):
        yield flow((right, stage), (222, stage))
        yield f'<path d="M272 {stage} L290 {stage}" class="flow"/>'
    yield flow((290, first), (290, concat), (right, concat))
    yield flow((right, shallow), (308, shallow), (308, merge), (x + 10, merge))
    yield flow((x - 70, picture), (30, picture), (30, skip), (x - 10, skip))
    yield box(x, picture, "picture, H × W")
    yield box(x, centre, "− 0.5")
    yield box(x, shallow, "conv 3×3")
    for stage, name in ((first, "stage 1: blocks"), (second, "stage 2: blocks"), (last, "last stage: blocks")):
        yield box(x, stage, name)
        yield box(247, stage, "1×1", 50)
    yield box(x, concat, "concat")
    yield box(x, fusion, "1×1, norm,\ncompensation", kind="d", height=44)
    yield text(right + 12, fusion - 12, "d", "d")
    yield text(right + 50, fusion + 8, "QuantFusion")
    yield joint(x, merge, "+")
    yield box(x, rebuild, "conv 3×3, LeakyReLU", 156)
    yield box(x, tail, "conv 3×3,\nPixelShuffle", height=44)
    yield text(right + 62, tail, "AdaptiveUpsample")
    yield joint(x, skip, "+")
    yield text(38, skip + 16, "nearest", "note")
    yield box(x, output, "picture, sH × sW")


def block(x: float, fused: bool) -> Iterator[str]:
    """Middle and right: a gated block as it is trained, and the same block as it is deployed, row by row."""
    gate, main, side = x - 56, x + 56, x - 122
    yield text(x, 28, "a block, fused" if fused else "a block, in training", "title")
    yield flow((x, 64), (x, 92) if not fused else (x, 145))
    yield flow((x, 76), (side, 76), (side, 624), (x - 10, 624))
    yield text(x + 14, 64, "x")
    if fused:
        yield box(x, 160, "depthwise 11×11", 160, "a")
        yield text(x + 92, 160, "a", "a")
        split = 175
    else:
        yield group(x - 114, 92, 228, 142, "a")
        yield flow((x, 92), (x, 98), (gate, 98), (gate, 105)) + flow((x, 98), (main, 98), (main, 105))
        yield box(gate, 120, "11×11", 76) + box(main, 120, "3×3", 76)
        yield flow((gate, 135), (gate, 162), (x - 10, 162)) + flow((main, 135), (main, 162), (x + 10, 162))
        yield joint(x, 162, "+")
        yield text(x + 66, 180, "depthwise")
        yield flow((x, 172), (x, 194)) + box(x, 209, "DeploymentNorm", 130)
        split = 224
    for branch in (gate, main):
        top = 286 if fused else 265
        yield flow((x, split), (x, 246), (branch, 246), (branch, top))
    if fused:
        yield box(gate, 301, "1×1", 90, "b") + text(gate + 54, 301, "b", "b")
        yield box(main, 301, "1×1", 90)
        yield flow((gate, 316), (gate, 355)) + flow((main, 316), (main, 416), (x + 10, 416))
    else:
        yield group(gate - 60, 258, 118, 80, "b")
        yield flow((x, 246), (gate, 246), (gate, 265))
        yield box(gate, 280, "1×1", 70) + flow((gate, 295), (gate, 304)) + box(gate, 319, "× temperature", 104)
        yield flow((gate, 338), (gate, 355))
        yield box(main, 280, "1×1", 70) + flow((main, 295), (main, 416), (x + 10, 416))
    yield box(gate, 370, "sigmoid", 90) + flow((gate, 385), (gate, 416), (x - 10, 416))
    yield joint(x, 416, "×")
    if fused:
        yield flow((x, 426), (x, 477)) + box(x, 492, "1×1", 160, "c") + text(x + 92, 492, "c", "c")
        yield flow((x, 507), (x, 559))
    else:
        yield group(x - 80, 444, 160, 88, "c")
        yield flow((x, 426), (x, 452)) + box(x, 467, "1×1", 70) + flow((x, 482), (x, 494))
        yield box(x, 509, "× residual scale", 130) + flow((x, 532), (x, 559))
    yield box(x, 574, "attention: medium, large", 170, "box maybe")
    yield flow((x, 589), (x, 614)) + joint(x, 624, "+") + flow((x, 634), (x, 664))


def drawing() -> str:
    notes = (
        "Same letter and colour: one convolution in the deployed network, the same function. d becomes a 1×1 with a bias.",
        "11×11 is 7×7 in small. tiny has blocks of conv 3×3 and LeakyReLU without a norm; its 1×1 and d become one.",
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">',
        "<title>AetherNet: the network, a block in training, and the block fused</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" class="paper"/>',
        *network(),
        *block(460, fused=False),
        *block(728, fused=True),
        *(text(24, 700 + 20 * number, note, "note") for number, note in enumerate(notes)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    print(drawing(), end="")
