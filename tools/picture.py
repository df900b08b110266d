# SPDX-License-Identifier: MIT
"""Pictures of the book: a fenced block of kind `picture` is characters in the page and lines in the book.

    ```picture kernel/ring/record.h:record_state

svg(text) draws the characters: - and | are lines, + joins them, < > ^ v at the end of a line are arrows, all else is text.
missing(root, info, text) tells what the picture leaves out: behind the word `picture` stand enums or structs of the tree,
as FILE:NAME, and every constant (without the prefix that they share) or field of them must be a word of the picture.
"""

import html
import os
import re

WIDTH, HEIGHT = 8.4, 17  # of one character
TEXT = 'font-family="monospace" font-size="14" fill="currentColor" stroke="none"'
JOINS_ACROSS, JOINS_DOWN = "-+<>", "|+^v"


class Grid:
    def __init__(self, text):
        self.rows = text.rstrip("\n").split("\n")
        self.width = max(len(row) for row in self.rows)

    def at(self, x, y):
        return self.rows[y][x] if 0 <= y < len(self.rows) and 0 <= x < len(self.rows[y]) else " "

    def across(self, x, y):
        """The character there is part of a line from left to right."""
        char, left, right = self.at(x, y), self.at(x - 1, y), self.at(x + 1, y)
        if char in "-+":
            return left in JOINS_ACROSS or right in JOINS_ACROSS
        return char == ">" and left in "-+" or char == "<" and right in "-+"

    def down(self, x, y):
        char, above, below = self.at(x, y), self.at(x, y - 1), self.at(x, y + 1)
        if char in "|+":
            return above in JOINS_DOWN or below in JOINS_DOWN or char == "|" and "-" in above + below
        alone = not (self.at(x - 1, y) + self.at(x + 1, y)).strip()
        return alone and (char == "v" and above in "|+" or char == "^" and below in "|+")


def stroke(x1, y1, x2, y2):
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def head(grid, x, y):
    """An arrow's head; its tip touches the border that it points at."""
    dx, dy = {">": (1, 0), "<": (-1, 0), "v": (0, 1), "^": (0, -1)}[grid.at(x, y)]
    far = 1 if grid.at(x + dx, y + dy) in "|-+" else 0.5
    tip = ((x + 0.5 + dx * far) * WIDTH, (y + 0.5 + dy * far) * HEIGHT)
    back = (tip[0] - dx * 8, tip[1] - dy * 8)
    points = [tip, (back[0] + dy * 4, back[1] + dx * 4), (back[0] - dy * 4, back[1] - dx * 4)]
    return stroke((x + 0.5) * WIDTH, (y + 0.5) * HEIGHT, *back) + '<polygon fill="currentColor" stroke="none" points="' + " ".join(
        f"{px:.1f},{py:.1f}" for px, py in points) + '"/>'


def lines(length, breadth, is_line, place, body):
    """The strokes of one direction: runs of line characters, from centre to centre, a body's to the next centre if a
    line crosses there, else to its edge."""
    out = []
    for b in range(breadth):
        a = 0
        while a < length:
            start = a
            while a < length and is_line(a, b):
                a += 1
            chars = [place(each, b) for each in range(start, a)]
            if any(char != "+" for char, _, _ in chars):
                (first, x1, y1), (last, x2, y2) = chars[0], chars[-1]
                step, crossing = ((WIDTH, 0), "|") if body == "-" else ((0, HEIGHT), "-")
                begin = (1 if place(start - 1, b)[0] == crossing else 0.5) * (first == body)
                end = (1 if place(a, b)[0] == crossing else 0.5) * (last == body)
                out.append(stroke(x1 - step[0] * begin, y1 - step[1] * begin, x2 + step[0] * end, y2 + step[1] * end))
            a = max(a, start + 1)
    return out


def svg(text):
    grid = Grid(text)
    rows, columns = len(grid.rows), grid.width

    def centre(x, y):
        return grid.at(x, y), (x + 0.5) * WIDTH, (y + 0.5) * HEIGHT

    out = lines(columns, rows, grid.across, centre, "-")
    out += lines(rows, columns, lambda y, x: grid.down(x, y), lambda y, x: centre(x, y), "|")
    for y, row in enumerate(grid.rows):
        drawn = [grid.across(x, y) or grid.down(x, y) for x in range(len(row))]
        out += [head(grid, x, y) for x, char in enumerate(row) if drawn[x] and char in "<>^v"]
        plain = "".join(" " if drawn[x] else char for x, char in enumerate(row))
        for word in re.finditer(r"\S+(?: \S+)*", plain):
            out.append(f'<text x="{word.start() * WIDTH:.1f}" y="{(y + 0.75) * HEIGHT:.1f}" {TEXT} textLength="'
                       f'{len(word[0]) * WIDTH:.1f}">{html.escape(word[0])}</text>')
    width, height = columns * WIDTH, rows * HEIGHT
    return (f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width:.0f}" height="{height}" '
            f'viewBox="0 0 {width:.0f} {height}" style="max-width:100%;stroke:currentColor;fill:none">{"".join(out)}</svg>')


def names_of(source, name):
    """The constants of an enum (C or schema), or the fields of a C struct; None when it is not there."""
    source = re.sub(r"/\*.*?\*/|//[^\n]*|#[^\n]*", "", source, flags=re.DOTALL)
    if match := re.search(rf"\benum {name} \{{([^}}]*)\}}", source):
        names = re.findall(r"(?:^|[,;])\s*(\w+)", match[1])
        prefix = os.path.commonprefix(names).rpartition("_")
        return [each[len(prefix[0] + prefix[1]):] for each in names]
    if match := re.search(rf"\bstruct {name} \{{(.*?)\n\}};", source, re.DOTALL):
        return [each for each in re.findall(r"(\w+)(?:\[\d+\])?;", match[1]) if not each.startswith("reserved")]
    return None


def missing(root, info, text):
    words = set(re.findall(r"\w+", text))
    for shown in info.split():
        path, _, name = shown.partition(":")
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                names = names_of(file.read(), name)
        except OSError:
            names = None
        if names is None:
            yield f"a picture shows {shown}, which is not there"
            continue
        for each in names:
            if each not in words:
                yield f"the picture of {shown} lacks {each}"
