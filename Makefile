# weir: `make` builds ./weir; `make demo` and `make check` install what they need and run.
# Quiet by default, V=1 shows commands. Objects go to build/<variant>/; VARIANT=asan|ubsan|tsan|debug|fuzz.

VARIANT  ?= release
V        ?= 0
Q        := $(if $(filter 1,$(V)),,@)
B        := build/$(VARIANT)
PREFIX   ?= /usr/local
WERROR   ?= $(if $(CI),-Werror,)
VERSION  := 0.1.0

# ---- what we stand on ---------------------------------------------------------------------------
LIBS     := libpcap libevent_core libcbor libconfuse libxxhash zlib libzstd openssl
PKG       = $(shell pkg-config $(1) $(LIBS) 2>/dev/null)

# Built in where the libraries are there: name of the define, packages, sources.
optional  = $(if $(shell pkg-config --exists $(2) 2>/dev/null && echo y),\
              $(eval LIBS += $(2))$(eval WITH += -DWITH_$(1)),$(eval WITHOUT += $(3)))
$(call optional,XDP,libxdp libbpf,$(wildcard probe/capture/xdp*.c))
$(call optional,NFQUEUE,libnetfilter_queue libmnl,probe/capture/nfqueue.c)
$(call optional,NFLOG,libnetfilter_log libmnl,probe/capture/nflog.c)
ifeq ($(filter libmnl,$(LIBS)),)
WITHOUT  += probe/capture/nfsock.c
endif
$(call optional,KAFKA,rdkafka,$(wildcard exporter/transport/kafka*.c))
ifneq ($(filter -DWITH_KAFKA,$(WITH)),)
WITHOUT  += exporter/transport/no_kafka.c
endif

# What lists them is compiled anew when that changes.
$(shell mkdir -p $(B) && { echo '$(WITH)' | cmp -s - $(B)/with || echo '$(WITH)' >$(B)/with; })
$(B)/probe/capture/capture.o $(B)/probe/version.o: $(B)/with

# ---- variants -----------------------------------------------------------------------------------
WARN     := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
            -Wno-sign-conversion $(WERROR)
CSTD     := -std=gnu11 -D_GNU_SOURCE -DWEIR_VERSION='"$(VERSION)"' -Iinclude -Icommon -Iprobe -Iexporter \
            $(WITH)
# two neighbouring stores are two stores: made one by shuffles they cost the packet path more
OPT_release := -O2 -g -fno-tree-slp-vectorize
OPT_debug   := -Og -g3 -DWEIR_DEBUG
OPT_asan    := -O1 -g -DWEIR_DEBUG -fsanitize=address -fno-omit-frame-pointer
OPT_ubsan   := -O1 -g -DWEIR_DEBUG -fsanitize=undefined -fno-sanitize-recover=all
OPT_san     := -O1 -g -DWEIR_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan    := -O1 -g -DWEIR_DEBUG -fsanitize=thread
OPT_cov     := -O0 -g --coverage
OPT_fuzz    := -O1 -g -DWEIR_DEBUG -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifeq ($(VARIANT),fuzz)
CC       := clang
endif
CFLAGS   += $(CSTD) $(WARN) $(OPT_$(VARIANT)) -fstack-protector-strong -pthread
LDFLAGS  += $(filter -fsanitize% --coverage,$(OPT_$(VARIANT))) -pthread

# Targets that build and then run build on all cores, unless make was told how many jobs.
JOBS     ?= $(shell nproc)
BUILD     = $(MAKE) --no-print-directory $(if $(findstring --jobserver,$(MAKEFLAGS)),,-j$(JOBS) -Otarget)

