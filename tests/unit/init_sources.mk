# SPDX-License-Identifier: MIT
# The user runtime's ring client and heap, init's manifest check and states, and the manual's library, for their unit tests.
HOST_LIB_SOURCES += libcapos/ring.c libcapos/ring_reap.c libcapos/promise.c \
	libcapos/release.c libcapos/call.c libcapos/explain.c libcapos/fault.c libcapos/heap.c libcapos/sync.c libcapos/serve.c libcapos/serve_pause.c libcapos/lines_take.c services/init/graph.c \
	services/init/graph_grants.c services/init/graph_limits.c services/init/supervise.c services/init/nearest.c build/gen/interfaces.c services/manual/library.c
HOST_INCLUDE += -iquote libcapos/include
build/host/asan/mkarchive_test build/host/tsan/mkarchive_test: | build/tools/mkarchive
