# The front door. Everything real is in CMakeLists.txt and scripts/; this file only names it.
PRESET ?= release
JOBS   ?= $(shell nproc)

build:
	@test -f build/$(PRESET)/build.ninja || cmake --preset $(PRESET)
	@cmake --build build/$(PRESET) -j $(JOBS)

.PHONY: build
