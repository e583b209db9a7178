# Bootstrap only: from a fresh clone to the first flow and to the full check.
# Assumes Python >= 3.11, make and cargo. Everything else is `uv run poe …`, see CONTRIBUTING.md.

.PHONY: demo test
.SILENT:

demo: ## Run a flow over real data; its result is the only thing on stdout
	./scripts/bootstrap.sh python examples/seattle-weather/demo.py

test: ## Check everything. STRICT=1 also fails when something could not be run here
	./scripts/bootstrap.sh poe check $(if $(STRICT),--strict)
