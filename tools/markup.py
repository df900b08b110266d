# SPDX-License-Identifier: MIT
"""The part of Markdown that the pages of the tree are written in, to HTML."""

import html
import re

import picture


def inline(text):
    parts = re.split(r"(`[^`]+`)", text)
    out = []
    for part in parts:
        if len(part) > 2 and part[0] == "`" and part[-1] == "`":
            out.append(f"<code>{html.escape(part[1:-1])}</code>")
            continue
        part = html.escape(part, quote=False)
        part = re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)",
                      lambda m: f'<a href="{re.sub(r"[.]md(#|$)", r".html" + chr(92) + "1", m[2])}">{m[1]}</a>', part)
        part = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", part)
        part = re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<i>\1</i>", part)
        out.append(part)
    return "".join(out)


def cells(line):
    return [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table(lines):
    head, rows = cells(lines[0]), [cells(line) for line in lines[2:]]
    out = ['<div class="wide"><table><tr>' + "".join(f"<th>{inline(cell)}</th>" for cell in head) + "</tr>"]
    out += ["<tr>" + "".join(f"<td>{inline(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join(out) + "</table></div>"


def starts_block(line):
    return not line.strip() or re.match(r"#{1,6} |```|\||    |\s*(?:[-*]|\d+\.) |<!--", line)


class Page:
    """What a page is turned into."""

    def __init__(self):
        self.title, self.html = "", ""
        self.headings = []  # (level, anchor, text)

    def heading(self, level, text):
        """Its HTML; no two of a page have one anchor."""
        plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", text)
        anchor = wanted = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
        taken = {each for _, each, _ in self.headings}
        number = 2
        while anchor in taken:
            anchor, number = f"{wanted}-{number}", number + 1
        self.headings.append((level, anchor, plain))
        self.title = self.title or plain
        return f'<h{level} id="{anchor}">{inline(text)}<a class="anchor" href="#{anchor}" aria-label="link to this">#</a></h{level}>'


def convert(text, drawn_parts=None):
    """The page. drawn_parts: what stands for a comment <!-- NAME -->, by name."""
    lines = text.split("\n")
    page = Page()
    out, at = [], 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("<!--"):
            out.append((drawn_parts or {}).get(line[4:].removesuffix("-->").strip(), ""))
            while "-->" not in lines[at]:
                at += 1
            at += 1
        elif not line.strip():
            at += 1
        elif line.startswith("```"):
            end = next((i for i in range(at + 1, len(lines)) if lines[i].startswith("```")), len(lines))
            body = "\n".join(lines[at + 1:end])
            drawn = re.match(r"```picture\b", line)
            out.append(f'<div class="picture">{picture.svg(body)}</div>' if drawn else f"<pre>{html.escape(body)}</pre>")
            at = end + 1
        elif match := re.match(r"(#{1,6}) (.*)", line):
            out.append(page.heading(len(match[1]), match[2]))
            at += 1
        elif line.startswith("|"):
            end = at
            while end < len(lines) and lines[end].startswith("|"):
                end += 1
            out.append(table(lines[at:end]))
            at = end
        elif line.startswith("    "):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            out.append("<pre>" + html.escape("\n".join(each[4:] for each in lines[at:end]).rstrip()) + "</pre>")
            at = end
        elif match := re.match(r"\s*([-*]|\d+\.) ", line):
            kind = "ul" if match[1] in "-*" else "ol"
            items = []
            while at < len(lines) and lines[at].strip():
                item = re.match(r"\s*(?:[-*]|\d+\.) (.*)", lines[at])
                if item:
                    items.append(item[1])
                else:
                    items[-1] += " " + lines[at].strip()
                at += 1
            out.append(f"<{kind}>" + "".join(f"<li>{inline(item)}</li>" for item in items) + f"</{kind}>")
        else:
            end = at + 1
            while end < len(lines) and not starts_block(lines[end]):
                end += 1
            out.append(f"<p>{inline(' '.join(each.strip() for each in lines[at:end]))}</p>")
            at = end
    page.html = "\n".join(each for each in out if each)
    return page
