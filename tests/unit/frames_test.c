/* SPDX-License-Identifier: MIT */
#include "tests/unit/kernel_machine.h"
#include "tests/unit/test.h"

#include "mem/frames.h"

enum { FRAMES_MAX = MACHINE_RAM_BYTES / PAGE_BYTES };

static struct paddr taken[FRAMES_MAX + 1];

/* True when the function does not return: a panic ends the process. */
static bool dies(void (*function)(void))
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        (void)!freopen("/dev/null", "w", stdout);
        (void)!freopen("/dev/null", "w", stderr);
        function();
        _exit(0);
    }
    int status = 0;
    (void)waitpid(pid, &status, 0);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static size_t take_all(void)
{
    size_t count = 0;
    for (;;) {
        struct paddr frame = frame_alloc();
        if (paddr_is_none(frame)) {
            return count;
        }
        taken[count++] = frame;
    }
}

TEST(frames_all, "every frame is handed out once, then none, and all come back")
{
    (void)machine_start(1);
    uint64_t total = frames_total_count();
    CHECK_EQ(frames_free_count(), total);
    size_t count = take_all();
    CHECK_EQ(count, total);
    CHECK_EQ(frames_free_count(), 0);
    for (size_t i = 0; i < count; i++) {
        CHECK(page_aligned(taken[i].v));
        memset(frame_ptr(taken[i]), 0x5a, PAGE_BYTES);
    }
    for (size_t i = 0; i < count; i++) {
        frame_free(taken[i]);
    }
    CHECK_EQ(frames_free_count(), total);
    CHECK_EQ(take_all(), total);
}

TEST(frames_zeroed, "a zeroed frame is zero whatever it held before")
{
    (void)machine_start(1);
    static const uint8_t zeros[PAGE_BYTES];
    for (int i = 0; i < 100; i++) {
        struct paddr frame = frame_alloc_zeroed();
        CHECK_MEM_EQ(frame_ptr(frame), zeros, PAGE_BYTES);
        CHECK_EQ(frame_of_ptr(frame_ptr(frame)).v, frame.v);
        memset(frame_ptr(frame), 0xff, PAGE_BYTES);
        frame_free(frame);
    }
}

static void free_twice(void)
{
    struct paddr frame = frame_alloc();
    frame_free(frame);
    frame_free(frame);
}

static void free_foreign(void)
{
    frame_free(paddr(UINT64_C(1) << 40));
}

static void free_odd(void)
{
    frame_free(paddr(frame_alloc().v + 8));
}

TEST(frames_misuse, "a frame freed twice, a foreign one and an odd address are panics")
{
    (void)machine_start(1);
    CHECK(dies(free_twice));
    CHECK(dies(free_foreign));
    CHECK(dies(free_odd));
}

TEST(frames_cpus, "frames freed on another CPU are found again, and the sum is right throughout")
{
    (void)machine_start(4);
    uint64_t total = frames_total_count();
    size_t count = 0;
    for (unsigned round = 0; round < 64; round++) {
        host_become(round % 4);
        for (unsigned i = 0; i < 40; i++) {
            taken[count++] = frame_alloc();
        }
        CHECK_EQ(frames_free_count(), total - count);
        host_become((round + 1) % 4);
        for (unsigned i = 0; i < 39; i++) {
            frame_free(taken[--count]);
        }
        CHECK_EQ(frames_free_count(), total - count);
    }
    while (count > 0) {
        frame_free(taken[--count]);
    }
    CHECK_EQ(frames_free_count(), total);
    CHECK_EQ(frames_reserve_count() % 4, 0);
}
