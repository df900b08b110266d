/* SPDX-License-Identifier: MIT */
/*
 * authority: who can reach what in a manifest.
 *
 *   authority MANIFEST [ARCHIVE]
 *
 * MANIFEST is a payload made by `mkarchive manifest`. It is checked first, by the code that init
 * runs; with an ARCHIVE also that what it names is there. Then all of it as JSON, in the order of starting: services with
 * their grants (the interface that a facet narrows, the ordinals of the methods it leaves, where it comes from), launch sets, whom each
 * service reaches. tools/authority-report makes it readable, and compares two.
 * Exit status: 0 sound, 1 refused, 2 unreadable.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "abi/archive.h"
#include "interfaces.h"
#include "lib/base/bits.h"
#include "manifest.capnp.h"
#include "process.capnp.h"
#include "services/init/graph.h"

struct file {
    uint8_t *bytes;
    size_t size;
};

static struct graph graph;
static struct file archive;

static struct file read_file(const char *path)
{
    struct file file = {NULL, 0};
    FILE *in = fopen(path, "rb");
    if (in == NULL || fseek(in, 0, SEEK_END) != 0) {
        perror(path);
        exit(2);
    }
    file.size = (size_t)ftell(in);
    rewind(in);
    file.bytes = malloc(file.size + 1);
    if (file.bytes == NULL || fread(file.bytes, 1, file.size, in) != file.size) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    fclose(in);
    return file;
}

static bool payload_exists(void *context, const char *name)
{
    (void)context;
    if (archive.bytes == NULL) {
        return true;
    }
    uint32_t count = archive.size >= 16 ? load_le32(archive.bytes + 12) : 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t at = sizeof(struct capos_archive_header) + i * sizeof(struct capos_archive_entry);
        if (at + CAPOS_ARCHIVE_NAME_BYTES > archive.size) {
            return false;
        }
        if (strncmp((const char *)archive.bytes + at, name, CAPOS_ARCHIVE_NAME_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

static void report(void *context, const char *problem)
{
    (void)context;
    fprintf(stderr, "manifest: %s\n", problem);
}

static const char *service_name(Manifest_r manifest, uint32_t index)
{
    return Service_get_name(Service_list_at(Manifest_get_services(manifest), index)).ptr;
}

static void print_source(Manifest_r manifest, ServiceGrant_source_r source,
                         const struct graph_grant *grant)
{
    IoPortRange_r ports;
    switch (ServiceGrant_source_which(source)) {
    case SERVICE_GRANT_SOURCE_WHICH_KERNEL:
        printf("kernel %s", KernelObject_name(ServiceGrant_source_get_kernel(source)));
        break;
    case SERVICE_GRANT_SOURCE_WHICH_IO_PORTS:
        ports = ServiceGrant_source_get_io_ports(source);
        printf("I/O ports 0x%x..0x%x", IoPortRange_get_base(ports),
               IoPortRange_get_base(ports) + IoPortRange_get_count(ports) - 1);
        break;
    case SERVICE_GRANT_SOURCE_WHICH_INTERRUPT:
        printf("interrupt %" PRIu32, ServiceGrant_source_get_interrupt(source));
        break;
    case SERVICE_GRANT_SOURCE_WHICH_SELF:
        printf("its own %s", SelfObject_name(ServiceGrant_source_get_self(source)));
        break;
    case SERVICE_GRANT_SOURCE_WHICH_EXPORT:
        printf("%s.%s", service_name(manifest, grant->service),
               ExportRef_get_export(ServiceGrant_source_get_export(source)).ptr);
        break;
    case SERVICE_GRANT_SOURCE_WHICH_SERVE:
        printf("its own endpoint");
        break;
    case SERVICE_GRANT_SOURCE_WHICH_SUPERVISOR:
        printf("init, as supervisor");
        break;
    case SERVICE_GRANT_SOURCE_WHICH_CONTROL:
        printf("init, as control of the whole system");
        break;
    case SERVICE_GRANT_SOURCE_WHICH_LAUNCHER:
        printf("launch set %s", ServiceGrant_source_get_launcher(source).ptr);
        break;
    case SERVICE_GRANT_SOURCE_WHICH_PAYLOAD:
        printf("payload %s", ServiceGrant_source_get_payload(source).ptr);
        break;
    case SERVICE_GRANT_SOURCE_WHICH_MOTD:
        printf("message of the day");
        break;
    case SERVICE_GRANT_SOURCE_WHICH_PROCESSOR:
        printf("its share of the processors");
        break;
    default:
        printf("?");
        break;
    }
}

/* Names and reasons are what the manifest's checks let through: text, perhaps with quotes. */
static void print_text(const char *key, const char *text)
{
    printf("\"%s\": \"", key);
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\') {
            putchar('\\');
        }
        putchar((unsigned char)*text < ' ' ? ' ' : *text);
    }
    putchar('"');
}

static const struct capos_interface_info *interface_named(const char *name)
{
    for (size_t i = 0; i < capos_interface_count; i++) {
        if (strcmp(capos_interfaces[i].name, name) == 0) {
            return &capos_interfaces[i];
        }
    }
    return NULL;
}

