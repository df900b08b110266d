# SPDX-License-Identifier: MIT
@0xe3b8c95a17d2f046;

# What the rows scale.* are measured in: two servers that have nothing in common, and workers that the measuring program starts.

using M = import "/schema/manifest.capnp";

const manifest :M.Manifest = (
  schemaVersion = 1,
  services = [
    (
      name = "first",
      program = "bench/echo",
      grants = [(name = "serve", interface = "EndpointServe", source = (serve = void))],
      exports = [(name = "first", interface = "Counter")],
      maxMessageBytes = 128,
      maxCaps = 0,
    ),
    (
      name = "second",
      program = "bench/echo",
      grants = [(name = "serve", interface = "EndpointServe", source = (serve = void))],
      exports = [(name = "second", interface = "Counter")],
      maxMessageBytes = 128,
      maxCaps = 0,
    ),
    (
      name = "poller",
      program = "bench/poller",
      grants = [(name = "serve", interface = "EndpointServe", source = (serve = void))],
      exports = [(name = "poller", interface = "Counter")],
      maxMessageBytes = 128,
      maxCaps = 0,
    ),
    (
      name = "bench",
      program = "bench/scale",
      grants = [
        (name = "log", interface = "LogWriter", source = (kernel = log)),
        (name = "timer", interface = "Timer", source = (kernel = timer)),
        (name = "launcher", interface = "Launcher", source = (launcher = "workers")),
        (name = "first", interface = "Counter", source = (export = (service = "first", export = "first"))),
        (name = "second", interface = "Counter", source = (export = (service = "second", export = "second"))),
        (name = "poller", interface = "Counter", source = (export = (service = "poller", export = "poller"))),
      ],
      onExit = shutdown,
    ),
  ],
  launchSets = [(name = "workers", programs = ["bench/worker"], maxChildren = 2)],
);
