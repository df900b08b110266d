/* SPDX-License-Identifier: MIT */
#include "apps/shell/show_parts.h"

#define TEXT_ARGS(text) (int)(text).len, (text).ptr

enum { TABLE_FIELDS_MAX = 12 };

void show_count_columns(struct fmt_sink *sink, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ((struct counting_sink *)sink)->columns += ((uint8_t)bytes[i] & 0xc0) != 0x80;
    }
}

/* A list of structs of plain fields: a column for each field. */
struct table {
    struct dyn_struct s; /* of the elements */
    const struct dyn_value *list;
    uint32_t columns;
    size_t widths[TABLE_FIELDS_MAX];
};

static bool is_plain_kind(unsigned kind)
{
    return kind != DESCRIBED_KIND_LIST && kind != DESCRIBED_KIND_STRUCT &&
           kind != DESCRIBED_KIND_DATA;
}

static bool is_number(DescribedField_r field)
{
    unsigned kind = DescribedType_get_kind(DescribedField_get_type(field));
    return kind >= DESCRIBED_KIND_INT8 && kind <= DESCRIBED_KIND_FLOAT64 &&
           DescribedField_get_unit(field).len == 0;
}

/* A text that reads the same without quotation marks. */
static bool is_bare(struct capnp_text text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((uint8_t)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f || text.ptr[i] == '"') {
            return false;
        }
    }
    return text.len > 0 && text.ptr[0] != ' ' && text.ptr[text.len - 1] != ' ';
}

static void show_cell(struct show *show, const struct table *table, uint32_t row, uint32_t column)
{
    struct dyn_value element, value;
    DescribedField_r field =
        DescribedField_list_at(DescribedStruct_get_fields(table->s.st), column);
    if (dyn_element(table->list, row, &element) != CAPNP_OK ||
        dyn_get(table->s, field, element.value, &value) != CAPNP_OK) {
        fmt_to(show->sink, "(malformed)");
    } else if (value.kind == DESCRIBED_KIND_TEXT && (is_bare(value.text) || value.text.len == 0)) {
        fmt_to(show->sink, "%.*s", TEXT_ARGS(value.text));
    } else {
        show_value(show, &value, table->s.descriptor, &field, 1);
    }
}

static size_t cell_width(struct show *show, const struct table *table, uint32_t row,
                         uint32_t column)
{
    struct counting_sink count = {{show_count_columns}, 0};
    struct show counting = {&count.sink, show->caps, true};
    show_cell(&counting, table, row, column);
    return count.columns;
}

/* False: it is no table, or one that is too wide to be read. */
static bool measure_table(struct show *show, struct table *table)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(table->s.st);
    size_t all = 0;
    table->columns = DescribedField_list_len(fields);
    if (table->columns == 0 || table->columns > TABLE_FIELDS_MAX) {
        return false;
    }
    for (uint32_t column = 0; column < table->columns; column++) {
        DescribedField_r field = DescribedField_list_at(fields, column);
        if (DescribedField_get_is_group(field) || DescribedField_get_capability(field).len > 0 ||
            DescribedField_get_discriminant(field) != DYN_NO_DISCRIMINANT ||
            !is_plain_kind(DescribedType_get_kind(DescribedField_get_type(field)))) {
            return false;
        }
        size_t width = DescribedField_get_name(field).len;
        for (uint32_t row = 0; row < capnp_list_len(table->list->list); row++) {
            size_t cell = cell_width(show, table, row, column);
            width = cell > width ? cell : width;
        }
        table->widths[column] = width;
        all += width + 2;
    }
    return all <= LINE_COLUMNS_MAX;
}

static void pad(struct show *show, size_t columns)
{
    fmt_to(show->sink, "%*s", (int)columns, "");
}

static void show_head(struct show *show, const struct table *table)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(table->s.st);
    fmt_to(show->sink, "\n");
    for (uint32_t column = 0; column < table->columns; column++) {
        DescribedField_r field = DescribedField_list_at(fields, column);
        struct capnp_text name = DescribedField_get_name(field);
        size_t rest = table->widths[column] - name.len;
        pad(show, 2 + (is_number(field) ? rest : 0));
        fmt_to(show->sink, "%.*s", TEXT_ARGS(name));
        pad(show, is_number(field) || column == table->columns - 1 ? 0 : rest);
    }
}

static void show_rows(struct show *show, const struct table *table)
{
    DescribedField_list_r fields = DescribedStruct_get_fields(table->s.st);
    for (uint32_t row = 0; row < capnp_list_len(table->list->list); row++) {
        fmt_to(show->sink, "\n");
        for (uint32_t column = 0; column < table->columns; column++) {
            bool right = is_number(DescribedField_list_at(fields, column));
            size_t rest = table->widths[column] - cell_width(show, table, row, column);
            pad(show, 2 + (right ? rest : 0));
            show_cell(show, table, row, column);
            pad(show, right || column == table->columns - 1 ? 0 : rest);
        }
    }
}

bool show_table(struct show *show, const struct dyn_value *value, Descriptor_r descriptor)
{
    struct table table = {.s = dyn_struct_of(descriptor, DescribedType_get_element(value->type)),
                          .list = value};
    if (!measure_table(show, &table)) {
        return false;
    }
    show_head(show, &table);
    show_rows(show, &table);
    return true;
}
