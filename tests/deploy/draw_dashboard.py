"""Draws the layout of the dashboard from the template's own JSON, as docs/dashboard.svg: what stands where, and which metrics.

    python tests/deploy/draw_dashboard.py            # writes it
    python tests/deploy/draw_dashboard.py --check    # fails if the one in docs/ is another
"""

import json
import sys
from html import escape
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs/dashboard.svg"
UNIT = 40
COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2"]


def label(metric):
    options = metric[-1] if isinstance(metric[-1], dict) else {}
    function = metric[3].rpartition("-")[2] if metric[2] == "FunctionName" else metric[0].removeprefix("AWS/")
    name = metric[1] + (f", {options['stat']}" if "stat" in options else "")
    return options.get("label", f"{name} ({function})"), options.get("color")


def draw(body):
    widgets = body["widgets"]
    height = max(w["y"] + w["height"] for w in widgets) * UNIT
    width = 24 * UNIT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{width}" height="{height}" fill="#f2f3f3"/>',
    ]
    for w in widgets:
        x, y, wide, high = (w[k] * UNIT for k in ["x", "y", "width", "height"])
        properties = w["properties"]
        if w["type"] == "text":
            out.append(f'<text x="{x + 8}" y="{y + 27}" font-size="20" font-weight="bold">{escape(properties["markdown"].lstrip("# "))}</text>')
            continue
        out.append(f'<rect x="{x + 4}" y="{y + 4}" width="{wide - 8}" height="{high - 8}" rx="4" fill="#fff" stroke="#b6bec9"/>')
        out.append(f'<text x="{x + 14}" y="{y + 26}" font-weight="bold">{escape(properties["title"])}</text>')
        for n, metric in enumerate(properties["metrics"]):
            text, colour = label(metric)
            line = y + 52 + n * 22
            out.append(f'<rect x="{x + 14}" y="{line - 10}" width="12" height="12" fill="{colour or COLOURS[n % len(COLOURS)]}"/>')
            out.append(f'<text x="{x + 32}" y="{line}">{escape(text)}</text>')
        foot = f'{properties["stat"]} of {properties["period"]} s'
        for line in properties.get("annotations", {}).get("horizontal", []):
            foot += f'; a line at {line["value"]} ({line["label"]})'
        out.append(f'<text x="{x + 14}" y="{y + high - 16}" fill="#687078" font-size="11">{escape(foot)}</text>')
    return "\n".join([*out, "</svg>", ""])


def main():
    template = yaml_parse((ROOT / "template.yaml").read_text())
    picture = draw(json.loads(template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]))
    if "--check" in sys.argv:
        if PICTURE.read_text() != picture:
            sys.exit(f"{PICTURE} isn't what the template says; run {sys.argv[0]}")
        return
    PICTURE.write_text(picture)


if __name__ == "__main__":
    main()
