"""One HTML file that holds a whole benchmark: figures, plots and pictures, nothing fetched."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from stream.bench.results import COLUMNS, LEGEND, Results, cells, figures

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
       color: #1d2126; background: #fcfcfb }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 1.5rem }
th, td { padding: .2rem .55rem; text-align: right; border-bottom: 1px solid #e4e4e0 }
th:first-child, td:first-child { text-align: left }
.wide { overflow-x: auto } img { max-width: 100% } h2 { margin-top: 2.2rem } code { color: #52585f }
@media (prefers-color-scheme: dark) { body { color: #e6e6e3; background: #191b1e }
  th, td { border-color: #34383d } code { color: #a3abb3 } .plot { filter: invert(.88) hue-rotate(180deg) } }
"""


def page(
    results: Results, about: dict[str, Any], refused: Sequence[str],
    pictures: dict[str, dict[str, Path]],
) -> str:  # fmt: skip
    """The whole page.

    Args:
        results: of all entrants.
        about: the command, versions, machine; shown as they are.
        refused: what could not be measured.
        pictures: scene -> caption -> PNG or JPEG file.
    """
    kinds = dict.fromkeys(p.rows[0].kind for parts in results.values() for p in parts)
    body = ["<h1>Face occlusion in video</h1>", f"<p>{escape(LEGEND)}</p>", "<h2>All scenes</h2>"]
    body.append(table(results, None))
    if refused:
        items = "".join(f"<li>{escape(text)}</li>" for text in refused)
        body.append(f"<h2>Not measured: {len(refused)}</h2><ul>{items}</ul>")
    for kind in kinds:
        body += [f"<h2>{escape(kind)}</h2>", table(results, kind)]
        for scene, files in pictures.items():
            if scene.partition("/")[0] == kind:
                body += [figure(scene, caption, path) for caption, path in files.items()]
    lines = "\n".join(f"{key}: {value}" for key, value in about.items())
    body.append(f"<h2>How</h2><pre><code>{escape(lines)}</code></pre>")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width"><title>s3pot bench video</title>'
        f"<style>{STYLE}</style><body>{''.join(body)}</body></html>\n"
    )


def table(results: Results, kind: str | None) -> str:
    """Each entrant's figures over all scenes, or those of a kind."""
    heads = "".join(f"<th>{escape(head)}</th>" for _, head, _, _ in COLUMNS)
    lines = []
    for who, parts in results.items():
        its = [p for p in parts if kind is None or p.rows[0].kind == kind]
        values = "".join(f"<td>{cell}</td>" for cell in cells(figures(its)))
        lines.append(f"<tr><td>{escape(who)}</td>{values}</tr>")
    return f'<div class="wide"><table><tr><th></th>{heads}</tr>{"".join(lines)}</table></div>'


def figure(scene: str, caption: str, path: Path) -> str:
    """A picture, within the page."""
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    text = escape(f"{scene}: {caption}")
    kind = "plot" if caption == "coverage" else "still"
    mime = "png" if path.suffix == ".png" else "jpeg"
    return (
        f'<figure><img class="{kind}" alt="{text}" src="data:image/{mime};base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )
