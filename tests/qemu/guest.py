# SPDX-License-Identifier: MIT
"""One emulated machine: its terminal, its debug port, its end.

The terminal is COM1 over a unix socket, so nothing is lost between QEMU's start and the first read. The debug port
carries the kernel log and the machine-readable lines (`@test ...`, `@bench ...`). Both are kept in full, in memory and
in the log folder. QMP tells how the machine ended: switched off, reset or killed are three different things, although
QEMU's exit status says 0 for two of them.
"""

import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time

# isa-debug-exit turns the system's code into (code << 1) | 1. The codes: docs/reference/boot.md.
CODE_PANIC = 17

OVMF = "/usr/share/ovmf/OVMF.fd"
PROMPT = re.compile(rb"(?:^|[\r\n])[^\r\n]*capos> $")


class Failure(Exception):
    """The system did something else than the test says."""


def index_hash(image):
    with open(image + ".sha256", encoding="ascii") as file:
        return file.read().split()[0]


class Guest:
    """Boot a machine. Use as a context manager: leaving it ends the machine, whatever happened."""

    def __init__(self, name, *, boot="pvh", cpus=1, memory_mib=512, cmdline="", machine=(), build="build",
                 archive="boot", anchor=None, iso=None, disk=None, deadline_s=60.0, quiet_s=20.0, log_dir="build/test-logs", accel=None, kernel=None):
        self.name = name
        self.boot = boot
        self.log_dir = log_dir
        self.deadline = time.monotonic() + deadline_s
        self.quiet_s = quiet_s
        self.console = bytearray()
        self.debug = bytearray()
        self.seen = 0  # how much of the console expect() has consumed
        self.ended = None  # how the machine ended, once it has
        self.started = time.monotonic()
        self._last_output = self.started
        self._events = bytearray()
        self._reason = None
        self._unanswered = 1  # monitor commands; the first makes the others possible
        self._dir = tempfile.mkdtemp(prefix="capos-")
        self._selector = selectors.DefaultSelector()
        self._sockets = {}
        args = self._arguments(boot, cpus, memory_mib, cmdline, machine, build, archive, anchor, iso, disk, accel, kernel)
        # timeout(1) as well: a machine must not outlive a harness that was killed.
        self._process = subprocess.Popen(["timeout", "-k", "5", str(int(deadline_s) + 10)] + args,
                                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, start_new_session=True)
        try:
            for channel in ("qmp", "debug", "com1"):
                self._connect(channel)
        except Failure:
            self.close()
            raise

    def _arguments(self, boot, cpus, memory_mib, cmdline, machine, build, archive, anchor, iso, disk, accel, kernel):
        args = ["qemu-system-x86_64", "-machine", "q35", "-m", str(memory_mib), "-smp", str(cpus), "-nodefaults",
                "-no-user-config", "-display", "none", "-no-reboot",
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        args += accel or ["-accel", "tcg,thread=multi", "-cpu", "max"]
        for channel in ("qmp", "debug", "com1"):
            path = os.path.join(self._dir, channel)
            args += ["-chardev", f"socket,id={channel},path={path},server=on,wait=on"]
        args += ["-mon", "chardev=qmp,mode=control", "-serial", "chardev:com1",
                 "-device", "isa-debugcon,iobase=0xe9,chardev=debug"]
        if boot == "pvh":
            # An archive is named boot or test, or is a file; its anchor is the hash beside it unless given.
            image = archive if os.path.sep in archive else os.path.join(build, archive + ".archive")
            words = [f"archive={anchor or index_hash(image)}"] if anchor != "" else []
            args += ["-kernel", kernel or os.path.join(build, "kernel.elf"), "-initrd", image,
                     "-append", " ".join(words + cmdline.split())]
        elif boot.startswith("disk"):
            image = disk or os.path.join(build, "capos.img")
            form = "qcow2" if image.endswith(".qcow2") else "raw"
            args += ["-drive", f"if=none,id=disk,format={form},snapshot=on,file={image}", "-device", "ide-hd,drive=disk"]
        else:
            args += ["-cdrom", iso or os.path.join(build, "capos.iso")]
        if boot.endswith("uefi"):
            args += ["-bios", OVMF]
        return args + list(machine)

    def _connect(self, channel):
        path = os.path.join(self._dir, channel)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        until = time.monotonic() + 10
        while True:
            try:
                connection.connect(path)
                break
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise Failure(f"the emulator did not start: {self._stderr()}") from None
                time.sleep(0.01)
        self._sockets[channel] = connection
        if channel == "qmp":
            # Read once the emulator runs, which is when all channels are connected.
            connection.sendall(b'{"execute":"qmp_capabilities"}\n')
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ, channel)

    def _stderr(self):
        try:
            self._process.wait(5)
            return self._process.stderr.read().decode(errors="replace").strip()
        except subprocess.TimeoutExpired:
            return "(still running)"

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        self.keep_logs()

    # Reading

    def pump(self, seconds):
        """Read what there is for at most so long; True when something came."""
        came = False
        for key, _ in self._selector.select(max(0.0, seconds)):
            try:
                data = key.fileobj.recv(65536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(key.fileobj)
                continue
            came = True
            if key.data == "qmp":
                self._take_events(data)
                continue
            self._last_output = time.monotonic()
            (self.console if key.data == "com1" else self.debug).extend(data)
        return came

    def _take_events(self, data):
        self._events.extend(data)
        while b"\n" in self._events:
            line, _, rest = bytes(self._events).partition(b"\n")
            self._events = bytearray(rest)
            try:
                message = json.loads(line)
            except ValueError:
                continue
            if message.get("event") == "SHUTDOWN":
                self._reason = message.get("data", {}).get("reason")
            if "return" in message or "error" in message:
                self._unanswered -= 1

    def _note_end(self):
        """Called when QEMU may have ended: sets self.ended."""
        if self.ended is None and self._process.poll() is not None:
            while self._selector.get_map() and self.pump(0):
                pass
            status = self._process.returncode
            if status == 0 and self._reason == "guest-shutdown":
                self.ended = "off"
            elif status == 0 and self._reason == "guest-reset":
                self.ended = "reset"
            elif status % 2 == 1 and status > 1:
                code = status // 2
                self.ended = "panic" if code == CODE_PANIC else f"stopped, code {code}"
            else:
                self.ended = f"emulator status {status}" + (f", {self._reason}" if self._reason else "")
        return self.ended is not None

    def _from_now(self, seconds):
        """A wait begins: silence counts from here."""
        self._last_output = time.monotonic()
        return self._last_output + seconds

    def _check_time(self, until, what):
        now = time.monotonic()
        if now > self.deadline:
            raise Failure(f"the machine ran out of its time while waiting for {what}")
        if now > until:
            raise Failure(f"waited in vain for {what}")
        if now - self._last_output > self.quiet_s:
            raise Failure(f"it hangs: no output for {self.quiet_s:.0f} s while waiting for {what}")

    # Driving

    def pump_for(self, seconds):
        """Read for so long, whatever comes."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._note_end():
            self.pump(until - time.monotonic())

    def expect(self, pattern, seconds=30.0, since=None):
        """Wait until the console shows the pattern after what was expected last, or since a place noted before (a length of
        the console: for what may come between the outputs of other commands); the match."""
        compiled = re.compile(pattern.encode() if isinstance(pattern, str) else pattern)
        until = self._from_now(seconds)
        while True:
            match = compiled.search(self.console, self.seen if since is None else since)
            if match:
                self.seen = max(self.seen, match.end())
                return match
            if self._note_end():
                raise Failure(f"the machine ended ({self.ended}) before the console showed {pattern!r}")
            self._check_time(until, f"{pattern!r} on the console")
            self.pump(0.1)

    def expect_debug(self, pattern, seconds=30.0):
        """Wait until the debug port has shown the pattern, at any time since the start; the match."""
        compiled = re.compile(pattern.encode() if isinstance(pattern, str) else pattern)
        until = self._from_now(seconds)
        while True:
            match = compiled.search(self.debug)
            if match:
                return match
            if self._note_end():
                raise Failure(f"the machine ended ({self.ended}) before the kernel log showed {pattern!r}")
            self._check_time(until, f"{pattern!r} in the kernel log")
            self.pump(0.1)

    def send(self, text):
        """Type. Nothing is added."""
        data = text.encode() if isinstance(text, str) else text
        connection = self._sockets["com1"]
        while data:
            try:
                sent = connection.send(data)
                data = data[sent:]
            except BlockingIOError:
                if self._note_end():
                    raise Failure(f"the machine ended ({self.ended}) while it was typed to") from None
                self._check_time(self.deadline, "room to type")
                self.pump(0.05)
            except OSError:
                self._process.wait(5)
                self._note_end()
                raise Failure(f"the machine ended ({self.ended}) while it was typed to") from None

    def prompt(self, seconds=30.0):
        """Wait for the shell's prompt; what the console showed before it, as text without escapes."""
        start = self.seen
        until = self._from_now(seconds)
        while True:
            match = PROMPT.search(plain(bytes(self.console[start:])))
            if match:
                self.seen = len(self.console)
                return plain(bytes(self.console[start:])).decode(errors="replace")
            if self._note_end():
                raise Failure(f"the machine ended ({self.ended}) before the shell's prompt")
            self._check_time(until, "the shell's prompt")
            self.pump(0.1)

    def command(self, line, seconds=30.0):
        """Type a line at the prompt, or several that belong together; what they printed, as text."""
        *begun, line = line.split("\n")
        for part in begun:
            self.send(part + "\r")
            self.expect(r"  \.\.\.> ", seconds)
        self.send(line + "\r")
        # A program in the background may print at any time; the terminal then draws prompt and line anew, which may be
        # seen half-way. So the echo comes first, then the line's end with the new line of Enter (of a long line the
        # terminal shows its end only), and only a prompt after that is the end of the command.
        entered = line[-10:].encode() + b"\r\n"
        start, until = self.seen, self._from_now(seconds)
        while True:
            text = plain(bytes(self.console[start:]))
            echo = text.find(line[:40].encode())
            after = text.find(entered, echo) if echo >= 0 else -1
            if after >= 0 and PROMPT.search(text, after + len(entered) - 1):
                break
            if self._note_end():
                raise Failure(f"the machine ended ({self.ended}) during `{line}`")
            self._check_time(until, f"the end of `{line}`")
            self.pump(0.1)
        self.seen = len(self.console)
        text = text[echo:].decode(errors="replace")
        lines = text.splitlines()
        # What is left of the echo comes first, the next prompt last.
        return "\n".join(lines[1:-1] if len(lines) > 1 else [])

    def wait_end(self, seconds=30.0):
        """Wait until the machine ends by itself; how: off, reset, panic, `stopped, code N`, or what the emulator said."""
        until = self._from_now(seconds)
        while not self._note_end():
            self._check_time(until, "the machine to end")
            self.pump(0.1)
        return self.ended

    def monitor(self, command, **arguments):
        """One QMP command, for tests that need the machine's own levers. Those before it have been answered: the
        emulator keeps a line of a few only, and does not end while there is one."""
        until = self._from_now(self.quiet_s)
        while self._unanswered > 0 and not self._note_end():
            self._check_time(until, "the monitor's answer")
            self.pump(0.05)
        self._unanswered += 1
        message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self._sockets["qmp"].sendall(json.dumps(message).encode() + b"\n")

    # Results

    def log(self):
        """The kernel log so far, as text."""
        return self.debug.decode(errors="replace")

    def results(self, writer="init"):
        """The @test lines of the kernel and of one program: (suite, name, passed, detail). Nobody else's count."""
        found = []
        for line in self.log().splitlines():
            match = re.search(rf"^\[ *\d+\.\d+\] (?:{writer}: )?@test (\S+) (\S+) (pass|fail)(?: (.*))?$", line.rstrip())
            if match:
                found.append((match[1], match[2], match[3] == "pass", match[4] or ""))
        return found

    def bench(self):
        """The @bench lines: name -> (value, unit, batches, least, most)."""
        rows = {}
        for line in self.log().splitlines():
            match = re.search(r"@bench (\S+) (\S+) (\S+)(?: (\S+) (\S+) (\S+))?", line)
            if match:
                value = float(match[2])
                rows[match[1]] = (value, match[3], int(match[4] or 1), float(match[5] or value),
                                  float(match[6] or value))
        return rows

    def close(self):
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)  # timeout(1) and the emulator are a group
                self._process.wait()
            self.ended = self.ended or "stopped by the harness"
        self._note_end()
        for connection in self._sockets.values():
            connection.close()
        self._sockets = {}
        self._process.stderr.close()
        shutil.rmtree(self._dir, ignore_errors=True)

    def keep_logs(self):
        os.makedirs(self.log_dir, exist_ok=True)
        for ending, data in (("console", self.console), ("kernel", self.debug)):
            with open(os.path.join(self.log_dir, f"{self.name}.{ending}.log"), "wb") as file:
                file.write(data)

    def age_s(self):
        return time.monotonic() - self.started


ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][0-9A-B]|\x1b[=>c78]")


def plain(data):
    """Console bytes without terminal escape sequences."""
    return ESCAPES.sub(b"", data)
