# SPDX-License-Identifier: MIT
@0xa24602db397ebb9c;

# The default system: a typed shell on the serial terminal. docs/how-to/add-service.md explains the
# parts; `make authority` prints who can reach what. Local changes go to manifests/local.capnp.

using M = import "/schema/manifest.capnp";

const manifest :M.Manifest = (
  schemaVersion = 1,
  services = [
    (
      name = "manual",
      program = "manual",
      grants = [
        (name = "library", interface = "MemoryReader", source = (payload = "data/library")),
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "serve", interface = "EndpointServe", source = (serve = void)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      exports = [
        (name = "registry", interface = "SchemaRegistry"),
        (name = "pages", interface = "Manual"),
      ],
      maxMessageBytes = 8448,
      maxCaps = 0,
      readiness = ready,
      restart = onFailure,
    ),
    (
      name = "terminal",
      program = "serial-terminal",
      grants = [
        (name = "ports", interface = "IoPorts", source = (ioPorts = (base = 0x3f8, count = 8))),
        (name = "interrupt", interface = "Interrupt", source = (interrupt = 4)),
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "serve", interface = "EndpointServe", source = (serve = void)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      exports = [(name = "terminal", interface = "TerminalSession")],
      processor = (class = urgent, budgetUs = 15000, periodUs = 50000),
      maxMessageBytes = 4160,
      maxCaps = 0,
      readiness = ready,
      restart = onFailure,
      critical = true,
    ),
    (
      name = "counter",
      program = "counter",
      grants = [
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "serve", interface = "EndpointServe", source = (serve = void)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      exports = [(name = "counter", interface = "Counter")],
      maxMessageBytes = 2112,
      maxCaps = 0,
      readiness = ready,
      restart = always,
      maxRestarts = 5,
    ),
    (
      name = "shell",
      program = "shell",
      grants = [
        (name = "terminal", interface = "TerminalSession",
         source = (export = (service = "terminal", export = "terminal"))),
        (name = "manual", interface = "SchemaRegistry",
         source = (export = (service = "manual", export = "registry"))),
        (name = "pages", interface = "Manual",
         source = (export = (service = "manual", export = "pages"))),
        (name = "counter", interface = "Counter",
         source = (export = (service = "counter", export = "counter"))),
        (name = "launcher", interface = "Launcher", source = (launcher = "applications")),
        (name = "control", interface = "SystemControl", source = (control = void)),
        (name = "motd", interface = "MemoryReader", source = (motd = void)),
        (name = "tour", interface = "MemoryReader", source = (payload = "data/tour"),
         why = "a text to read: the script that `make tour` does"),
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "entropy", interface = "Entropy", source = (kernel = entropy)),
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "logs", interface = "LogReader", source = (kernel = log),
         why = "the person at the first terminal runs the system and reads what it logged"),
        (name = "ledger", interface = "Ledger", source = (self = ledger)),
        (name = "memory", interface = "VirtualMemory", source = (self = virtualMemory)),
        (name = "capabilities", interface = "CapabilityManager",
         source = (self = capabilityManager)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
        (name = "self", interface = "ProcessWatch", source = (self = processHandle)),
        (name = "processor", interface = "SchedulingInfo", source = (processor = void)),
      ],
      processor = (class = interactive, budgetUs = 30000, periodUs = 50000),
      restart = onFailure,
      onExit = shutdown,
      critical = true,
      limits = [
        (class = frames, amount = 512),
        (class = slots, amount = 1024),
      ],
    ),
  ],
  launchSets = [
    (
      name = "applications",
      programs = ["hello", "counter-client", "sleeper", "counter", "pipeline", "steady", "crash"],
      maxChildren = 8,
      watch = debug,
    ),
  ],
);
