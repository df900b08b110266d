# SPDX-License-Identifier: MIT
@0xc1a6f0e39d7b5248;

# The default system, whose shell may start the programs of tests/guest as well. Merged with manifests/default.capnp.

using M = import "/schema/manifest.capnp";

const guest :M.Manifest = (
  launchSets = [(name = "applications", programs = ["codec-check"])],
);
