/* SPDX-License-Identifier: MIT */
/*
 * The unit test harness: one header, one program per test file, run on the host.
 *
 *     #include "tests/unit/test.h"
 *
 *     TEST(cap_copy_occupied, "copy into an occupied slot is refused and changes nothing") {
 *         CHECK_EQ(table_copy(t, 1, 2), STATUS_OCCUPIED);
 *     }
 *
 * Tests register themselves, so a file needs no list and no main. Each runs in its own process, so a crash, a
 * sanitizer report or a hang is one failed test and not the end of the program. Output is TAP on standard output.
 *
 *     NAME_test                every test
 *     NAME_test cap_ ring_     only the tests whose id starts with one of the arguments
 *     NAME_test -l             list ids and sentences
 *     NAME_test -1             no child processes (for a debugger); the first failure ends the program
 *
 * A file that is one of several of the same program defines TEST_NO_MAIN before it includes this header.
 */
#pragma once

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* A test that runs longer hangs: it is killed and counted as failed. TEST_SECONDS in the environment overrides. */
enum { TEST_DEFAULT_SECONDS = 240 };

struct test_case {
    const char *id;
    const char *sentence;
    const char *file;
    int line;
    void (*run)(void);
    struct test_case *next;
};

/* Weak, so that the files of one program share them. */
__attribute__((weak)) struct test_case *test_first;
__attribute__((weak)) struct test_case **test_last = &test_first;
__attribute__((weak)) int test_failures; /* in the running test */

static inline void test_register(struct test_case *test)
{
    *test_last = test;
    test_last = &test->next;
}

#define TEST(ident, what) \
    static void test_run_##ident(void); \
    static struct test_case test_case_##ident = {#ident,           what, __FILE__, __LINE__, \
                                                 test_run_##ident, NULL}; \
    __attribute__((constructor)) static void test_add_##ident(void) \
    { \
        test_register(&test_case_##ident); \
    } \
    static void test_run_##ident(void)

static inline void test_fail(const char *file, int line, const char *text)
{
    printf("# %s:%d: %s\n", file, line, text);
    fflush(stdout);
    __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);
}

static inline bool test_check(bool held, const char *file, int line, const char *text)
{
    if (!held) {
        test_fail(file, line, text);
    }
    return held;
}

static inline bool test_check_eq(unsigned long long left, unsigned long long right,
                                 const char *file, int line, const char *text)
{
    if (left == right) {
        return true;
    }
    printf("# %s:%d: %s\n#   left  %lld (0x%llx)\n#   right %lld (0x%llx)\n", file, line, text,
           (long long)left, left, (long long)right, right);
    fflush(stdout);
    __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);
    return false;
}

static inline bool test_check_mem(const void *left, const void *right, size_t bytes,
                                  const char *file, int line, const char *text)
{
    const uint8_t *l = left;
    const uint8_t *r = right;
    for (size_t i = 0; i < bytes; i++) {
        if (l[i] != r[i]) {
            printf("# %s:%d: %s: byte %zu is 0x%02x, wanted 0x%02x\n", file, line, text, i, l[i],
                   r[i]);
            fflush(stdout);
            __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);
            return false;
        }
    }
    return true;
}

static inline bool test_check_str(const char *left, const char *right, const char *file, int line,
                                  const char *text)
{
    if (left != NULL && right != NULL && strcmp(left, right) == 0) {
        return true;
    }
    printf("# %s:%d: %s\n#   left  \"%s\"\n#   right \"%s\"\n", file, line, text,
           left != NULL ? left : "(null)", right != NULL ? right : "(null)");
    fflush(stdout);
    __atomic_fetch_add(&test_failures, 1, __ATOMIC_RELAXED);
    return false;
}

