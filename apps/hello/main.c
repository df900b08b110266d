/* SPDX-License-Identifier: MIT */
/*
 * Hello: the smallest honest example of using. It says what it holds, uses a timer if it was given
 * one, and a ByteStream through capos_printf.
 *
 * Holds whatever it was granted; needs nothing.
 */
#include "capos/call.h"
#include "capos/print.h"
#include "capos/start.h"
#include "interfaces.h"
#include "time.client.h"

static const char *interface_name(uint64_t id)
{
    for (size_t i = 0; i < capos_interface_count; i++) {
        if (capos_interfaces[i].id == id) {
            return capos_interfaces[i].name;
        }
    }
    return "an interface this program does not know";
}

static void say_what_is_held(void)
{
    const struct capos_capset *held = capos_capset();
    capos_printf("I hold %u capabilit%s, and can do nothing else:\n", held->count,
                 held->count == 1 ? "y" : "ies");
    for (uint32_t i = 0; i < held->count; i++) {
        const struct capos_capset_entry *entry = &held->entries[i];
        capos_printf("  %-12s %s\n", entry->name, interface_name(entry->interface));
    }
}

static void use_timer(capos_cap_t timer)
{
    uint64_t now_ns;
    char text[160];
    status_t status = Timer_now(timer, &now_ns);
    if (status == ST_OK) {
        capos_printf("The system has been up for %llu ms.\n",
                     (unsigned long long)(now_ns / 1000000));
    } else {
        capos_error("%s\n", capos_explain_status("Timer", "now", status, text, sizeof(text)));
    }
}

int capos_main(void)
{
    capos_printf("Hello from process %llu.\n", (unsigned long long)capos_capset()->process_id);
    say_what_is_held();
    capos_cap_t timer = capos_capset_try("timer", Timer_ID);
    if (timer != 0) {
        use_timer(timer);
    } else {
        capos_printf("Nobody gave me a timer, so I cannot know the time.\n");
    }
    return 0;
}
