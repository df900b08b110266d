# SPDX-License-Identifier: MIT
# The book: docs/ and the reference pages that the generator prints from the schema.

.PHONY: docs
docs: $(PLUGIN) | $(DEPS) ## build the book into build/docs
	@tools/check docs
	@rm -rf build/docs build/interfaces && mkdir -p build/interfaces
	@capnp compile -Ischema --src-prefix=schema -o- $(SCHEMAS) | $(PLUGIN) --docs build/interfaces
	@tools/docs build/docs build/interfaces