/* Note the failure and go on. */
#define CHECK(condition) \
    ((void)test_check((condition), __FILE__, __LINE__, "CHECK(" #condition ")"))
#define CHECK_EQ(left, right) \
    ((void)test_check_eq((unsigned long long)(left), (unsigned long long)(right), __FILE__, \
                         __LINE__, "CHECK_EQ(" #left ", " #right ")"))
#define CHECK_PTR_EQ(left, right) \
    ((void)test_check_eq((uintptr_t)(const void *)(left), (uintptr_t)(const void *)(right), \
                         __FILE__, __LINE__, "CHECK_PTR_EQ(" #left ", " #right ")"))
#define CHECK_MEM_EQ(left, right, bytes) \
    ((void)test_check_mem((left), (right), (bytes), __FILE__, __LINE__, \
                          "CHECK_MEM_EQ(" #left ", " #right ")"))
#define CHECK_STR_EQ(left, right) \
    ((void)test_check_str((left), (right), __FILE__, __LINE__, \
                          "CHECK_STR_EQ(" #left ", " #right ")"))
#define FAIL(text) test_fail(__FILE__, __LINE__, (text))

/* Runs one of several like trials in a process of its own, for what can be made once in a process. False: it failed. */
static inline bool test_apart(void (*trial)(unsigned with), unsigned with)
{
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        test_failures = 0;
        trial(with);
        exit(test_failures == 0 ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* Note the failure and leave the test (only in a function that returns nothing). */
#define REQUIRE(condition) \
    do { \
        if (!test_check((condition), __FILE__, __LINE__, "REQUIRE(" #condition ")")) { \
            return; \
        } \
    } while (0)
#define REQUIRE_EQ(left, right) \
    do { \
        if (!test_check_eq((unsigned long long)(left), (unsigned long long)(right), __FILE__, \
                           __LINE__, "REQUIRE_EQ(" #left ", " #right ")")) { \
            return; \
        } \
    } while (0)

#ifndef TEST_NO_MAIN

static inline bool test_wanted(const struct test_case *test, int count, char **prefixes)
{
    for (int i = 0; i < count; i++) {
        if (strncmp(test->id, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return count == 0;
}

static inline unsigned test_seconds(void)
{
    const char *text = getenv("TEST_SECONDS");
    unsigned long value = text != NULL ? strtoul(text, NULL, 10) : 0;
    return value != 0 ? (unsigned)value : (unsigned)TEST_DEFAULT_SECONDS;
}

/* True when the test passed. */
static inline bool test_run_here(const struct test_case *test)
{
    test_failures = 0;
    test->run();
    return __atomic_load_n(&test_failures, __ATOMIC_RELAXED) == 0;
}

static inline bool test_run_in_child(const struct test_case *test)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        printf("# fork: %s\n", strerror(errno));
        return false;
    }
    if (child == 0) {
        alarm(test_seconds());
        exit(test_run_here(test) ? 0 : 1);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            printf("# waitpid: %s\n", strerror(errno));
            return false;
        }
    }
    if (WIFSIGNALED(status)) {
        printf("# ended by signal %d (%s)%s\n", WTERMSIG(status), strsignal(WTERMSIG(status)),
               WTERMSIG(status) == SIGALRM ? ": it hung" : "");
    } else if (WEXITSTATUS(status) > 1) {
        printf("# ended with status %d\n", WEXITSTATUS(status));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    bool list = false;
    bool here = false;
    int first = 1;
    for (; first < argc && argv[first][0] == '-'; first++) {
        list = list || strcmp(argv[first], "-l") == 0;
        here = here || strcmp(argv[first], "-1") == 0;
    }
    unsigned number = 0;
    unsigned failed = 0;
    for (struct test_case *test = test_first; test != NULL; test = test->next) {
        if (!test_wanted(test, argc - first, argv + first)) {
            continue;
        }
        number++;
        if (list) {
            printf("%-32s %s\n", test->id, test->sentence);
            continue;
        }
        bool passed = here ? test_run_here(test) : test_run_in_child(test);
        failed += passed ? 0 : 1;
        printf("%sok %u - %s: %s\n", passed ? "" : "not ", number, test->id, test->sentence);
        fflush(stdout);
        if (here && !passed) {
            break;
        }
    }
    if (!list) {
        printf("1..%u\n", number);
    }
    return failed == 0 && number != 0 ? 0 : 1;
}

#endif
