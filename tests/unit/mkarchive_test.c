/* SPDX-License-Identifier: MIT */
/* tools/mkarchive, run as a program in a directory of its own. */
#include "tests/unit/test.h"

#include "abi/archive.h"
#include "lib/crypto/sha256.h"
#include "manifest.capnp.h"

#define MKARCHIVE "build/tools/mkarchive"

static char dir[64];
static char output[4096];

static void put_file(const char *name, const void *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *out = fopen(path, "wb");
    REQUIRE(out != NULL);
    REQUIRE_EQ(fwrite(bytes, 1, size, out), size);
    fclose(out);
}

static size_t get_file(const char *name, uint8_t *bytes, size_t size)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *in = fopen(path, "rb");
    if (in == NULL) {
        return 0;
    }
    size_t length = fread(bytes, 1, size, in);
    fclose(in);
    return length;
}

static void setup(void)
{
    strcpy(dir, "build/mkarchive-test-XXXXXX");
    REQUIRE(mkdtemp(dir) != NULL);
    put_file("one", "1", 1);
    put_file("empty", "", 0);
    put_file("page", dir, 0);
}

static void clean(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    CHECK_EQ(system(command), 0);
}

/* Runs mkarchive with % in the arguments standing for the directory; its messages are in output. */
static int run(const char *arguments)
{
    char command[2048] = MKARCHIVE " ";
    size_t at = strlen(command);
    for (; *arguments != '\0'; arguments++) {
        at +=
            (size_t)snprintf(command + at, sizeof(command) - at, *arguments == '%' ? "%s" : "%.1s",
                             *arguments == '%' ? dir : arguments);
    }
    snprintf(command + at, sizeof(command) - at, " 2>&1");
    FILE *pipe = popen(command, "r");
    size_t length = fread(output, 1, sizeof(output) - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    return WEXITSTATUS(status);
}

static void put_fragment(const char *name, const char *id, const char *value)
{
    char text[2048];
    int length = snprintf(text, sizeof(text),
                          "@0x%s;\nusing M = import \"/schema/manifest.capnp\";\n"
                          "const part :M.Manifest = (%s);\n",
                          id, value);
    put_file(name, text, (size_t)length);
}

TEST(archive_layout, "an archive is sorted, page-aligned, hashed, and the same every time")
{
    static uint8_t bytes[65536], again[65536], text[64];
    setup();
    CHECK_EQ(run("archive -o %/a --hash %/h b/two=%/one a=%/empty manifest=%/one"), 0);
    CHECK_EQ(run("archive -o %/b manifest=%/one a=%/empty b/two=%/one"), 0);
    size_t size = get_file("a", bytes, sizeof(bytes));
    CHECK_EQ(size, 4096 * 3);
    CHECK_EQ(get_file("b", again, sizeof(again)), size);
    CHECK_MEM_EQ(bytes, again, size);
    const struct capos_archive_header *header = (const void *)bytes;
    const struct capos_archive_entry *entries = (const void *)(header + 1);
    CHECK_EQ(header->magic, CAPOS_ARCHIVE_MAGIC);
    CHECK_EQ(header->entry_count, 3);
    CHECK_EQ(header->total_bytes, size);
    CHECK_STR_EQ(entries[0].name, "a");
    CHECK_STR_EQ(entries[1].name, "b/two");
    CHECK_STR_EQ(entries[2].name, "manifest");
    CHECK_EQ(entries[2].offset_bytes % 4096, 0);
    CHECK_EQ(bytes[entries[2].offset_bytes], '1');
    uint8_t digest[32];
    sha256(bytes + entries[2].offset_bytes, 1, digest);
    CHECK_MEM_EQ(digest, entries[2].sha256, 32);
    sha256(bytes, header->index_bytes, digest);
    CHECK_EQ(get_file("h", text, sizeof(text)), 64);
    char hex[3];
    snprintf(hex, sizeof(hex), "%02x", digest[0]);
    CHECK_MEM_EQ(text, hex, 2);
    CHECK_EQ(run("list %/a"), 0);
    clean();
}

TEST(archive_bad_names, "a bad name, a name given twice and a missing file are refused by name")
{
    setup();
    CHECK_EQ(run("archive -o %/a Big=%/one"), 1);
    CHECK(strstr(output, "\"Big\"") != NULL);
    CHECK_EQ(run("archive -o %/a x=%/one x=%/empty"), 1);
    CHECK(strstr(output, "named twice") != NULL);
    CHECK_EQ(run("archive -o %/a x=%/absent"), 1);
    CHECK(strstr(output, "absent") != NULL);
    clean();
}

TEST(archive_damage, "a changed payload byte is found")
{
    static uint8_t bytes[65536];
    setup();
    CHECK_EQ(run("archive -o %/a x=%/one"), 0);
    size_t size = get_file("a", bytes, sizeof(bytes));
    bytes[4096] ^= 1;
    put_file("a", bytes, size);
    CHECK_EQ(run("list %/a"), 1);
    CHECK(strstr(output, "SHA-256") != NULL);
    put_file("a", bytes, 4096);
    CHECK_EQ(run("list %/a"), 1);
    clean();
}

/* Merges a.capnp and b.capnp, which goes without a word; *out is valid until the next. */
static bool merge(Manifest_r *out)
{
    static uint8_t bytes[65536];
    CHECK_EQ(run("manifest -o %/m -I. %/a.capnp %/b.capnp"), 0);
    CHECK_STR_EQ(output, "");
    size_t size = get_file("m", bytes, sizeof(bytes));
    return Manifest_read(bytes, size, out) == CAPNP_OK;
}

TEST(manifest_merges, "fragments merge by entry name and fill each other's fields in")
{
    Manifest_r manifest;
    setup();
    put_fragment("a.capnp", "a1a1a1a1a1a1a1a1",
                 "schemaVersion = 1, services = [(name = \"x\", program = \"p\"), (name = \"y\")]");
    put_fragment(
        "b.capnp", "a1a1a1a1a1a1a1a2",
        "motd = \"hi\", services = [(name = \"z\"), (name = \"x\", critical = true, program = "
        "\"p\")]");
    REQUIRE(merge(&manifest));
    Service_list_r services = Manifest_get_services(manifest);
    REQUIRE_EQ(Service_list_len(services), 3);
    CHECK_STR_EQ(Service_get_name(Service_list_at(services, 0)).ptr, "x");
    CHECK_STR_EQ(Service_get_program(Service_list_at(services, 0)).ptr, "p");
    CHECK(Service_get_critical(Service_list_at(services, 0)));
    CHECK_STR_EQ(Service_get_name(Service_list_at(services, 2)).ptr, "z");
    CHECK_STR_EQ(Manifest_get_motd(manifest).ptr, "hi");
    clean();
}

TEST(manifest_merges_grants,
     "a second fragment may add grants, whose sources are unions, to a service")
{
    Manifest_r manifest;
    setup();
    put_fragment(
        "a.capnp", "a1a1a1a1a1a1a1a1",
        "services = [(name = \"x\", grants = [(name = \"log\", source = (kernel = log))])]");
    put_fragment(
        "b.capnp", "a1a1a1a1a1a1a1a2",
        "services = [(name = \"x\", grants = [(name = \"serve\", source = (serve = void)), "
        "(name = \"line\", source = (interrupt = 4))])]");
    REQUIRE(merge(&manifest));
    ServiceGrant_list_r grants =
        Service_get_grants(Service_list_at(Manifest_get_services(manifest), 0));
    REQUIRE_EQ(ServiceGrant_list_len(grants), 3);
    ServiceGrant_source_r serve = ServiceGrant_get_source(ServiceGrant_list_at(grants, 1));
    CHECK_EQ(ServiceGrant_source_which(serve), SERVICE_GRANT_SOURCE_WHICH_SERVE);
    ServiceGrant_source_r line = ServiceGrant_get_source(ServiceGrant_list_at(grants, 2));
    CHECK_EQ(ServiceGrant_source_get_interrupt(line), 4);
    clean();
}

TEST(manifest_joins_texts,
     "a second fragment may add programs to a launch set and needs to a service")
{
    Manifest_r manifest;
    setup();
    put_fragment("a.capnp", "a1a1a1a1a1a1a1a1",
                 "services = [(name = \"x\", needs = [\"y\"])], launchSets = [(name = \"apps\", "
                 "programs = [\"hello\", \"twice\", \"twice\"])]");
    put_fragment("b.capnp", "a1a1a1a1a1a1a1a2",
                 "services = [(name = \"x\", needs = [\"y\", \"z\"])], launchSets = [(name = "
                 "\"apps\", programs = [\"mine\", \"hello\"])]");
    REQUIRE(merge(&manifest));
    Service_r service = Service_list_at(Manifest_get_services(manifest), 0);
    CHECK_EQ(capnp_list_len(Service_get_needs(service)), 2);
    struct capnp_list programs =
        LaunchSet_get_programs(LaunchSet_list_at(Manifest_get_launch_sets(manifest), 0));
    static const char *const wanted[] = {"hello", "twice", "twice", "mine"};
    REQUIRE_EQ(capnp_list_len(programs), 4);
    for (unsigned i = 0; i < 4; i++) {
        CHECK_STR_EQ(capnp_text_list_at(programs, i).ptr, wanted[i]);
    }
    clean();
}

TEST(manifest_conflict, "two values for one field are refused, naming the field and both places")
{
    setup();
    put_fragment("a.capnp", "a1a1a1a1a1a1a1a1", "services = [(name = \"x\", program = \"p\")]");
    put_fragment("b.capnp", "a1a1a1a1a1a1a1a2", "services = [(name = \"x\", program = \"q\")]");
    CHECK_EQ(run("manifest -o %/m -I. %/a.capnp %/b.capnp"), 1);
    CHECK(strstr(output, "services.x.program") != NULL);
    CHECK(strstr(output, "a.capnp: part says \"p\"") != NULL);
    CHECK(strstr(output, "b.capnp: part says \"q\"") != NULL);
    clean();
}

TEST(manifest_local, "local.capnp beside the first fragment is picked up, unless told not to")
{
    static uint8_t bytes[65536];
    Manifest_r manifest;
    setup();
    put_fragment("a.capnp", "a1a1a1a1a1a1a1a1", "schemaVersion = 1");
    put_fragment("local.capnp", "a1a1a1a1a1a1a1a2", "motd = \"mine\"");
    CHECK_EQ(run("manifest -o %/m -I. %/a.capnp"), 0);
    size_t size = get_file("m", bytes, sizeof(bytes));
    REQUIRE_EQ(Manifest_read(bytes, size, &manifest), CAPNP_OK);
    CHECK_STR_EQ(Manifest_get_motd(manifest).ptr, "mine");
    CHECK_EQ(run("manifest -o %/m -I. --no-local %/a.capnp"), 0);
    size = get_file("m", bytes, sizeof(bytes));
    REQUIRE_EQ(Manifest_read(bytes, size, &manifest), CAPNP_OK);
    CHECK_STR_EQ(Manifest_get_motd(manifest).ptr, "");
    clean();
}

TEST(manifest_wrong_type,
     "a fragment that does not fit the schema is refused by the compiler, with its line")
{
    setup();
    put_fragment("a.capnp", "a1a1a1a1a1a1a1a1", "services = [(nam = \"x\")]");
    CHECK_EQ(run("manifest -o %/m -I. %/a.capnp"), 1);
    CHECK(strstr(output, "a.capnp:3") != NULL);
    clean();
}

TEST(manifest_needs_payloads,
     "a program that is not in the archive is named with the entry that wants it")
{
    setup();
    put_fragment("a.capnp", "a1a1a1a1a1a1a1a1", "services = [(name = \"x\", program = \"p\")]");
    CHECK_EQ(run("manifest -o %/m -I. %/a.capnp"), 0);
    CHECK_EQ(run("archive -o %/a manifest=%/m"), 0);
    CHECK_EQ(run("check %/m %/a"), 1);
    CHECK(strstr(output, "services.x.program") != NULL);
    CHECK(strstr(output, "bin/p") != NULL);
    CHECK_EQ(run("archive -o %/a manifest=%/m bin/p=%/one"), 0);
    CHECK_EQ(run("check %/m %/a"), 0);
    clean();
}
