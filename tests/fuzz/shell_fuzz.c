/* SPDX-License-Identifier: MIT */
/*
 * A line of arbitrary bytes, typed at the shell's prompt: it is taken apart or refused with a place
 * inside it; its values are built for every method of that name, or refused; and the rest of the
 * input is shown as that method's answer.
 *
 * Input: descriptor number, length of the line (2 bytes), the line, the answer.
 */
#include <stdlib.h>
#include <string.h>

#include "apps/shell/describe.h"
#include "apps/shell/parse.h"
#include "apps/shell/show.h"
#include "apps/shell/value.h"
#include "descriptors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct command command;

static size_t shown;

static void swallow(struct fmt_sink *sink, const char *bytes, size_t count)
{
    (void)sink;
    shown += count > 0 ? (uint8_t)bytes[count - 1] : 0;
}

static bool take(struct value_caps *caps, const struct node *node, uint64_t interface,
                 struct value_error *error, uint16_t *index)
{
    (void)caps;
    (void)node;
    (void)interface;
    (void)error;
    *index = 0;
    return true;
}

static const char *no_name(struct show_caps *caps, uint64_t index)
{
    (void)caps;
    return index == 0 ? "@x" : NULL;
}

static const char *no_interface(uint64_t id)
{
    (void)id;
    return NULL;
}

static void build(Descriptor_r descriptor, DescribedMethod_r method)
{
    static uint8_t message[1024];
    struct value_caps caps = {take};
    struct value_error error;
    struct capnp_builder builder;
    struct capnp_struct out;
    size_t bytes;
    capnp_builder_init(&builder, message, sizeof(message));
    if (!value_build(dyn_params(descriptor, method), command.args, &builder, &caps, &error)) {
        if (error.message[0] == 0) {
            abort(); /* a refusal without a word */
        }
    } else if (capnp_finish(&builder, &bytes) == CAPNP_OK &&
               dyn_read(message, bytes, &out) != CAPNP_OK) {
        abort(); /* what was built cannot be read */
    }
}

static void show(Descriptor_r descriptor, DescribedMethod_r method, const uint8_t *data,
                 size_t size)
{
    struct fmt_sink sink = {swallow};
    struct show_caps caps = {no_name, no_interface};
    struct capnp_struct from;
    if (dyn_read(data, size & ~(size_t)7, &from) == CAPNP_OK) {
        show_results(&sink, dyn_results(descriptor, method), from, &caps);
    }
}

static void for_methods(Descriptor_r descriptor, const uint8_t *answer, size_t answer_bytes)
{
    DescribedMethod_list_r methods = Descriptor_get_methods(descriptor);
    for (uint32_t i = 0; i < DescribedMethod_list_len(methods); i++) {
        build(descriptor, DescribedMethod_list_at(methods, i));
        show(descriptor, DescribedMethod_list_at(methods, i), answer, answer_bytes);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct parse_error error;
    Descriptor_r descriptor;
    if (size < 3) {
        return 0;
    }
    const struct capos_descriptor *described = &capos_descriptors[data[0] % capos_descriptor_count];
    size_t len = data[1] | (size_t)data[2] << 8;
    data += 3;
    size -= 3;
    len = len < size ? len : size;
    char *line = malloc(len + 1); /* of exactly that size: a look past the end is seen */
    memcpy(line, data, len);
    if (!parse_line(line, len, &command, &error)) {
        if (error.at > len || error.message[0] == 0) {
            abort();
        }
    } else if (dyn_open(described->message, described->bytes, &descriptor) == CAPNP_OK) {
        for_methods(descriptor, data + len, size - len);
    }
    free(line);
    return 0;
}
