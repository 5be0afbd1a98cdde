"""Documents as Markdown, HTML and LaTeX, all from one list of blocks.

A block is ("title" | "heading" | "subheading" | "text", words), ("list", lines), ("code", lines to type),
("table", (header, rows)), ("drawing", SVG) or ("figure", (file, caption, SVG)). Only HTML shows a drawing, and Markdown
a figure whose file stands beside it, so their numbers stand in a table as well.
"""

from collections.abc import Sequence
from html import escape

MARKS = {"title": "# ", "heading": "## ", "subheading": "### ", "text": ""}
TAGS = {"title": "h1", "heading": "h2", "subheading": "h3", "text": "p"}
COMMANDS = {"title": "section*", "heading": "subsection*", "subheading": "subsubsection*"}


def markdown(blocks: Sequence[tuple]) -> str:
    out = []
    for kind, content in blocks:
        if kind in MARKS:
            out.append(MARKS[kind] + content)
        elif kind == "list":
            out.append("\n".join(f"- {line}" for line in content))
        elif kind == "code":
            out.append(f"```\n{content}\n```")
        elif kind == "figure":
            file, caption, _ = content
            out.append(f"![Figure]({file})\n\n{caption}")
        elif kind == "table":
            header, rows = content
            lines = [header, ["---"] * len(header), *rows]
            out.append("\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines))
    return "\n\n".join(out) + "\n"


STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: 14px }
th, td { border: 1px solid #bbb; padding: .3rem .6rem; text-align: left; vertical-align: top }
th { background: #f0f0f0 }
pre { background: #f0f0f0; padding: .6rem; overflow-x: auto }
td.holds { background: #d6eaf8 }
td.fails { background: #fbe3d0 }
td.open { background: #f3f3f3 }
svg { max-width: 100%; height: auto }
figure { margin: 1rem 0 }
figcaption { font-size: 14px; color: #444 }
"""


TINTS = {" ✓": "holds", " ✗": "fails", " ?": "open"}  # blue, orange and grey: told apart by every eye


def html(title: str, blocks: Sequence[tuple]) -> str:
    """A whole page; drawings go in as they are, everything else is escaped."""
    say, out = escape, []
    for kind, content in blocks:
        if kind in TAGS:
            out.append(f"<{TAGS[kind]}>{say(content)}</{TAGS[kind]}>")
        elif kind == "list":
            out.append("<ul>" + "".join(f"<li>{say(line)}</li>" for line in content) + "</ul>")
        elif kind == "drawing":
            out.append(content)
        elif kind == "figure":
            out.append(f"<figure>{content[2]}<figcaption>{say(content[1])}</figcaption></figure>")
        elif kind == "code":
            out.append(f"<pre>{say(content)}</pre>")
        else:
            header, rows = content
            head = "".join(f'<th scope="col">{say(text)}</th>' for text in header)
            body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>\n" for row in rows)
            out.append(f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>")
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head = f"<head>{meta}<title>{say(title)}</title><style>{STYLE}</style></head>"
    return f'<!doctype html>\n<html lang="en">{head}\n<body>\n' + "\n".join(out) + "\n</body></html>\n"


def _cell(text: str) -> str:
    tint = TINTS.get(text[-2:])
    return f"<td{f' class={tint}' if tint else ''}>{escape(text)}</td>"


PREAMBLE = r"""\documentclass[10pt]{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{amssymb,array,longtable}
\setlength{\parindent}{0pt}
\begin{document}"""


def latex(blocks: Sequence[tuple]) -> str:
    """A whole document; every column of a table gets an equal part of the line, and tables run over pages."""
    out = [PREAMBLE]
    for kind, content in blocks:
        if kind in COMMANDS:
            out.append(f"\\{COMMANDS[kind]}{{{escaped(content)}}}")
        elif kind == "text":
            out.append(escaped(content) + "\n")
        elif kind == "list":
            items = [rf"\item {escaped(line)}" for line in content]
            out.append("\n".join([r"\begin{itemize}", *items, r"\end{itemize}"]))
        elif kind == "code":
            out.append("\n".join([r"\begin{verbatim}", content, r"\end{verbatim}"]))
        elif kind == "table":
            out.append(_longtable(*content))
    return "\n".join([*out, r"\end{document}", ""])


def _longtable(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    column = rf">{{\raggedright\arraybackslash}}p{{\dimexpr\linewidth/{len(header)}-2\tabcolsep\relax}}"
    lines = [rf"{{\footnotesize\begin{{longtable}}{{@{{}}*{{{len(header)}}}{{{column}}}@{{}}}}", r"\hline"]
    lines += [" & ".join(map(escaped, header)) + r" \\", r"\hline", r"\endhead"]
    lines += [" & ".join(map(escaped, row)) + r" \\" for row in rows]
    return "\n".join([*lines, r"\hline", r"\end{longtable}}"])


LATEX = {"\\": r"\textbackslash{}", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "±": r"$\pm$", "×": r"$\times$"}
LATEX |= {"✓": r"\checkmark", "✗": r"$\times$", "–": "--", "−": "$-$", "τ": r"$\tau$", "²": "$^2$"}
LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\^{}"}
LATEX |= {"<": r"\textless{}", ">": r"\textgreater{}"}


def escaped(text: str) -> str:
    """Text as LaTeX prints it."""
    return "".join(LATEX.get(character, character) for character in text)
