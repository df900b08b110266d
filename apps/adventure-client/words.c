/* SPDX-License-Identifier: MIT */
#include "apps/adventure-client/words.h"

#include "lib/base/compiler.h"
#include "lib/base/string.h"

struct known {
    const char *word;
    enum verb verb;
    const char *direction; /* of a word that is one */
};

static const struct known known_words[] = {
    {"look", VERB_LOOK, NULL},
    {"l", VERB_LOOK, NULL},
    {"go", VERB_GO, NULL},
    {"take", VERB_TAKE, NULL},
    {"get", VERB_TAKE, NULL},
    {"drop", VERB_DROP, NULL},
    {"use", VERB_USE, NULL},
    {"examine", VERB_EXAMINE, NULL},
    {"x", VERB_EXAMINE, NULL},
    {"read", VERB_EXAMINE, NULL},
    {"give", VERB_GIVE, NULL},
    {"say", VERB_SAY, NULL},
    {"inventory", VERB_INVENTORY, NULL},
    {"i", VERB_INVENTORY, NULL},
    {"players", VERB_PLAYERS, NULL},
    {"who", VERB_PLAYERS, NULL},
    {"help", VERB_HELP, NULL},
    {"?", VERB_HELP, NULL},
    {"quit", VERB_QUIT, NULL},
    {"exit", VERB_QUIT, NULL},
    {"north", VERB_GO, "north"},
    {"n", VERB_GO, "north"},
    {"south", VERB_GO, "south"},
    {"s", VERB_GO, "south"},
    {"east", VERB_GO, "east"},
    {"e", VERB_GO, "east"},
    {"west", VERB_GO, "west"},
    {"w", VERB_GO, "west"},
    {"up", VERB_GO, "up"},
    {"u", VERB_GO, "up"},
    {"down", VERB_GO, "down"},
    {"d", VERB_GO, "down"},
};

static const struct known *find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(known_words); i++) {
        if (strcmp(word, known_words[i].word) == 0) {
            return &known_words[i];
        }
    }
    return NULL;
}

struct rest {
    const char *at;
    const char *end;
};

static void skip_blanks(struct rest *rest)
{
    while (rest->at < rest->end && (*rest->at == ' ' || *rest->at == '\t')) {
        rest->at++;
    }
}

static void copy(char *to, size_t size, const char *from, size_t len)
{
    len = len < size ? len : size - 1;
    memcpy(to, from, len);
    to[len] = '\0';
}

static void next_word(struct rest *rest, char word[WORD_BYTES])
{
    skip_blanks(rest);
    const char *start = rest->at;
    while (rest->at < rest->end && *rest->at != ' ' && *rest->at != '\t') {
        rest->at++;
    }
    copy(word, WORD_BYTES, start, (size_t)(rest->at - start));
}

/* "the lamp" is the lamp. */
static void next_noun(struct rest *rest, char word[WORD_BYTES])
{
    next_word(rest, word);
    if (strcmp(word, "the") == 0) {
        next_word(rest, word);
    }
}

void words_read(const char *line, size_t len, struct words *out)
{
    struct rest rest = {line, line + len};
    *out = (struct words){.verb = VERB_UNKNOWN};
    next_word(&rest, out->word);
    skip_blanks(&rest);
    copy(out->rest, sizeof(out->rest), rest.at, (size_t)(rest.end - rest.at));
    const struct known *known = find(out->word);
    if (known == NULL) {
        out->verb = out->word[0] == '\0' ? VERB_NOTHING : VERB_UNKNOWN;
        return;
    }
    out->verb = known->verb;
    if (known->direction != NULL) {
        (void)str_copy(out->thing, sizeof(out->thing), known->direction);
        return;
    }
    next_noun(&rest, out->thing);
    next_word(&rest, out->other);
    if (strcmp(out->other, "to") == 0) {
        next_word(&rest, out->other);
    }
    const struct known *direction = find(out->thing);
    if (known->verb == VERB_GO && direction != NULL && direction->direction != NULL) {
        (void)str_copy(out->thing, sizeof(out->thing), direction->direction);
    }
}

const char *words_wanted(enum verb verb)
{
    static const char *const wanted[VERBS] = {
        [VERB_GO] = "a direction",  [VERB_TAKE] = "a thing",
        [VERB_DROP] = "a thing",    [VERB_USE] = "a thing",
        [VERB_EXAMINE] = "a thing", [VERB_GIVE] = "a thing and 'to' whom",
        [VERB_SAY] = "what",
    };
    return verb < VERBS && wanted[verb] != NULL ? wanted[verb] : "";
}
