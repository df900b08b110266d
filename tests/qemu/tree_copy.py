# SPDX-License-Identifier: MIT
"""A copy of the tree, to be changed and built beside it. What is built already is not built again."""

import os
import shutil
import subprocess

from guest import Failure

PARTS = (".deps", "cache", "third", "tools", "gen", "obj", "libcapos.a")  # of build/


def copy_tree(name):
    """build/NAME, made anew; its path."""
    copy = os.path.abspath(os.path.join("build", name))
    shutil.rmtree(copy, ignore_errors=True)
    os.makedirs(os.path.join(copy, "build"))
    for folder, folders, names in os.walk("."):
        folders[:] = [each for each in folders if each not in ("build", ".git", "__pycache__")]
        os.makedirs(os.path.join(copy, folder), exist_ok=True)
        for each in names:
            shutil.copy2(os.path.join(folder, each), os.path.join(copy, folder, each))
    for part in PARTS:
        source = os.path.join("build", part)
        if os.path.isdir(source):
            shutil.copytree(source, os.path.join(copy, source))
        elif os.path.exists(source):
            shutil.copy2(source, os.path.join(copy, source))
    return copy


def write_files(copy, files):
    for path, text in files:
        os.makedirs(os.path.join(copy, os.path.dirname(path)), exist_ok=True)
        with open(os.path.join(copy, path), "w", encoding="utf-8") as file:
            file.write(text)


def run_in(copy, *words):
    """A command there, with its output, as if nobody had started make."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")} | {"PWD": copy}
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=copy, env=env)


def build_copy(copy, *targets):
    """Builds the kernel and the boot archive, or these; its build folder."""
    done = run_in(copy, "make", "--no-print-directory", *(targets or ("build/kernel.elf", "build/boot.archive")))
    if done.returncode != 0:
        raise Failure("the copy does not build:\n" + (done.stdout + done.stderr)[-3000:])
    return os.path.join(copy, "build")
