/* SPDX-License-Identifier: MIT */
/* lib/base: the formatter against the host's printf, lists, checked arithmetic. */
#include "tests/unit/test.h"

#include "lib/base/bits.h"
#include "lib/base/fmt.h"
#include "lib/base/list.h"

#define SAME(...) \
    do { \
        char ours[128]; \
        char theirs[128]; \
        size_t n = fmt_format(ours, sizeof(ours), __VA_ARGS__); \
        int m = snprintf(theirs, sizeof(theirs), __VA_ARGS__); \
        CHECK_STR_EQ(ours, theirs); \
        CHECK_EQ(n, m); \
    } while (0)

TEST(fmt_numbers, "numbers print as the host's printf prints them")
{
    SAME("%d %d %d", 0, -1, INT32_MIN);
    SAME("%u %x %X %o", UINT32_MAX, 0xabcu, 0xabcu, 8u);
    SAME("%lld %llu", (long long)INT64_MIN, (unsigned long long)UINT64_MAX);
    SAME("%5d|%-5d|%05d|%+d|% d", 42, 42, 42, 42, 42);
    SAME("%08x|%#x|%#X|%#o", 0xbeefu, 0xbeefu, 0xbeefu, 8u);
    SAME("%.3d|%8.3d|%-8.3d|%.0d", 7, 7, 7, 0);
    SAME("%hhd %hd %ld %zu %jd", (signed char)-3, (short)-300, -3000L, sizeof(int), (intmax_t)-9);
    SAME("%hhu %hu", (unsigned char)200, (unsigned short)60000);
    SAME("%*d|%-*d|%.*d", 6, 5, 6, 5, 4, 5);
}

TEST(fmt_text, "text, characters and percent signs print with width and precision")
{
    SAME("%s|%10s|%-10s|%.2s|%c|%%", "abc", "abc", "abc", "abc", 'z');
    SAME("%5c|%-5c|", 'a', 'b');
    SAME("%.*s", 3, "abcdef");
}

TEST(fmt_cut, "what does not fit is cut, ended with NUL, and its whole length is told")
{
    char buf[6] = "xxxxx";
    CHECK_EQ(fmt_format(buf, sizeof(buf), "%s", "0123456789"), 10);
    CHECK_STR_EQ(buf, "01234");
    CHECK_EQ(fmt_format(NULL, 0, "%d", 12345), 5);
    CHECK_EQ(fmt_format(buf, 1, "abc"), 3);
    CHECK_STR_EQ(buf, "");
}

struct item {
    struct list_node node;
    int value;
};

TEST(list_order, "lists keep order, pop from the front, splice, and forget removed nodes")
{
    struct list a;
    struct list b;
    struct item items[4];
    list_init(&a);
    list_init(&b);
    CHECK(list_empty(&a) && list_first(&a) == NULL && list_pop_front(&a) == NULL);
    for (int i = 0; i < 4; i++) {
        items[i].value = i;
        list_push_back(i < 2 ? &a : &b, &items[i].node);
    }
    list_splice_back(&a, &b);
    CHECK(list_empty(&b));
    CHECK_EQ(list_count(&a), 4);
    list_remove(&items[1].node);
    CHECK(!list_linked(&items[1].node));
    list_remove(&items[1].node);
    int expected[] = {0, 2, 3};
    int at = 0;
    list_for_each_safe(n, &a)
    {
        CHECK_EQ(list_entry(n, struct item, node)->value, expected[at++]);
        list_remove(n);
    }
    CHECK_EQ(at, 3);
    CHECK(list_empty(&a));
}

TEST(bits_checked, "checked arithmetic refuses what does not fit and leaves the result alone")
{
    uint64_t out = 7;
    CHECK(!add_checked(UINT64_MAX, 1, &out) && out == 7);
    CHECK(add_checked(UINT64_MAX, 0, &out) && out == UINT64_MAX);
    CHECK(!mul_checked(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    CHECK(!align_up_checked(UINT64_MAX - 5, 4096, &out));
    CHECK(align_up_checked(4097, 4096, &out) && out == 8192);
    CHECK_EQ(bit_lowest(8), 3);
    CHECK_EQ(bit_highest(9), 3);
    CHECK(is_power_of_two(64) && !is_power_of_two(0) && !is_power_of_two(6));
}
