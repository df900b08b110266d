/* SPDX-License-Identifier: MIT */
/* Thread-local storage: what the image's PT_TLS segment holds, below each thread's pointer. */
#include "internal.h"
#include "lib/base/bits.h"
#include "lib/base/string.h"

/* As far as it matters here; the linker makes both. */
struct elf_header {
    uint8_t ident[32];
    uint64_t program_offset;
    uint8_t more[16];
    uint16_t program_count;
    uint16_t rest[3];
};
struct elf_program {
    uint32_t type, flags;
    uint64_t offset, address, physical, file_bytes, memory_bytes, align;
};
static_assert(sizeof(struct elf_header) == 64 && sizeof(struct elf_program) == 56, "ELF");

enum { ELF_TLS = 7, TLS_ALIGN = 64 };

extern const struct elf_header __ehdr_start;

static const struct elf_program *segment(void)
{
    const uint8_t *image = (const uint8_t *)&__ehdr_start;
    const struct elf_program *program =
        (const struct elf_program *)(const void *)(image + __ehdr_start.program_offset);
    for (unsigned i = 0; i < __ehdr_start.program_count; i++) {
        if (program[i].type == ELF_TLS) {
            return &program[i];
        }
    }
    return NULL;
}

uint64_t capos_tls_bytes(void)
{
    const struct elf_program *tls = segment();
    return tls != NULL ? align_up(tls->memory_bytes, TLS_ALIGN) : 0;
}

/* The memory is fresh, so what is not in the image is zero already. */
void capos_tls_init(uint64_t thread_pointer)
{
    const struct elf_program *tls = segment();
    *(uint64_t *)(uintptr_t)thread_pointer = thread_pointer;
    if (tls != NULL) {
        uint64_t start = thread_pointer - align_up(tls->memory_bytes, tls->align);
        const uint8_t *image = (const uint8_t *)&__ehdr_start; /* linked at 0 */
        memcpy((void *)(uintptr_t)start, image + tls->address, tls->file_bytes);
    }
}
