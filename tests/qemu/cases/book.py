# SPDX-License-Identifier: MIT
"""The book that make docs makes: whoever opens it finds every page, and every link leads somewhere."""

import html.parser
import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess

from case import case
from tree_copy import copy_tree, run_in

BOOK = "build/docs"


class Reader(html.parser.HTMLParser):
    """What one page has: anchors, links, how often each element; open elements at its end are a fault."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.counts, self.open, self.faults = [], [], {}, [], []
        self.within = {"side": [], "around": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if "id" in attrs:
            self.anchors.append(attrs["id"])
        if tag not in ("meta", "link", "input", "path", "polygon"):
            self.open.append((tag, attrs.get("class", "")))
        if "href" in attrs:
            self.links.append(attrs["href"])
            for name, found in self.within.items():
                if ("nav", name) in self.open:
                    found.append((attrs.get("rel", ""), attrs["href"]))

    def handle_startendtag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.faults.append(f"</{tag}> where {self.open[-1:]} is open")
        else:
            self.open.pop()


def read_book():
    pages = {}
    for folder, _, names in os.walk(BOOK):
        for name in names:
            if name.endswith(".html"):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    pages[os.path.relpath(path, BOOK)] = Reader(file.read())
    return pages


def leads_to(page, link):
    path, _, anchor = link.partition("#")
    return (os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page), anchor


@case("book.whole", "each page of the book is in its list and in its order, and each link leads to a page and a heading of it", weight=4, slots=2)
def whole(t):
    done = subprocess.run(["make", "--no-print-directory", "-s", "docs"], capture_output=True, text=True, check=False)
    t.require(done.returncode == 0, "make docs succeeds", done.stdout + done.stderr)
    pages = read_book()
    sources = {os.path.relpath(os.path.join(folder, name), "docs")[:-3] + ".html"
               for folder, _, names in os.walk("docs") for name in names if name.endswith(".md")}
    t.check(sources <= set(pages), "each page of docs/ is in it", str(sources - set(pages)))
    for name, page in pages.items():
        t.check(not page.faults and page.open == [("html", "")] or not page.open and not page.faults, f"{name} is well-formed",
                f"{page.faults} {page.open}")
        t.check(len(set(page.anchors)) == len(page.anchors), f"{name}: no two headings have one anchor")
        for link in page.links:
            if not re.match(r"[a-z]+:", link) and not link.endswith("/"):
                target, anchor = leads_to(name, link)
                t.check(os.path.exists(os.path.join(BOOK, target)) and (not anchor or anchor in pages[target].anchors),
                        f"{name}: {link} leads somewhere")
        listed = {leads_to(name, link)[0] for _, link in page.within["side"]}
        t.check(listed | {"index.html"} == set(pages), f"{name}: its list has every page", str(set(pages) - listed))

    at, seen = "index.html", []
    while at:
        seen.append(at)
        at = next((leads_to(at, link)[0] for rel, link in pages[at].within["around"] if rel == "next"), None)
        t.require(at not in seen, "the order goes round in no circle", str(at))
    t.check(set(seen) == set(pages), "from the first page on, each page is the next of one", str(set(pages) - set(seen)))

    pictures = 0
    for name in sources:
        with open(os.path.join("docs", name[:-5] + ".md"), encoding="utf-8") as file:
            wanted = len(re.findall(r"^```picture\b", file.read(), re.MULTILINE))
        t.check(pages[name].counts.get("svg", 0) == wanted, f"{name}: its {wanted} pictures are drawn")
        pictures += wanted
    t.check(pictures > 0, "there are pictures")

    with open(f"{BOOK}/words.js", encoding="utf-8") as file:
        words = json.loads(file.read().removeprefix("const words = ").rstrip(";\n"))
    t.check(sum(len(page.anchors) - 2 for page in pages.values()) == len(words), "the search knows each heading")  # 2: its own field and list
    for link, _, heading, text in words:
        target, anchor = leads_to("index.html", link)
        t.check(anchor in pages[target].anchors and heading.split()[0] in text, f"the search's {link} leads to its words")


@case("book.rooms", "the drawn table of who may include whom says what tools/check-includes allows", weight=2, slots=2)
def rooms(t):
    loader = importlib.machinery.SourceFileLoader("check_includes", "tools/check-includes")
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    with open("docs/reference/rooms.md", encoding="utf-8") as file:
        rows = module.Rooms(file.read()).rows
    allowed = {room: may for _, room, may in rows}
    done = subprocess.run(["make", "--no-print-directory", "-s", "docs"], capture_output=True, text=True, check=False)
    t.require(done.returncode == 0, "make docs succeeds", done.stderr)
    with open(f"{BOOK}/reference/rooms.html", encoding="utf-8") as file:
        matrix = file.read().split('<table class="matrix">')[1].split("</table>")[0]
    found = re.findall(r'<td title="([^"]*?) (may not|may) include ([^",]*)(?:, its own folder)?">([●○]?)</td>', matrix)
    t.check(len(found) == len(allowed) ** 2, "each pair of rooms has its place", str(len(found)))
    for room, says, other, mark in found:
        may = other in allowed[room] or room == other and "itself" in allowed[room]
        t.check(may == (says == "may") == (mark != ""), f"{room} and {other}", f"{says} {mark}")


@case("book.broken", "a page that links to nothing, and a list that names no page, stop the book", weight=2)
def broken(t):
    copy = copy_tree("book")
    page = os.path.join(copy, "docs/how-to/build.md")
    with open(page, encoding="utf-8") as file:
        text = file.read()
    for more, wanted in (("[x](../reference/ring.md#no-such-heading)", "docs/how-to/build.md: links to ../reference/ring.html#no-such-heading"),
                         ("[x](#nowhere)", "docs/how-to/build.md: links to #nowhere")):
        with open(page, "w", encoding="utf-8") as file:
            file.write(f"{text}\n{more}\n")
        done = run_in(copy, "tools/docs", "build/docs")
        t.check(done.returncode == 1 and wanted in done.stderr, f"{more} is found", done.stdout + done.stderr)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)
    with open(os.path.join(copy, "docs/how-to/another.md"), "w", encoding="utf-8") as file:
        file.write("# Another page\n\nText.\n")
    done = run_in(copy, "tools/docs", "build/docs")
    with open(os.path.join(copy, "build/docs/index.html"), encoding="utf-8") as file:
        t.check(done.returncode == 0 and ">Another page</a>" in file.read(), "a page that no list names is put into one", done.stderr)
    with open(os.path.join(copy, "docs/index.md"), "a", encoding="utf-8") as file:
        file.write("\n- [Gone](how-to/gone.md)\n")
    done = run_in(copy, "tools/docs", "build/docs")
    t.check(done.returncode == 1 and "lists how-to/gone.md, which is not there" in done.stderr, "a list of what is not there is refused",
            done.stderr)
