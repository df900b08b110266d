/* SPDX-License-Identifier: MIT */
/* Writing and checking archives: abi/archive.h. */
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>

#include "../../abi/archive.h"
#include "mkarchive.h"
#include "sha256.h"

static const uint64_t page_bytes = 4096;

static uint64_t page_up(uint64_t v)
{
    return (v + page_bytes - 1) & ~(page_bytes - 1);
}

static void check_name(const std::string &name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789._/-";
    if (name.empty() || name.size() >= CAPOS_ARCHIVE_NAME_BYTES ||
        name.find_first_not_of(allowed) != std::string::npos) {
        throw Failure("bad payload name \"" + name + "\": 1 to 63 of [a-z0-9._/-]");
    }
}

struct Payload {
    std::string file; /* where it comes from */
    Bytes bytes;
};

/* By name; std::map sorts bytewise, as the format wants. */
using Payloads = std::map<std::string, Payload>;

static void add_payload(Payloads &payloads, const std::string &word, const std::string &where)
{
    size_t at = word.find('=');
    if (at == std::string::npos) {
        throw Failure(where + ": expected NAME=FILE, found \"" + word + "\"");
    }
    std::string name = word.substr(0, at);
    std::string file = word.substr(at + 1);
    check_name(name);
    auto old = payloads.find(name);
    if (old != payloads.end()) {
        throw Failure("payload \"" + name + "\" named twice: " + old->second.file + " and " + file);
    }
    payloads[name] = {file, read_file(file)};
}

static Payloads payloads_of(const Words &args)
{
    Payloads payloads;
    for (const std::string &word : args) {
        if (word[0] != '@') {
            add_payload(payloads, word, "command line");
            continue;
        }
        std::ifstream list(word.substr(1));
        if (!list) {
            throw Failure("cannot read " + word.substr(1));
        }
        for (std::string line; std::getline(list, line);) {
            if (!line.empty() && line[0] != '#') {
                add_payload(payloads, line, word.substr(1));
            }
        }
    }
    return payloads;
}

static capos_archive_entry entry_of(const std::string &name, const Bytes &bytes, uint64_t offset)
{
    capos_archive_entry entry = {};
    memcpy(entry.name, name.data(), name.size());
    entry.offset_bytes = offset;
    entry.size_bytes = bytes.size();
    Digest digest = sha256(bytes.data(), bytes.size());
    memcpy(entry.sha256, digest.data(), digest.size());
    return entry;
}

static void put(Bytes &out, size_t at, const void *bytes, size_t count)
{
    if (out.size() < page_up(at + count)) {
        out.resize(page_up(at + count));
    }
    if (count != 0) {
        memcpy(out.data() + at, bytes, count);
    }
}

/* The whole file; *index is the digest of its index. */
static Bytes build(const Payloads &payloads, Digest *index)
{
    if (payloads.empty() || payloads.size() > CAPOS_ARCHIVE_MAX_ENTRIES) {
        throw Failure("an archive holds 1 to 4096 payloads");
    }
    size_t entries_bytes = payloads.size() * sizeof(capos_archive_entry);
    capos_archive_header header = {};
    header.magic = CAPOS_ARCHIVE_MAGIC;
    header.version = CAPOS_ARCHIVE_VERSION;
    header.entry_count = uint32_t(payloads.size());
    header.index_bytes = sizeof(header) + entries_bytes;
    Bytes out(page_up(header.index_bytes));
    std::vector<capos_archive_entry> entries;
    for (const auto &[name, payload] : payloads) {
        uint64_t offset = out.size();
        entries.push_back(entry_of(name, payload.bytes, offset));
        put(out, offset, payload.bytes.data(), payload.bytes.size());
    }
    header.total_bytes = out.size();
    memcpy(out.data(), &header, sizeof(header));
    memcpy(out.data() + sizeof(header), entries.data(), entries_bytes);
    *index = sha256(out.data(), header.index_bytes);
    return out;
}

static std::string c_source(const Digest &digest)
{
    std::string text = "/* SPDX-License-Identifier: MIT */\n"
                       "/* SHA-256 of the index of the boot archive; made by tools/mkarchive. */\n"
                       "#include <stdint.h>\n\n"
                       "extern const uint8_t boot_archive_index_sha256[32];\n\n"
                       "const uint8_t boot_archive_index_sha256[32] = {";
    for (size_t i = 0; i < digest.size(); i++) {
        char byte[16];
        snprintf(byte, sizeof(byte), "%s0x%02x,", i % 8 == 0 ? "\n    " : " ", digest[i]);
        text += byte;
    }
    return text + "\n};\n";
}

