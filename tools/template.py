# SPDX-License-Identifier: MIT
"""What tools/new-service and tools/new-object share: names, refusals, filling in templates of tools/scaffold."""

import glob
import os
import re
import shutil
import subprocess

NAME_MOST = 24
HERE = os.path.dirname(os.path.abspath(__file__))


class Refusal(Exception):
    """What is refused, why, and what would be needed; nothing was written."""


def fits(name):
    return re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) is not None and len(name) <= NAME_MOST


def type_of(name):
    """word-box: WordBox."""
    return "".join(part.capitalize() for part in name.split("-"))


def snake(name):
    """newNoteCard: new_note_card, as the generator names it in C."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def check_name(name, what, example):
    if not fits(name):
        raise Refusal(f"'{name}' is no name for {what}: small letters, digits and single dashes inside, at most {NAME_MOST}; try {example}")


def known_types():
    """Name of every interface, struct and enumerant's type of the tree: the file that has it."""
    found = {}
    for path in glob.glob("schema/*.capnp") + glob.glob("*/*/*.capnp"):
        with open(path, encoding="utf-8") as file:
            for name in re.findall(r"^(?:interface|struct|enum) (\w+)", file.read(), re.MULTILINE):
                found[name] = path
    return found


def check_new(kinds, paths):
    """Types and files that must not be there."""
    known = known_types()
    for kind in kinds:
        if kind in known:
            raise Refusal(f"{known[kind]} has an interface or type {kind} already; take another name")
    for path in paths:
        if os.path.exists(path):
            raise Refusal(f"{path} is there already; take another name, or remove it")


def filled(text, words):
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    return re.sub("@ID@", lambda _: new_id(), text)  # each file its own


def new_id():
    return subprocess.run(["capnp", "id"], capture_output=True, text=True, check=True).stdout.strip()


def template(folder, name, words):
    with open(os.path.join(HERE, "scaffold", folder, name + ".in"), encoding="utf-8") as file:
        return filled(file.read(), words)


def write(path, text, verb="wrote"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    if path.endswith((".c", ".h")) and shutil.which("clang-format"):  # names of another length, lines of another length
        subprocess.run(["clang-format", "-i", path], check=True)
    print(f"  {verb} {path}")
