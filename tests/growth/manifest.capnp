# SPDX-License-Identifier: MIT
@0xd9b2e60c17f4a835;

# What the curves of growth are measured in: limits that let the measuring program have a hundred thousand of things.

using M = import "/schema/manifest.capnp";

const manifest :M.Manifest = (
  schemaVersion = 1,
  services = [
    (
      name = "echo",
      program = "bench/echo",
      grants = [(name = "serve", interface = "EndpointServe", source = (serve = void))],
      exports = [(name = "echo", interface = "Counter")],
      maxMessageBytes = 4096,
      maxCaps = 0,
    ),
    (
      name = "bench",
      program = "bench/bench",
      grants = [
        (name = "rows", interface = "MemoryReader", source = (payload = "data/bench")),
        (name = "growth", interface = "MemoryReader", source = (payload = "data/bench")),
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "launcher", interface = "Launcher", source = (launcher = "null")),
        (name = "capabilities", interface = "CapabilityManager", source = (self = capabilityManager)),
        (name = "ledger", interface = "Ledger", source = (self = ledger)),
        (name = "threads", interface = "ThreadSpawner", source = (self = threadSpawner)),
        (name = "echo", interface = "Counter",
         source = (export = (service = "echo", export = "echo"))),
      ],
      onExit = shutdown,
      ringEntries = 64,
      limits = [
        (class = frames, amount = 20000),
        (class = kernelPages, amount = 200000),
        (class = slots, amount = 300000),
        (class = threads, amount = 30000),
        (class = virtualPages, amount = 1000000),
        (class = calls, amount = 1000000),
        (class = waiters, amount = 1000000),
        (class = timers, amount = 1000000),
        (class = grants, amount = 150000),
      ],
    ),
  ],
  launchSets = [(name = "null", programs = ["bench/silent"], maxChildren = 10000, limits = [
    (class = frames, amount = 48),
    (class = kernelPages, amount = 32),
    (class = slots, amount = 64),
    (class = threads, amount = 1),
    (class = virtualPages, amount = 1024),
  ])],
);
