# SPDX-License-Identifier: MIT
@0xb1f7d3a9c5e82046;

# What the siege boots: the default system, and the besieger beside it. Merged with manifests/default.capnp.

using M = import "/schema/manifest.capnp";

const hostile :M.Manifest = (
  services = [
    (
      name = "siege",
      program = "siege",
      grants = [
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "ledger", interface = "Ledger", source = (self = ledger)),
        (name = "launcher", interface = "Launcher", source = (launcher = "siege")),
        (name = "control", interface = "SystemControl", source = (control = void)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
        (name = "terminal", interface = "TerminalSession",
         source = (export = (service = "terminal", export = "terminal"))),
        (name = "registry", interface = "SchemaRegistry",
         source = (export = (service = "manual", export = "registry"))),
        (name = "pages", interface = "Manual",
         source = (export = (service = "manual", export = "pages"))),
        (name = "counter", interface = "Counter",
         source = (export = (service = "counter", export = "counter"))),
      ],
      needs = ["shell", "slow-a", "slow-b", "slow-c"],
      readiness = ready,
      limits = [(class = logBytes, amount = 65536)],
    ),
    (
      name = "slow-a",
      program = "siege",
      grants = [
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "slow", interface = "Timer", source = (kernel = timer)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      readiness = ready,
    ),
    (
      name = "slow-b",
      program = "siege",
      grants = [
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "slow", interface = "Timer", source = (kernel = timer)),
        (name = "stubborn", interface = "Timer", source = (kernel = timer)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      stopWithinMs = 200,
      readiness = ready,
    ),
    (
      name = "slow-c",
      program = "siege",
      grants = [
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "slow", interface = "Timer", source = (kernel = timer)),
        (name = "obedient", interface = "Timer", source = (kernel = timer)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      readiness = ready,
    ),
  ],
  launchSets = [
    (name = "siege", programs = ["siege"], maxChildren = 8, limits = [(class = logBytes, amount = 65536)]),
  ],
);
