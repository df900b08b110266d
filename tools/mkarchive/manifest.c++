/* SPDX-License-Identifier: MIT */
/*
 * Manifests: constants of type Manifest, compiled and type-checked by the stock compiler's library,
 * merged, written as one bare message.
 *
 * Merging goes field by field. Of the sources that set a field (to something other than its default)
 * all must agree; lists of structs with a field `name` are merged by it, in order of appearance;
 * lists of texts (programs, needs) are joined; other lists count as one value. A disagreement is an error that names both places.
 */
#include <capnp/dynamic.h>
#include <capnp/message.h>
#include <capnp/schema-parser.h>
#include <capnp/serialize.h>
#include <kj/filesystem.h>
#include <sys/stat.h>

#include <cstring>
#include <map>
#include <set>

#include "mkarchive.h"

using capnp::DynamicList;
using capnp::DynamicStruct;
using capnp::DynamicValue;

struct Source {
    DynamicStruct::Reader value;
    std::string place; /* FILE: constant NAME */
};
using Sources = std::vector<Source>;

static std::string show(DynamicValue::Reader value)
{
    std::string text = kj::str(value).cStr();
    return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

static bool same(DynamicValue::Reader a, DynamicValue::Reader b)
{
    return kj::str(a) == kj::str(b);
}

[[noreturn]] static void conflict(const std::string &path, const Source &a, const Source &b,
                                  DynamicValue::Reader va, DynamicValue::Reader vb)
{
    throw Failure("conflict at " + path + ":\n  " + a.place + " says " + show(va) + "\n  " +
                  b.place + " says " + show(vb) + "\n  take one of them out, or make them agree");
}

static void merge_struct(DynamicStruct::Builder out, const Sources &sources,
                         const std::string &path);

static bool has_name_field(capnp::Type type)
{
    if (!type.isList() || !type.asList().getElementType().isStruct()) {
        return false;
    }
    return type.asList().getElementType().asStruct().findFieldByName("name") != nullptr;
}

static std::string name_of(DynamicStruct::Reader value, const std::string &path)
{
    std::string name = value.get("name").as<capnp::Text>().cStr();
    if (name.empty()) {
        throw Failure("an entry of " + path + " has no name");
    }
    return name;
}

/* The entries of all sources, grouped by name. */
struct Groups {
    Words order;
    std::map<std::string, Sources> by_name;
};

static Groups group_by_name(capnp::StructSchema::Field field, const Sources &sources,
                            const std::string &path)
{
    Groups groups;
    for (const Source &source : sources) {
        std::map<std::string, bool> seen;
        for (DynamicValue::Reader entry : source.value.get(field).as<DynamicList>()) {
            DynamicStruct::Reader value = entry.as<DynamicStruct>();
            std::string name = name_of(value, path);
            if (seen[name]) {
                throw Failure(path + "." + name + " appears twice in " + source.place);
            }
            seen[name] = true;
            if (groups.by_name[name].empty()) {
                groups.order.push_back(name);
            }
            groups.by_name[name].push_back({value, source.place});
        }
    }
    return groups;
}

static void merge_named_list(DynamicStruct::Builder out, capnp::StructSchema::Field field,
                             const Sources &sources, const std::string &path)
{
    Groups groups = group_by_name(field, sources, path);
    auto list = out.init(field, unsigned(groups.order.size())).as<DynamicList>();
    for (unsigned i = 0; i < groups.order.size(); i++) {
        const std::string &name = groups.order[i];
        merge_struct(list[i].as<DynamicStruct>(), groups.by_name[name], path + "." + name);
    }
}

static bool is_text_list(capnp::Type type)
{
    return type.isList() && type.asList().getElementType().isText();
}

/* A text that several sources say stands there once; one source that says it twice is left to the
 * checks. */
static void merge_texts(DynamicStruct::Builder out, capnp::StructSchema::Field field,
                        const Sources &sources)
{
    Words texts;
    for (const Source &source : sources) {
        std::set<std::string> before(texts.begin(), texts.end());
        for (DynamicValue::Reader entry : source.value.get(field).as<DynamicList>()) {
            std::string text = entry.as<capnp::Text>().cStr();
            if (before.count(text) == 0) {
                texts.push_back(text);
            }
        }
    }
    auto list = out.init(field, unsigned(texts.size())).as<DynamicList>();
    for (unsigned i = 0; i < texts.size(); i++) {
        list.set(i, capnp::Text::Reader(texts[i].c_str(), texts[i].size()));
    }
}

static void merge_value(DynamicStruct::Builder out, capnp::StructSchema::Field field,
                        const Sources &sources, const std::string &path)
{
    DynamicValue::Reader first = sources[0].value.get(field);
    for (const Source &source : sources) {
        if (!same(first, source.value.get(field))) {
            conflict(path, sources[0], source, first, source.value.get(field));
        }
    }
    out.set(field, first);
}

static Sources those_that_set(capnp::StructSchema::Field field, const Sources &sources)
{
    Sources some;
    for (const Source &source : sources) {
        if (source.value.has(field, capnp::HasMode::NON_DEFAULT)) {
            some.push_back(source);
        }
    }
    return some;
}

/* What each source holds in a field of struct type. */
static Sources inside(capnp::StructSchema::Field field, const Sources &sources)
{
    Sources values;
    for (const Source &source : sources) {
        values.push_back({source.value.get(field).as<DynamicStruct>(), source.place});
    }
    return values;
}

static void merge_field(DynamicStruct::Builder out, capnp::StructSchema::Field field,
                        const Sources &sources, const std::string &path)
{
    std::string here = path + "." + field.getProto().getName().cStr();
    if (field.getProto().isGroup()) {
        merge_struct(out.init(field).as<DynamicStruct>(), inside(field, sources), here);
        return;
    }
    Sources some = those_that_set(field, sources);
    if (some.empty()) {
        return;
    }
    if (has_name_field(field.getType())) {
        merge_named_list(out, field, some, here);
    } else if (is_text_list(field.getType())) {
        merge_texts(out, field, some);
    } else if (field.getType().isStruct()) {
        merge_struct(out.init(field).as<DynamicStruct>(), inside(field, some), here);
    } else {
        merge_value(out, field, some, here);
    }
}

/* The union's active member; all sources must agree on which it is. */
static void merge_union(DynamicStruct::Builder out, const Sources &sources, const std::string &path)
{
    auto first = KJ_ASSERT_NONNULL(sources[0].value.which());
    for (const Source &source : sources) {
        auto other = KJ_ASSERT_NONNULL(source.value.which());
        if (other.getIndex() != first.getIndex()) {
            conflict(path, sources[0], source, sources[0].value, source.value);
        }
    }
    if (!first.getProto().isGroup() && first.getType().isVoid()) {
        out.set(first, capnp::VOID);
        return;
    }
    if (those_that_set(first, sources).empty() && !first.getProto().isGroup() &&
        !first.getType().isStruct() && !first.getType().isList()) {
        out.set(first, sources[0].value.get(first));
        return;
    }
    merge_field(out, first, sources, path);
}

static void merge_struct(DynamicStruct::Builder out, const Sources &sources,
                         const std::string &path)
{
    for (auto field : out.getSchema().getNonUnionFields()) {
        merge_field(out, field, sources, path);
    }
    if (out.getSchema().getUnionFields().size() != 0) {
        merge_union(out, sources, path);
    }
}

/* Compiling */

struct Compiler {
    kj::Own<kj::Filesystem> disk = kj::newDiskFilesystem();
    capnp::SchemaParser parser;
    std::vector<const kj::ReadableDirectory *> imports;
    std::vector<kj::Own<const kj::ReadableDirectory>> open;

    kj::Path path(const std::string &text)
    {
        return disk->getCurrentPath().evalNative(text.c_str());
    }

    void add_import(const std::string &dir)
    {
        open.push_back(disk->getRoot().openSubdir(path(dir)));
        imports.push_back(open.back().get());
    }

    capnp::ParsedSchema parse(const std::string &file)
    {
        read_file(file); /* its refusal names the file */
        const kj::ReadableDirectory &from = file[0] == '/' ? disk->getRoot() : disk->getCurrent();
        return parser.parseFromDirectory(from, kj::Path(nullptr).eval(file.c_str()),
                                         kj::arrayPtr(imports.data(), imports.size()));
    }
};

static bool is_manifest(capnp::ParsedSchema schema)
{
    if (!schema.getProto().isConst() || !schema.asConst().getType().isStruct()) {
        return false;
    }
    std::string name = schema.asConst().getType().asStruct().getShortDisplayName().cStr();
    return name == "Manifest";
}

/*
 * A fragment keeps a compiler and a copy of its own: the library (1.0 at least) finds no groups of an
 * imported struct when one parser compiles a second file. The copies are read back under the first
 * fragment's schema, so that their values are of one type.
 */
struct Fragment {
    Compiler compiler;
    std::vector<kj::Array<capnp::word>> constants;
    std::vector<std::string> names;
    std::vector<kj::Own<capnp::FlatArrayMessageReader>> readers;
    kj::Maybe<capnp::StructSchema> schema;
};

static void compile(Fragment &fragment, const Words &imports, const std::string &file)
{
    for (const std::string &dir : imports) {
        fragment.compiler.add_import(dir);
    }
    capnp::ParsedSchema parsed = fragment.compiler.parse(file);
    for (auto nested : parsed.getAllNested()) {
        if (is_manifest(nested)) {
            capnp::MallocMessageBuilder copy;
            auto value = nested.asConst().as<DynamicStruct>();
            copy.setRoot(value);
            fragment.schema = value.getSchema();
            fragment.constants.push_back(capnp::messageToFlatArray(copy));
            fragment.names.push_back(file + ": " + nested.getShortDisplayName().cStr());
        }
    }
    if (fragment.constants.empty()) {
        throw Failure(file + " has no constant of type Manifest");
    }
}

static void read_back(Fragment &fragment, capnp::StructSchema schema, Sources &sources)
{
    for (size_t i = 0; i < fragment.constants.size(); i++) {
        auto reader = kj::heap<capnp::FlatArrayMessageReader>(fragment.constants[i].asPtr());
        sources.push_back({reader->getRoot<DynamicStruct>(schema), fragment.names[i]});
        fragment.readers.push_back(kj::mv(reader));
    }
}

static void add_local(Words &fragments)
{
    size_t slash = fragments[0].rfind('/');
    std::string dir = slash == std::string::npos ? "" : fragments[0].substr(0, slash + 1);
    struct stat info;
    if (stat((dir + "local.capnp").c_str(), &info) == 0) {
        fragments.push_back(dir + "local.capnp");
    }
}

/* The names of an archive's payloads. */
static std::set<std::string> names_of(const std::string &path)
{
    std::set<std::string> names;
    for (const std::string &name : archive_names(read_file(path))) {
        names.insert(name);
    }
    return names;
}

static void want(const std::set<std::string> &names, const std::string &name,
                 const std::string &place)
{
    if (names.count(name) == 0) {
        throw Failure("manifest." + place + " needs the payload \"" + name +
                      "\", which is not in the archive");
    }
}

static std::string text_of(DynamicStruct::Reader value, const char *field)
{
    return value.get(field).as<capnp::Text>().cStr();
}

static void check_service(DynamicStruct::Reader service, const std::set<std::string> &names)
{
    std::string place = "services." + text_of(service, "name");
    want(names, "bin/" + text_of(service, "program"), place + ".program");
    for (DynamicValue::Reader value : service.get("grants").as<DynamicList>()) {
        auto grant = value.as<DynamicStruct>();
        auto source = grant.get("source").as<DynamicStruct>();
        if (KJ_ASSERT_NONNULL(source.which()).getProto().getName() == "payload") {
            want(names, text_of(source, "payload"), place + ".grants." + text_of(grant, "name"));
        }
    }
}

void command_check(Words args)
{
    if (args.size() != 2) {
        throw Failure("check: a manifest and an archive are wanted");
    }
    Compiler compiler;
    compiler.add_import(".");
    auto schema = compiler.parse("schema/manifest.capnp").getNested("Manifest").asStruct();
    Bytes file = read_file(args[0]);
    std::vector<capnp::word> words(file.size() / sizeof(capnp::word));
    memcpy(words.data(), file.data(), words.size() * sizeof(capnp::word));
    kj::ArrayPtr<const capnp::word> segment(words.data(), words.size());
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(&segment, 1));
    auto manifest = reader.getRoot<DynamicStruct>(schema);
    std::set<std::string> names = names_of(args[1]);
    for (DynamicValue::Reader service : manifest.get("services").as<DynamicList>()) {
        check_service(service.as<DynamicStruct>(), names);
    }
    for (DynamicValue::Reader value : manifest.get("launchSets").as<DynamicList>()) {
        auto set = value.as<DynamicStruct>();
        for (DynamicValue::Reader program : set.get("programs").as<DynamicList>()) {
            want(names, std::string("bin/") + program.as<capnp::Text>().cStr(),
                 "launchSets." + text_of(set, "name") + ".programs");
        }
    }
}

void command_manifest(Words args)
{
    std::string out_path = take_option(args, "-o");
    bool local = !take_flag(args, "--no-local");
    Words imports;
    for (std::string dir; !(dir = take_option(args, "-I")).empty();) {
        imports.push_back(dir);
    }
    if (out_path.empty() || args.empty()) {
        throw Failure("manifest: -o FILE and at least one fragment are wanted");
    }
    if (local) {
        add_local(args);
    }
    Sources sources;
    std::vector<kj::Own<Fragment>> fragments;
    for (const std::string &file : args) {
        fragments.push_back(kj::heap<Fragment>());
        compile(*fragments.back(), imports, file);
    }
    capnp::StructSchema schema = KJ_ASSERT_NONNULL(fragments[0]->schema);
    for (auto &fragment : fragments) {
        read_back(*fragment, schema, sources);
    }
    capnp::MallocMessageBuilder message(1 << 16);
    merge_struct(message.initRoot<DynamicStruct>(schema), sources, "manifest");
    auto segments = message.getSegmentsForOutput();
    if (segments.size() != 1) {
        throw Failure("the manifest is larger than 512 KiB");
    }
    auto bytes = segments[0].asBytes();
    write_file(out_path, bytes.begin(), bytes.size());
}
