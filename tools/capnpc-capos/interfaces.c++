// SPDX-License-Identifier: MIT
// Ids, ordinals, facets, limits and statuses.
#include <algorithm>

#include "emit.h"

void emit_interface_constants(const Model &model, const SchemaFile &file, Out &h)
{
    for (uint64_t id : file.interfaces) {
        const Interface &i = model.interfaces.at(id);
        const char *n = i.name.c_str();
        std::string upper_name = upper(i.name);
        h.line("/* ---- interface %s ---- */\n", n);
        h.comment(i.doc);
        h.line("#define %s_ID UINT64_C(0x%016llx)", n, (unsigned long long)i.id);
        h.line("#define %s_BASE_ID UINT64_C(0x%016llx)", n, (unsigned long long)i.base_id);
        h.line("#define %s_FACET UINT64_C(0x%llx)", n, (unsigned long long)i.facet);
        if (i.base.empty()) {
            h.line("#define %s_FACET_ALL UINT64_C(0x%llx)", upper_name.c_str(), (unsigned long long)i.facet);
        }
        h.line("#define %s_TRANSFER_MODE %u", n, i.transfer);
        h.line("#define %s_SESSION_SCOPE %u", n, i.scope);
        for (const auto &m : i.methods) {
            const char *mn = m.c_name.c_str();
            h.line("%s", "");
            h.comment(m.doc);
            h.line("#define %s_%s_ORDINAL %u", n, mn, m.ordinal);
            h.line("#define %s_%s_BIT (UINT64_C(1) << %u)", n, mn, m.ordinal);
            h.line("#define %s_%s_MAX_PARAMS_BYTES %u", n, mn, m.max_params);
            h.line("#define %s_%s_MAX_RESULTS_BYTES %u", n, mn, m.max_results);
            h.line("#define %s_%s_PARAMS_MAX_BYTES %u", n, mn, m.max_params);
            h.line("#define %s_%s_RESULTS_MAX_BYTES %u", n, mn, m.max_results);
            h.line("#define %s_%s_PARAM_CAPS %u", n, mn, m.param_caps);
            h.line("#define %s_%s_RESULT_CAPS %u", n, mn, m.result_caps);
        }
        h.line("%s", "");
    }
}

void emit_statuses(const Model &model, uint64_t enum_id, Out &h, Out &c)
{
    auto enumerants = model.node(enum_id).getEnum().getEnumerants();
    h.line("/* The same numbers, negated, as a status_t carries them. */\nenum {");
    c.line("const char *status_name(status_t status)\n{\n    switch (status) {");
    Out texts;
    for (uint32_t i = 0; i < enumerants.size(); i++) {
        std::string name = upper(enumerants[i].getName().cStr());
        std::string doc = model.member_doc(enum_id, i);
        while (!doc.empty() && doc.back() == '\n') {
            doc.pop_back();
        }
        std::replace(doc.begin(), doc.end(), '\n', ' ');
        h.line("    ST_%s = %d,", name.c_str(), -(int)i);
        c.line("    case %d:\n        return \"%s\";", -(int)i, name.c_str());
        texts.line("    case %d:\n        return %s;", -(int)i,
                   quoted(i == 0 && doc.empty() ? "success" : doc).c_str());
    }
    h.line("};");
    h.line("enum {\n    STATUS_FIRST_UNUSED = %u,\n};", enumerants.size());
    h.line("/* \"BAD_CAP\"; \"OK\" for 0 and above; \"unknown status\" for others. */");
    h.line("const char *status_name(status_t status);");
    h.line("/* What it means, one sentence of the schema. */");
    h.line("const char *status_text(status_t status);\n");
    c.line("    default:\n        return status > 0 ? \"OK\" : \"unknown status\";\n    }\n}\n");
    c.line("const char *status_text(status_t status)\n{\n    switch (status) {\n%s"
           "    default:\n        return status > 0 ? \"success\" : \"a number this program does not know\";\n"
           "    }\n}\n",
           texts.text.c_str());
}