# ---- sources ------------------------------------------------------------------------------------
SRC      := $(filter-out $(WITHOUT),$(sort $(wildcard common/*.c probe/*.c probe/*/*.c exporter/*.c exporter/*/*.c)))
MAIN     := probe/main.c
OBJ      := $(patsubst %.c,$(B)/%.o,$(SRC))
LIBOBJ   := $(filter-out $(B)/probe/main.o,$(OBJ))
UNIT_LONG := test_session test_table test_decode test_session_spool test_session_tls test_udp
UNIT     := $(patsubst tests/unit/%.c,$(B)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ     := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

.DEFAULT_GOAL := all
.PHONY: all link-packages unit check asan ubsan san tsan fuzz fuzz-replay coverage lint format format-check layers docs \
        golden golden-update process reference interop hostile live demo install clean help deps-build deps-test deps-demo

all: weir

# For scripts that link with libweir.a: the pkg-config names of what it stands on here.
link-packages:
	@echo $(LIBS)

weir: $(B)/weir
	$(Q)cp -f $< $@

$(B)/weir: $(OBJ)
	@echo "  LD    $@"
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(call PKG,--libs) -lm

$(B)/libweir.a: $(LIBOBJ)
	@echo "  AR    $@"
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c
	@echo "  CC    $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(call PKG,--cflags) -MMD -MP -c -o $@ $<

-include $(OBJ:.o=.d)

# ---- what the targets install (a second run installs nothing) ------------------------------------
deps-build deps-demo deps-test:
	$(Q)tests/support/install-deps.sh $(patsubst deps-%,%,$@)

# ---- unit tests ----------------------------------------------------------------------------------
# Criterion loses the exit code of a leak: LeakSanitizer's reports go to files, which must not be there.
$(B)/unit/%: tests/unit/%.c $(B)/libweir.a $(wildcard tests/support/*.h tests/unit/*.h tests/unit/*.def)
	@echo "  TEST  $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Wno-missing-prototypes -Wno-conversion $(call PKG,--cflags) -Itests/support \
	    $(LDFLAGS) -o $@ $< $(B)/libweir.a $(call PKG,--libs) -lcriterion -lm

unit-build: $(UNIT)

# The longest begin first, so that none is left over at the end.
unit-run:
	$(Q)$(BUILD) unit-build
	$(Q)tests/support/run-unit.sh $(filter $(addprefix %/,$(UNIT_LONG)),$(UNIT)) \
	    $(filter-out $(addprefix %/,$(UNIT_LONG)),$(UNIT))

unit: deps-test
	$(Q)$(MAKE) --no-print-directory unit-run

# ---- sanitizers ----------------------------------------------------------------------------------
san: deps-test
	$(Q)$(MAKE) --no-print-directory san-ahead
	$(Q)$(MAKE) --no-print-directory VARIANT=san unit-run

asan: deps-test
	$(Q)$(MAKE) --no-print-directory VARIANT=asan unit-run build/asan/weir

ubsan: deps-test
	$(Q)$(MAKE) --no-print-directory VARIANT=ubsan unit-run build/ubsan/weir

tsan: deps-test
	$(Q)$(MAKE) --no-print-directory tsan-ahead
	$(Q)tests/stress/run.sh build/tsan

STRESS   := $(patsubst tests/stress/%.c,$(B)/stress/%,$(sort $(wildcard tests/stress/*.c)))
$(B)/stress/%: tests/stress/%.c $(B)/libweir.a
	@echo "  STRESS $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(call PKG,--cflags) $(LDFLAGS) -o $@ $< $(B)/libweir.a $(call PKG,--libs) -lm
stress-build: $(STRESS)

# ---- fuzzing: with libFuzzer, and the same targets over their corpora with a plain main -----------
FUZZ_SECONDS ?= 60
$(B)/fuzz/%: tests/fuzz/%.c $(B)/libweir.a
	@echo "  FUZZ  $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Wno-missing-prototypes -fsanitize=fuzzer $(call PKG,--cflags) $(LDFLAGS) \
	    -o $@ $< $(B)/libweir.a $(call PKG,--libs) -lm
$(B)/replay/%: tests/fuzz/%.c tests/fuzz/replay_main.c $(B)/libweir.a
	@echo "  FUZZ  $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) -Wno-missing-prototypes $(call PKG,--cflags) $(LDFLAGS) -o $@ $< \
	    tests/fuzz/replay_main.c $(B)/libweir.a $(call PKG,--libs) -lm

fuzz-build: $(patsubst %,$(B)/fuzz/%,$(FUZZ))
fuzz-replay-build: $(patsubst %,$(B)/replay/%,$(FUZZ))

fuzz: deps-test
	$(Q)$(BUILD) VARIANT=fuzz fuzz-build
	$(Q)tests/fuzz/run.sh fuzz build/fuzz/fuzz $(FUZZ_SECONDS)

fuzz-replay: deps-test
	$(Q)$(MAKE) --no-print-directory fuzz-replay-ahead
	$(Q)tests/fuzz/run.sh replay build/san/replay

# ---- whole-program tests -------------------------------------------------------------------------
golden: weir
	$(Q)tests/golden/run.py

conf-test: weir
	$(Q)tests/conf/run.sh

docs-test: weir
	$(Q)tests/docs/check.sh

process: weir
	$(Q)tests/process/run.py

reference: weir
	$(Q)tests/reference/test_meter.py
	$(Q)tests/reference/random_captures.py --weir ./weir
	$(Q)tests/reference/compare.py --weir ./weir

interop: weir
	$(Q)python3 -B -m unittest discover -q -s tests/interop
	$(Q)tests/interop/run.py

# Collectors, and weir, die under load: needs root, says what it skips.
streams: weir
	$(Q)tests/streams/test_ipfix_check.py --quiet
	$(Q)tests/streams/run.py

streams-full: weir
	$(Q)tests/streams/test_ipfix_check.py --quiet
	$(Q)tests/streams/run.py --full -v

# Live ports, in network namespaces: needs root, says what it skips.
live: weir
	$(Q)tests/live/run.py

live-full: weir
	$(Q)tests/live/run.py --full

hostile: deps-test
	$(Q)$(MAKE) --no-print-directory hostile-ahead
	$(Q)tests/hostile/run.py build/san/weir

layers:
	$(Q)tests/support/layers.sh

# Everything. CHECKS can be cut while working: make check CHECKS="unit golden".
CHECKS   ?= layers unit-run conf-test docs-test golden process reference interop streams live san hostile fuzz-replay tsan
check: deps-test
	$(Q)$(BUILD) all
	$(Q)MAKE="$(MAKE)" tests/support/check.sh $(CHECKS)

# What PART of check needs beside ./weir is PART-ahead: check.sh has it made while earlier parts wait.
san-ahead:
	$(Q)$(BUILD) VARIANT=san unit-build build/san/weir

hostile-ahead:
	$(Q)$(BUILD) VARIANT=san build/san/weir

fuzz-replay-ahead:
	$(Q)$(BUILD) VARIANT=san fuzz-replay-build

tsan-ahead:
	$(Q)$(BUILD) VARIANT=tsan build/tsan/weir stress-build

# ---- looking after the code ----------------------------------------------------------------------
C_FILES  := $(sort $(wildcard include/*.h common/*.[ch] probe/*.[ch] probe/*/*.[ch] exporter/*.[ch] exporter/*/*.[ch]))

