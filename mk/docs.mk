# SPDX-License-Identifier: MIT
# The book: docs/ and the reference pages that the generator prints from the schema.

.PHONY: docs
docs: $(PLUGIN) | $(DEPS) ## build the book into build/docs
	@tools/check docs
	@rm -rf build/docs build/docs.md && mkdir -p build/docs.md
	@capnp compile -Ischema --src-prefix=schema -o- $(SCHEMAS) | $(PLUGIN) --docs build/docs.md
	@tools/docs build/docs build/docs.md
