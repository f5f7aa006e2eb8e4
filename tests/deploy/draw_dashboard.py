"""Draws the layout of the dashboard from the template's own JSON, as docs/dashboard.svg: what
stands where, and which metrics.

    python tests/deploy/draw_dashboard.py            # writes it
    python tests/deploy/draw_dashboard.py --check    # fails if the one in docs/ is another
"""

import sys
from html import escape

import stack

PICTURE = stack.ROOT / "docs/dashboard.svg"
UNIT = 40
COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22"]


def label(metric):
    options = metric[-1] if isinstance(metric[-1], dict) else {}
    if "label" in options:
        return options["label"]
    is_function = metric[2] == "FunctionName"
    place = metric[3].rpartition("-")[2] if is_function else metric[0].removeprefix("AWS/")
    statistic = f", {options['stat']}" if "stat" in options else ""
    return f"{metric[1]}{statistic} ({place})"


def is_visible(metric):
    return not isinstance(metric[-1], dict) or metric[-1].get("visible", True)


def colour(metric, n):
    given = metric[-1].get("color") if isinstance(metric[-1], dict) else None
    return given or COLOURS[n % len(COLOURS)]


def text(x, y, words, **style):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x}" y="{y}"{attributes}>{escape(words)}</text>'


def rectangle(x, y, width, height, **style):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}"{attributes}/>'


def draw_widget(widget):
    x, y, width, height = (widget[k] * UNIT for k in ["x", "y", "width", "height"])
    properties = widget["properties"]
    if widget["type"] == "text":
        heading = properties["markdown"].lstrip("# ")
        yield text(x + 8, y + 27, heading, font_size=20, font_weight="bold")
        return
    yield rectangle(x + 4, y + 4, width - 8, height - 8, rx=4, fill="#fff", stroke="#b6bec9")
    is_number = properties["view"] == "singleValue"
    # A narrow widget wraps its title.
    words, lines = properties["title"].split(), [""]
    for word in words:
        fits = len(lines[-1]) + len(word) < width / 7.6
        lines = [*lines[:-1], f"{lines[-1]} {word}".strip()] if fits else [*lines, word]
    for n, line in enumerate(lines):
        yield text(x + 14, y + 26 + n * 18, line, font_weight="bold")
    top = y + 34 + len(lines) * 18
    if is_number:
        yield text(x + 14, top + 50, "7", font_size=54)
        return
    for n, metric in enumerate(filter(is_visible, properties["metrics"])):
        line = top + n * 22
        yield rectangle(x + 14, line - 10, 12, 12, fill=colour(metric, n))
        yield text(x + 32, line, label(metric))
    foot = f'{properties["stat"]} of {properties["period"]} s'
    for mark in properties.get("annotations", {}).get("horizontal", []):
        foot += f'; a line at {mark["value"]} ({mark["label"]})'
    yield text(x + 14, y + height - 16, foot, fill="#687078", font_size=11)


def draw(widgets):
    height = max(w["y"] + w["height"] for w in widgets) * UNIT
    width = 24 * UNIT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="13">',
        rectangle(0, 0, width, height, fill="#f2f3f3"),
    ]
    for widget in widgets:
        out += draw_widget(widget)
    return "\n".join([*out, "</svg>", ""])


def main():
    picture = draw(stack.widgets(stack.read()))
    if "--check" in sys.argv:
        if PICTURE.read_text() != picture:
            sys.exit(f"{PICTURE} isn't what the template says; run {sys.argv[0]}")
        return
    PICTURE.write_text(picture)


if __name__ == "__main__":
    main()
