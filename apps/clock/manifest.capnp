# SPDX-License-Identifier: MIT
@0xad8f9141bdc6920e;

# The clock is started from the shell, with the timer that the shell gives it. Merged with manifests/default.capnp.

using M = import "/schema/manifest.capnp";

const part :M.Manifest = (
  launchSets = [(name = "applications", programs = ["clock"])],
);
