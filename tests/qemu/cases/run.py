# SPDX-License-Identifier: MIT
"""make run itself: with a script on its input, and with a terminal."""

import os
import pty
import select
import subprocess
import time

from case import case

COMMAND = ["tools/run", "--accel", "tcg", "--build", "build"]
SECONDS = 60


@case("run.script", "lines on make run's input are typed at the prompts, and its status tells how the system ended",
      weight=4, slots=2)  # they share build/run
def script(t):
    done = subprocess.run(COMMAND, input=b"@timer.now()\n@control.shutdown()\n", capture_output=True, timeout=SECONDS,
                          check=False)
    text = done.stdout.decode(errors="replace")
    t.check(done.returncode == 0, "the status is 0 after a shutdown", f"status {done.returncode}\n{text[-800:]}")
    t.check("nowNs = " in text, "the answer is on the output", text[-800:])
    t.check("TCG" in text and "Ctrl-A X" in text, "the banner says the acceleration and how to leave")
    t.check(os.path.getsize("build/run/kernel.log") > 0, "the kernel log is in its file")

    done = subprocess.run(COMMAND, input=b"@timer.now()\n", capture_output=True, timeout=SECONDS, check=False)
    t.check(done.returncode == 0, "the end of the input is a Ctrl-D: the system switches itself off",
            done.stderr.decode(errors="replace")[-800:])

    done = subprocess.run(COMMAND + ["--", "manifest=none"], input=b"", capture_output=True, timeout=SECONDS,
                          check=False)
    t.check(done.returncode == 1 and b"code 3" in done.stdout, "a system that stops itself gives status 1 and its code",
            done.stdout.decode(errors="replace")[-800:])


class Terminal:
    """A person's terminal with make run in it."""

    def __init__(self):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(COMMAND[0], COMMAND)

    def wait_for(self, wanted, seconds=30.0):
        end = time.monotonic() + seconds
        while wanted not in self.text and time.monotonic() < end:
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.fd, 65536)
                except OSError:
                    break
        return wanted in self.text

    def type(self, data):
        self.text = b""
        os.write(self.fd, data)

    def status(self, seconds=20.0):
        """The exit status, or None when it does not end (it is ended then)."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass  # the other side is closed; the status comes next
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.05)
        os.kill(self.pid, 15)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        return None


@case("run.terminal", "Ctrl-C goes to the system, Ctrl-A Ctrl-A types a Ctrl-A, Ctrl-A X leaves the emulator", weight=4,
      slots=2)
def terminal(t):
    person = Terminal()
    try:
        t.require(person.wait_for(b"capos> "), "the prompt comes", person.text[-800:].decode(errors="replace"))
        person.type(b"abc\x03")
        t.check(person.wait_for(b"^C"), "Ctrl-C reaches the system's line editor")
        person.type(b"\r@timer.now()\r")
        t.check(person.wait_for(b"nowNs = "), "the system still answers")
        # Ctrl-A is the start of the line for the system's editor: @timer.now() typed from both ends.
        person.type(b"timer.now()\x01\x01@\r")
        t.check(person.wait_for(b"nowNs = "), "Ctrl-A Ctrl-A arrives as one Ctrl-A")
        person.type(b"\x01x")
    finally:
        status = person.status()
    t.check(status == 0, "leaving gives status 0", f"{status}")


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


@case("run.closed", "when the terminal of a make run is closed its emulator ends", weight=3, slots=2)
def closed(t):
    person = Terminal()
    came = person.wait_for(b"capos> ")
    children = children_of(person.pid)
    os.close(person.fd)
    end = time.monotonic() + 20
    pid = 0
    while pid == 0 and time.monotonic() < end:
        pid, _ = os.waitpid(person.pid, os.WNOHANG)
        time.sleep(0.05)
    if pid == 0:
        os.kill(person.pid, 9)
        os.waitpid(person.pid, 0)
    left = [child for child in children if os.path.exists(f"/proc/{child}")]
    for child in left:
        os.kill(int(child), 9)
    t.check(came and len(children) == 1, "the prompt comes, from one emulator", person.text[-400:].decode(errors="replace"))
    t.check(pid != 0, "make run ends")
    t.check(not left, "the emulator is gone")


@case("run.ended", "a make run that is ended from outside takes its emulator with it", weight=3, slots=2)
def ended(t):
    run = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    text = b""
    while b"capos> " not in text:
        chunk = os.read(run.stdout.fileno(), 65536)
        t.require(chunk, "the prompt comes", text[-400:].decode(errors="replace"))
        text += chunk
    children = children_of(run.pid)
    t.check(len(children) == 1, "it has one emulator", f"{children}")
    run.terminate()
    t.check(run.wait(20) == 143, "its status tells the signal", f"{run.returncode}")
    t.check(not any(os.path.exists(f"/proc/{child}") for child in children), "the emulator is gone")
