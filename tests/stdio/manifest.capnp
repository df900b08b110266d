# SPDX-License-Identifier: MIT
@0xd3f5a1c7e9b26480;

# The default system, whose shell may start the siege's program as well. Merged with manifests/default.capnp.

using M = import "/schema/manifest.capnp";

const stdio :M.Manifest = (
  launchSets = [(name = "applications", programs = ["siege"], limits = [(class = logBytes, amount = 65536)])],
);