static void write_text(const std::string &path, const std::string &text)
{
    if (!path.empty()) {
        write_file(path, text.data(), text.size());
    }
}

static capos_archive_header header_of(const Bytes &file)
{
    capos_archive_header header;
    if (file.size() < sizeof(header)) {
        throw Failure("too short to be an archive");
    }
    memcpy(&header, file.data(), sizeof(header));
    if (header.magic != CAPOS_ARCHIVE_MAGIC || header.version != CAPOS_ARCHIVE_VERSION) {
        throw Failure("not an archive of this version");
    }
    if (header.entry_count > CAPOS_ARCHIVE_MAX_ENTRIES || header.total_bytes != file.size() ||
        header.index_bytes != sizeof(header) + header.entry_count * sizeof(capos_archive_entry) ||
        header.index_bytes > file.size()) {
        throw Failure("the header contradicts itself or the file's size");
    }
    return header;
}

static capos_archive_entry entry_at(const Bytes &file, uint32_t index)
{
    capos_archive_entry entry;
    memcpy(&entry, file.data() + sizeof(capos_archive_header) + index * sizeof(entry),
           sizeof(entry));
    return entry;
}

static std::string name_of(const capos_archive_entry &entry)
{
    return std::string(entry.name, strnlen(entry.name, sizeof(entry.name)));
}

Words archive_names(const Bytes &file)
{
    Words names;
    uint32_t count = header_of(file).entry_count;
    for (uint32_t i = 0; i < count; i++) {
        names.push_back(name_of(entry_at(file, i)));
    }
    return names;
}

/* What the entry names; a refusal when the file does not hold it as the index says. */
static Bytes payload_of(const Bytes &file, const capos_archive_entry &entry)
{
    std::string name = name_of(entry);
    check_name(name);
    if (entry.offset_bytes % page_bytes != 0 || entry.offset_bytes > file.size() ||
        entry.size_bytes > file.size() - entry.offset_bytes) {
        throw Failure("payload \"" + name + "\" lies outside the file");
    }
    Digest digest = sha256(file.data() + entry.offset_bytes, entry.size_bytes);
    if (memcmp(digest.data(), entry.sha256, digest.size()) != 0) {
        throw Failure("payload \"" + name + "\" does not match its SHA-256");
    }
    return Bytes(file.begin() + long(entry.offset_bytes),
                 file.begin() + long(entry.offset_bytes + entry.size_bytes));
}

static void list_entry(const Bytes &file, const capos_archive_entry &entry)
{
    Digest digest = sha256(payload_of(file, entry).data(), entry.size_bytes);
    printf("%10llu  %s  %s\n", static_cast<unsigned long long>(entry.size_bytes),
           hex(digest).substr(0, 16).c_str(), name_of(entry).c_str());
}

void command_list(Words args)
{
    if (args.size() != 1) {
        throw Failure("list: one archive is wanted");
    }
    Bytes file = read_file(args[0]);
    capos_archive_header header = header_of(file);
    std::string last;
    for (uint32_t i = 0; i < header.entry_count; i++) {
        capos_archive_entry entry = entry_at(file, i);
        std::string name = name_of(entry);
        if (i != 0 && name <= last) {
            throw Failure("payload \"" + name + "\" is out of order");
        }
        last = name;
        list_entry(file, entry);
    }
    printf("index %s\n", hex(sha256(file.data(), header.index_bytes)).c_str());
}

/* What that archive holds under names that are not taken. */
static void add_others(Payloads &payloads, const std::string &path)
{
    Bytes file = read_file(path);
    uint32_t count = header_of(file).entry_count;
    for (uint32_t i = 0; i < count; i++) {
        capos_archive_entry entry = entry_at(file, i);
        payloads.emplace(name_of(entry), Payload{path, payload_of(file, entry)});
    }
}

void command_archive(Words args)
{
    std::string out_path = take_option(args, "-o");
    std::string hash_path = take_option(args, "--hash");
    std::string from_path = take_option(args, "--from");
    std::string source_path = take_option(args, "--c-source");
    if (out_path.empty()) {
        throw Failure("archive: -o FILE is missing");
    }
    Payloads payloads = payloads_of(args);
    if (!from_path.empty()) {
        add_others(payloads, from_path);
    }
    Digest index;
    Bytes out = build(payloads, &index);
    write_file(out_path, out.data(), out.size());
    write_text(hash_path, hex(index) + "\n");
    write_text(source_path, c_source(index));
}