static const char *base_of(const struct capos_interface_info *info)
{
    for (size_t i = 0; i < capos_interface_count; i++) {
        if (capos_interfaces[i].id == info->base_id) {
            return capos_interfaces[i].name;
        }
    }
    return info->name;
}

static void print_methods(const struct capos_interface_info *info)
{
    const char *between = "";
    print_text("base", base_of(info));
    printf(", \"methods\": [");
    for (unsigned i = 0; i < 64; i++) {
        if (info->methods & BIT64(i)) {
            printf("%s%u", between, i);
            between = ", ";
        }
    }
    printf("], ");
}

static void print_grant(Manifest_r manifest, ServiceGrant_r grant, const struct graph_grant *found)
{
    const char *interface = ServiceGrant_get_interface(grant).ptr;
    printf("      {");
    print_text("name", ServiceGrant_get_name(grant).ptr);
    printf(", ");
    print_text("interface", interface);
    printf(", ");
    print_methods(interface_named(interface)); /* the check has found it */
    printf("\"source\": \"");
    print_source(manifest, ServiceGrant_get_source(grant), found);
    printf("\", ");
    print_text("why", ServiceGrant_get_why(grant).ptr);
    printf("}");
}

static void print_reach(Manifest_r manifest, uint32_t index);

static void print_service(Manifest_r manifest, uint32_t index)
{
    Service_r service = Service_list_at(Manifest_get_services(manifest), index);
    ServiceGrant_list_r grants = Service_get_grants(service);
    printf("    {");
    print_text("name", Service_get_name(service).ptr);
    printf(", ");
    print_text("program", Service_get_program(service).ptr);
    printf(", \"critical\": %s, ", Service_get_critical(service) ? "true" : "false");
    print_reach(manifest, index);
    printf(", \"grants\": [");
    for (uint32_t i = 0; i < ServiceGrant_list_len(grants); i++) {
        printf(i == 0 ? "\n" : ",\n");
        print_grant(manifest, ServiceGrant_list_at(grants, i),
                    &graph.grants[graph.services[index].first_grant + i]);
    }
    printf("]}");
}

static void print_launch_set(LaunchSet_r set)
{
    struct capnp_list programs = LaunchSet_get_programs(set);
    printf("    {");
    print_text("name", LaunchSet_get_name(set).ptr);
    printf(", \"most\": %" PRIu32 ", ", LaunchSet_get_max_children(set));
    print_text("watch", Watch_name(LaunchSet_get_watch(set)));
    printf(", ");
    print_text("why", LaunchSet_get_why(set).ptr);
    printf(", \"programs\": [");
    for (uint32_t i = 0; i < capnp_list_len(programs); i++) {
        printf("%s\"%s\"", i == 0 ? "" : ", ", capnp_text_list_at(programs, i).ptr);
    }
    printf("]}");
}

/* Everything a service can reach by calls: what it imports, and what that imports in turn. */
static uint64_t reach_of(uint32_t index)
{
    uint64_t reach = graph.services[index].needs;
    for (uint64_t before = 0; before != reach;) {
        before = reach;
        for (uint32_t i = 0; i < graph.service_count; i++) {
            if (reach & BIT64(i)) {
                reach |= graph.services[i].needs;
            }
        }
    }
    return reach;
}

static void print_reach(Manifest_r manifest, uint32_t index)
{
    uint64_t reach = reach_of(index);
    const char *between = "";
    printf("\"reaches\": [");
    for (uint32_t i = 0; i < graph.service_count; i++) {
        if (reach & BIT64(graph.order[i])) {
            printf("%s\"%s\"", between, service_name(manifest, graph.order[i]));
            between = ", ";
        }
    }
    printf("]");
}

static void print_all(Manifest_r manifest)
{
    LaunchSet_list_r sets = Manifest_get_launch_sets(manifest);
    printf("{\n  \"services\": [");
    for (uint32_t i = 0; i < graph.service_count; i++) {
        printf(i == 0 ? "\n" : ",\n");
        print_service(manifest, graph.order[i]);
    }
    printf("],\n  \"launchSets\": [");
    for (uint32_t i = 0; i < LaunchSet_list_len(sets); i++) {
        printf(i == 0 ? "\n" : ",\n");
        print_launch_set(LaunchSet_list_at(sets, i));
    }
    printf("]\n}\n");
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fputs("usage: authority MANIFEST [ARCHIVE]\n", stderr);
        return 2;
    }
    struct file file = read_file(argv[1]);
    if (argc == 3) {
        archive = read_file(argv[2]);
    }
    struct graph_input input = {
        .interfaces = capos_interfaces,
        .interface_count = capos_interface_count,
        .payload_exists = payload_exists,
        .report = report,
    };
    memset(input.available, 0xff, sizeof(input.available));
    enum capnp_status status = Manifest_read(file.bytes, file.size, &input.manifest);
    if (status != CAPNP_OK) {
        fprintf(stderr, "%s: not a manifest: %s\n", argv[1], capnp_status_name(status));
        return 2;
    }
    if (!graph_check(&input, &graph)) {
        return 1;
    }
    print_all(input.manifest);
    return 0;
}
