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
LIBS     := libpcap libevent_core libcbor libconfuse libxxhash zlib libzstd
ifneq ($(MAKECMDGOALS),)
ifeq ($(filter-out clean deps-% help,$(MAKECMDGOALS)),)
NEED_LIBS := no
endif
endif
PKG       = $(shell pkg-config $(1) $(LIBS) 2>/dev/null)

# ---- variants -----------------------------------------------------------------------------------
WARN     := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
            -Wno-sign-conversion $(WERROR)
CSTD     := -std=gnu11 -D_GNU_SOURCE -DWEIR_VERSION='"$(VERSION)"' -Iinclude -Icommon -Iprobe -Iexporter
OPT_release := -O2 -g
OPT_debug   := -Og -g3 -DWEIR_DEBUG
OPT_asan    := -O1 -g -DWEIR_DEBUG -fsanitize=address -fno-omit-frame-pointer
OPT_ubsan   := -O1 -g -DWEIR_DEBUG -fsanitize=undefined -fno-sanitize-recover=all
OPT_san     := -O1 -g -DWEIR_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT_tsan    := -O1 -g -DWEIR_DEBUG -fsanitize=thread
OPT_fuzz    := -O1 -g -DWEIR_DEBUG -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
ifeq ($(VARIANT),fuzz)
CC       := clang
endif
CFLAGS   += $(CSTD) $(WARN) $(OPT_$(VARIANT)) -fstack-protector-strong -pthread
LDFLAGS  += $(filter -fsanitize%,$(OPT_$(VARIANT))) -pthread

# ---- sources ------------------------------------------------------------------------------------
SRC      := $(sort $(wildcard common/*.c probe/*.c probe/*/*.c exporter/*.c exporter/*/*.c))
MAIN     := probe/main.c
OBJ      := $(patsubst %.c,$(B)/%.o,$(SRC))
LIBOBJ   := $(filter-out $(B)/probe/main.o,$(OBJ))
UNIT     := $(patsubst tests/unit/%.c,$(B)/unit/%,$(sort $(wildcard tests/unit/test_*.c)))
FUZZ     := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))

.DEFAULT_GOAL := all
.PHONY: all unit check asan ubsan san tsan fuzz fuzz-replay coverage lint format format-check layers docs \
        golden golden-update reference interop hostile live demo install clean help deps-build deps-test deps-demo

all: weir

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

# ---- unit tests ---------------------------------------------------------------------------------
$(B)/unit/%: tests/unit/%.c $(B)/libweir.a tests/support/flows.h
	@echo "  TEST  $<"
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(call PKG,--cflags) -Itests/support -Wno-missing-prototypes -Wno-conversion \
	    $(LDFLAGS) -o $@ $< $(B)/libweir.a $(call PKG,--libs) -lcriterion -lm

unit-build: $(UNIT)
