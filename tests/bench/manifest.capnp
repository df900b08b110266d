# SPDX-License-Identifier: MIT
@0xc41a57b0a5f3de21;

# What make bench boots: nothing but the measuring program and what it calls.

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
      name = "carrier",
      program = "bench/echo",
      grants = [(name = "serve", interface = "EndpointServe", source = (serve = void))],
      exports = [(name = "carrier", interface = "Counter")],
      maxMessageBytes = 4096,
      maxCaps = 1,
    ),
    (
      name = "opener",
      program = "bench/opener",
      grants = [(name = "serve", interface = "EndpointServe", source = (serve = void))],
      exports = [(name = "opener", interface = "Counter")],
      maxMessageBytes = 128,
      maxCaps = 1,
    ),
    (
      name = "counted",
      program = "counter",
      grants = [
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "serve", interface = "EndpointServe", source = (serve = void)),
        (name = "supervisor", interface = "Supervisor", source = (supervisor = void)),
      ],
      exports = [(name = "counted", interface = "Counter")],
      maxMessageBytes = 2112,
      maxCaps = 0,
      readiness = ready,
    ),
    (
      name = "silent",
      program = "bench/silent",
      grants = [(name = "serve", interface = "EndpointServe", source = (serve = void))],
      exports = [(name = "silent", interface = "Counter")],
    ),
    (
      name = "bench",
      program = "bench/bench",
      grants = [
        (name = "rows", interface = "MemoryReader", source = (payload = "data/bench")),
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "spare", interface = "Timer", source = (kernel = timer)),
        (name = "launcher", interface = "Launcher", source = (launcher = "null")),
        (name = "capabilities", interface = "CapabilityManager", source = (self = capabilityManager)),
        (name = "ledger", interface = "Ledger", source = (self = ledger)),
        (name = "threads", interface = "ThreadSpawner", source = (self = threadSpawner)),
        (name = "control", interface = "ThreadControl", source = (self = threadControl)),
        (name = "scheduling", interface = "SchedulingPolicy", source = (kernel = scheduling)),
        (name = "memory", interface = "VirtualMemory", source = (self = virtualMemory)),
        (name = "echo", interface = "Counter",
         source = (export = (service = "echo", export = "echo"))),
        (name = "carrier", interface = "Counter",
         source = (export = (service = "carrier", export = "carrier"))),
        (name = "opener", interface = "Counter",
         source = (export = (service = "opener", export = "opener"))),
        (name = "counted", interface = "Counter",
         source = (export = (service = "counted", export = "counted"))),
        (name = "silent", interface = "Counter",
         source = (export = (service = "silent", export = "silent"))),
      ],
      onExit = shutdown,
      ringEntries = 64,
      limits = [(class = frames, amount = 2048), (class = threads, amount = 8), (class = waiters, amount = 1024), (class = calls, amount = 1024),
                (class = timers, amount = 1024), (class = cpuNs, amount = 930000000)],
    ),
  ],
  launchSets = [(name = "null", programs = ["bench/null", "bench/holder", "bench/ponger", "bench/faulter"], maxChildren = 100, watch = faults)],
);
