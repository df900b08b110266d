/* SPDX-License-Identifier: MIT */
#include "core/cmdline.h"

#include "lib/base/string.h"

static size_t word_len(const char *word)
{
    size_t len = 0;
    while (word[len] != '\0' && word[len] != ' ') {
        len++;
    }
    return len;
}

/* The next word at or behind `at`; NULL at the end. */
static const char *next_word(const char *at)
{
    while (*at == ' ') {
        at++;
    }
    return *at == '\0' ? NULL : at;
}

bool cmdline_has(const char *line, const char *word)
{
    size_t len = strlen(word);
    for (const char *at = next_word(line); at != NULL; at = next_word(at + word_len(at))) {
        if (word_len(at) == len && strncmp(at, word, len) == 0) {
            return true;
        }
    }
    return false;
}

const char *cmdline_value(const char *line, const char *key, size_t *len_out)
{
    size_t len = strlen(key);
    for (const char *at = next_word(line); at != NULL; at = next_word(at + word_len(at))) {
        size_t whole = word_len(at);
        if (whole > len && strncmp(at, key, len) == 0 && at[len] == '=') {
            *len_out = whole - len - 1;
            return at + len + 1;
        }
    }
    return NULL;
}
