"""From results to Markdown between markers, and to SVG drawn by hand.

A block of a document lies between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`; only what was
measured is replaced.
"""
import os
import re
import statistics
from xml.sax.saxutils import escape


# ---- numbers -------------------------------------------------------------------------------------

def spread(values):
    """Half of what lies between the least and the greatest, as a share of the median."""
    return (max(values) - min(values)) / 2 / statistics.median(values)


def median(values):
    return statistics.median(values)


def ratio(over, under):
    """Of runs that took turns the median of the rounds' ratios: what a minute does to both goes out of it."""
    if len(over) == len(under):
        return statistics.median(a / b for a, b in zip(over, under))
    return statistics.median(over) / statistics.median(under)


def show(values):
    text = f"{median(values):.1f}"
    return text + (f" ± {100 * spread(values):.0f} %" if len(values) > 1 else "")


def share(part, whole):
    """An accounted total against the truth."""
    if part is None:
        return "not told"
    return "exact" if part == whole else f"{100 * part / whole:.2f} %"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


# ---- documents -----------------------------------------------------------------------------------

def put_blocks(text, blocks):
    """The document with the blocks replaced; blocks it has no markers for are appended."""
    for name, body in blocks.items():
        begin, end = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
        block = f"{begin}\n{body.strip()}\n{end}"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.S)
        if pattern.search(text):
            text = pattern.sub(lambda _, b=block: b, text)
        else:
            text = text.rstrip() + "\n\n" + block + "\n"
    return text


def write_blocks(path, blocks, default=""):
    text = default
    if os.path.exists(path):
        with open(path, encoding="utf-8") as f:
            text = f.read()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(put_blocks(text, blocks))
    os.replace(path + ".new", path)


# ---- plots ---------------------------------------------------------------------------------------

COLOURS = ("#1f5f8b", "#c0582a", "#3d7d44", "#7a4b94", "#8a7a2a", "#777777", "#a03050")
FONT = "font-family='sans-serif' font-size='12'"


def svg(width, height, parts):
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
            f"viewBox='0 0 {width} {height}'>\n<rect width='100%' height='100%' fill='white'/>\n"
            + "\n".join(parts) + "\n</svg>\n")


def text_at(x, y, text, anchor="start", more=""):
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {FONT} {more}>{escape(text)}</text>"


def nice_top(value):
    """A round number at or above `value`."""
    step = 10
    while value > step * 10:
        step *= 10
    return -(-value // step) * step


def plot_curve(title, series):
    """`series`: {name: [(flows, ns)]}, flows on a logarithmic axis of decades."""
    import math
    width, height, left, right, top, bottom = 720, 400, 60, 45, 40, 50
    flows = sorted({x for points in series.values() for x, _ in points})
    high = nice_top(max(y for points in series.values() for _, y in points))
    low_x, high_x = math.log10(flows[0]), math.log10(flows[-1])

    def at(x, y):
        along = (math.log10(x) - low_x) / ((high_x - low_x) or 1)
        return left + along * (width - left - right), height - bottom - y / high * (height - top - bottom)

    parts = [text_at(left, 24, title, more="font-weight='bold'")]
    for i in range(6):
        x0, y = at(flows[0], high * i / 5)
        parts.append(f"<line x1='{x0}' y1='{y:.1f}' x2='{width - right}' y2='{y:.1f}' stroke='#ddd'/>")
        parts.append(text_at(x0 - 6, y + 4, f"{high * i / 5:g}", "end"))
    for x in flows:
        parts.append(text_at(at(x, 0)[0], height - bottom + 18, f"{x:,}".replace(",", " "), "middle"))
    parts.append(text_at((left + width - right) / 2, height - 10, "concurrent biflows", "middle"))
    parts.append(text_at(left - 50, top - 4, "ns"))
    for i, (name, points) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        line = " ".join("{:.1f},{:.1f}".format(*at(*p)) for p in points)
        parts.append(f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='2'/>")
        parts += ["<circle cx='{:.1f}' cy='{:.1f}' r='3' fill='{}'/>".format(*at(*p), colour)
                  for p in points]
        parts.append(text_at(left + 12, top + 16 + 16 * i, name, more=f"fill='{colour}'"))
    return svg(width, height, parts)


def plot_bars(title, groups):
    """`groups`: {workload: [(name, ns)]}, lengths on a logarithmic axis (peers are far away)."""
    import math
    width, left, right, bar = 720, 170, 80, 18
    rows = sum(len(bars) + 1 for bars in groups.values())
    height = 60 + rows * (bar + 4)
    high = max(ns for bars in groups.values() for _, ns in bars)
    names = []
    for bars in groups.values():
        names += [n for n, _ in bars if n not in names]
    scale = (width - left - right) / math.log10(max(high, 100) / 10)
    parts = [text_at(12, 24, title, more="font-weight='bold'")]
    y = 44
    for group, bars in groups.items():
        parts.append(text_at(12, y + 13, group, more="font-weight='bold'"))
        y += bar + 4
        for name, ns in bars:
            colour = COLOURS[names.index(name) % len(COLOURS)]
            length = max(math.log10(max(ns, 10) / 10) * scale, 1)
            parts.append(text_at(left - 8, y + 13, name, "end"))
            parts.append(f"<rect x='{left}' y='{y}' width='{length:.1f}' height='{bar}' fill='{colour}'/>")
            parts.append(text_at(left + length + 6, y + 13, f"{ns:.0f}"))
            y += bar + 4
    return svg(width, height, parts)


def write_plot(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
