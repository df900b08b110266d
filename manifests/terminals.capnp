# SPDX-License-Identifier: MIT
@0xb0c9d2e7f13a5846;

# A second terminal on the second serial line, with a shell of its own: what `make run` boots (kernel word
# manifest=manifest/terminals), and `make term` attaches to. Merged with manifests/default.capnp. The second shell works in a
# session of its own; it cannot end the system, and has no more of the processors than any program.

using M = import "/schema/manifest.capnp";

const terminals :M.Manifest = (
  services = [
    (
      name = "terminal-2",
      program = "serial-terminal",
      grants = [
        (name = "ports", interface = "IoPorts", source = (ioPorts = (base = 0x2f8, count = 8))),
        (name = "interrupt", interface = "Interrupt", source = (interrupt = 3)),
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "serve", interface = "EndpointServe", source = (serve = void)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      exports = [(name = "terminal", interface = "TerminalSession")],
      maxMessageBytes = 4160,
      maxCaps = 0,
      readiness = ready,
      restart = onFailure,
    ),
    (
      name = "shell-2",
      program = "shell",
      grants = [
        (name = "terminal", interface = "TerminalSession",
         source = (export = (service = "terminal-2", export = "terminal"))),
        (name = "manual", interface = "SchemaRegistry",
         source = (export = (service = "manual", export = "registry"))),
        (name = "pages", interface = "Manual",
         source = (export = (service = "manual", export = "pages"))),
        (name = "counter", interface = "Counter",
         source = (export = (service = "counter", export = "counter"))),
        (name = "chat", interface = "Chat",
         source = (export = (service = "chat", export = "chat")),
         why = "who sits at the second prompt may talk, too"),
        (name = "world", interface = "World",
         source = (export = (service = "adventure", export = "world"))),
        (name = "launcher", interface = "Launcher", source = (launcher = "applications")),
        (name = "motd", interface = "MemoryReader", source = (motd = void)),
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "ledger", interface = "Ledger", source = (self = ledger)),
        (name = "memory", interface = "VirtualMemory", source = (self = virtualMemory)),
        (name = "capabilities", interface = "CapabilityManager",
         source = (self = capabilityManager)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
        (name = "self", interface = "ProcessWatch", source = (self = processHandle)),
      ],
      restart = always,
      maxRestarts = 16,
      windowMs = 10000,
      limits = [
        (class = frames, amount = 512),
        (class = slots, amount = 1024),
      ],
    ),
  ],
);