lint:
	$(Q)cppcheck --quiet --enable=warning,portability,performance --inline-suppr --error-exitcode=1 \
	    --std=c11 --suppress=missingIncludeSystem -D_GNU_SOURCE -Iinclude -Icommon -Iprobe -Iexporter \
	    $(SRC)

format:
	$(Q)clang-format -i $(C_FILES) $(wildcard tests/*/*.[ch])

format-check:
	$(Q)clang-format --dry-run -Werror $(C_FILES) $(wildcard tests/*/*.[ch])

coverage: deps-test
	$(Q)$(MAKE) --no-print-directory VARIANT=cov unit-run
	$(Q)gcov -o . $(patsubst %.c,build/cov/%.gcda,$(filter-out $(MAIN),$(SRC))) 2>/dev/null | \
	    awk '/^File/{f=$$2} /^Lines/{print $$2, f}' | grep -v usr/include | sort -t: -k2 -n ; rm -f *.gcov

docs: weir
	$(Q)docs/gen.sh

golden-update:
	$(Q)pcaps/make_pcaps.py && git diff --stat pcaps tests/golden

# ---- measuring: never part of check --------------------------------------------------------------
bench: weir
	$(Q)tests/bench/run.py

bench-quick: weir
	$(Q)tests/bench/run.py --quick

# Live ports beside a counting loop and peers: needs root, some eight minutes, a quiet machine.
bench-live: weir
	$(Q)tests/bench/live.py --write

bench-micro: weir $(B)/libweir.a
	$(Q)tests/bench/micro.py

# ---- for users -----------------------------------------------------------------------------------
demo: deps-demo
	$(Q)$(BUILD) all
	$(Q)tests/support/demo.sh

install: weir
	install -D -m 755 weir $(DESTDIR)$(PREFIX)/sbin/weir
	install -D -m 644 probe/weir.8 $(DESTDIR)$(PREFIX)/share/man/man8/weir.8
	install -D -m 644 probe/probe.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/probe.conf.5
	install -D -m 644 probe.conf.example $(DESTDIR)$(PREFIX)/share/doc/weir/probe.conf.example

clean:
	rm -rf build weir

help:
	@sed -n 's/^# ---- \(.*[^-]\) *-*$$/\1/p; s/^\([a-z-]*\): .*/    \1/p' Makefile

.PHONY: streams streams-full live-full bench bench-quick bench-micro bench-live deps-build deps-demo deps-test unit-run unit-build stress-build fuzz-build fuzz-replay-build \
        san-ahead hostile-ahead fuzz-replay-ahead tsan-ahead conf-test docs-test
