# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
#   make            build everything into build/
#   make demo       packages, build, and a two-gateway demonstration (root)
#   make demo-ike   the same with strongSwan on both gateways
#   make check      packages, build, and every test (root); check-unit, check-prog ... one layer
#   make fuzz       libFuzzer on packets and XFRM messages, FUZZ_SECONDS (300) each
#   make bench      what a gateway carries (root, two CPUs): doc/benchmarks.md; BENCH_ARGS="-r ROUNDS ..."
#   make bench-peers    the same beside other people's gateways, whose packages it installs
#   make bench-scale    a million SAs behind a table of 1,024: rates, misses, floods; BENCH_ARGS="-r ROUNDS ... SECTION"
#   make bench-check    a short run's ratios against tests/bench/baseline.json, which make bench-baseline makes
#   make install    DESTDIR and PREFIX as usual
#   make deb        a Debian package, build/xipsec_VERSION_ARCH.deb

CC ?= gcc
BPF_CLANG ?= clang-14
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PREFIX ?= /usr
B ?= build

PKGS = libbpf libxdp liburcu-qsbr liburcu-cds libevent jansson inih libcrypto libnl-3.0 libnl-route-3.0
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter
ifeq ($(CI),true)
WARN += -Werror
endif
OPT ?= -O2 -g
SAN ?=
XI_CPPFLAGS = -Iinclude -Idaemon -I$(B)/bpf -D_GNU_SOURCE $(shell pkg-config --cflags $(PKGS)) $(CPPFLAGS)
XI_CFLAGS = -std=gnu11 $(OPT) $(WARN) $(SAN) -fno-strict-aliasing -fstack-protector-strong $(CFLAGS)
LDFLAGS ?= -Wl,-z,relro,-z,now
XI_LIBS = $(shell pkg-config --libs $(PKGS)) -lIPSec_MB -lpthread
BPF_CFLAGS = -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter -Werror -Iinclude \
	-isystem /usr/include/$(shell uname -m)-linux-gnu

LIB_SRC = $(filter-out daemon/main.c,$(wildcard daemon/*.c)) \
	$(wildcard daemon/sad/*.c daemon/source/*.c daemon/cache/*.c daemon/ipsec/*.c daemon/crypto/*.c \
	daemon/dataplane/*.c daemon/control/*.c)
CLI_SRC = $(wildcard daemon/control/cli/*.c)
PRELOAD_SRC = $(wildcard daemon/source/preload/*.c)
LIB_OBJ = $(LIB_SRC:%.c=$(B)/%.o)
CLI_OBJ = $(CLI_SRC:%.c=$(B)/%.o)
SKEL = $(B)/bpf/xipsec.skel.h $(B)/bpf/burst.skel.h
BPF_SRC = $(wildcard bpf/*.bpf.c bpf/*.bpf.h)
HDRS = $(wildcard include/xipsec/*.h)

PROGS = $(B)/xipsecd $(B)/xipsec $(B)/libxipsec-xfrm.so
UNIT = $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/test_*.c))
PROG = $(patsubst tests/prog/%.c,$(B)/tests/prog/%,$(wildcard tests/prog/test_*.c))
TEST_LIB = $(patsubst %.c,$(B)/%.o,$(wildcard tests/lib/*.c))
NET_TOOLS = $(B)/tests/net/meta $(B)/tests/net/flood $(B)/tests/net/spread.bpf.o $(B)/tests/net/framer.bpf.o
FLOOD_SRC = $(filter-out %.bpf.c,$(wildcard tests/net/flood*.c))
FUZZ = $(patsubst tests/fuzz/%.c,$(B)/tests/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_CLANG ?= clang-14
ADMIT_SIM_SRC = tests/bench/admit_sim.c $(wildcard tests/bench/admit/*.c)
GEN_SRC = tests/bench/gen.c tests/bench/gen_sink.c tests/bench/gen_cpu.c
SCALE_GEN_SRC = $(addprefix tests/bench/,scale_gen.c scale_order.c scale_sas.c gen_cpu.c)
WORKER_SRC = $(addprefix tests/bench/,worker.c worker_bed.c worker_frames.c)
INSTALL_SRC = tests/bench/install.c tests/bench/scale_sas.c
BENCH = $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(filter-out %.bpf.c %/gen_sink.c %/gen_cpu.c %/scale_order.c \
	%/scale_sas.c %/worker_bed.c %/worker_frames.c,$(wildcard tests/bench/*.c)))

all: $(PROGS)

define SKELETON
	@mkdir -p $(@D)
	$(BPFTOOL) gen skeleton $< name $*_bpf > $@.tmp && mv $@.tmp $@
endef
$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(BPF_SRC) $(HDRS)
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_CFLAGS) -c $< -o $@
$(B)/bpf/%.skel.h: $(B)/bpf/%.bpf.o
	$(SKELETON)

$(B)/%.o: %.c | $(SKEL)
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) $(XI_CFLAGS) -MMD -MP -c $< -o $@

$(B)/libxipsec.a: $(LIB_OBJ)
	rm -f $@ && ar rcs $@ $^

$(B)/xipsecd: $(B)/daemon/main.o $(B)/libxipsec.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(XI_LIBS)

$(B)/xipsec: $(CLI_OBJ) $(B)/libxipsec.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $^ $(XI_LIBS)

$(B)/libxipsec-xfrm.so: $(PRELOAD_SRC) $(wildcard daemon/source/preload/*.h) daemon/source/proto.h
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) -std=gnu11 -O2 -g $(WARN) -fPIC -shared -fno-builtin -fexceptions \
		-fvisibility=hidden -fno-strict-aliasing -fstack-protector-strong \
		-Wl,-z,now $(LDFLAGS) -o $@ $(PRELOAD_SRC) -ldl

$(B)/tests/lib.a: $(TEST_LIB)
	rm -f $@ && ar rcs $@ $^

$(B)/tests/unit/% $(B)/tests/prog/%: tests/*/%.c
$(B)/tests/unit/test_mirror_policy: LDFLAGS += -Wl,--wrap=xi_spd_release
$(B)/tests/%: tests/%.c $(B)/tests/lib.a $(B)/libxipsec.a $(SKEL)
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) -Itests/lib $(XI_CFLAGS) $(LDFLAGS) -MMD -MP -MF $@.d -o $@ $< $(B)/tests/lib.a \
		$(B)/libxipsec.a $(XI_LIBS) -lcmocka -lm

# the preload library inside a program, under ThreadSanitizer
$(B)/tests/interop/preload_tsan: tests/interop/preload_requests.c $(PRELOAD_SRC) $(wildcard daemon/source/preload/*.h)
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) -std=gnu11 -O1 -g $(WARN) -fsanitize=thread -fexceptions -fno-builtin -o $@ \
		$(filter %.c,$^) -ldl -lpthread
$(B)/tests/interop/preload_libnl: XI_LIBS += -lnl-xfrm-3

$(B)/tests/%.bpf.o: tests/%.bpf.c $(HDRS)
	@mkdir -p $(@D)
	$(BPF_CLANG) $(BPF_CFLAGS) -c $< -o $@
$(B)/tests/bench/gen.bpf.o: tests/bench/gen.h
$(B)/tests/bench/scale_gen.bpf.o: tests/bench/scale_gen.h
$(B)/tests/net/flood.bpf.o: tests/net/flood_abi.h
$(B)/bpf/%.skel.h: $(B)/tests/bench/%.bpf.o
	$(SKELETON)
$(B)/bpf/%.skel.h: $(B)/tests/net/%.bpf.o
	$(SKELETON)
$(B)/tests/bench/gen: $(GEN_SRC) $(wildcard tests/bench/gen*.h) $(B)/bpf/gen.skel.h
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) $(XI_CFLAGS) $(LDFLAGS) -o $@ $(GEN_SRC) $(XI_LIBS)
$(B)/tests/bench/scale_gen: $(SCALE_GEN_SRC) $(wildcard tests/bench/*.h) $(B)/bpf/scale_gen.skel.h
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) $(XI_CFLAGS) $(LDFLAGS) -o $@ $(SCALE_GEN_SRC) $(XI_LIBS) -lm
$(B)/tests/bench/install: $(INSTALL_SRC) $(wildcard tests/bench/*.h)
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) $(XI_CFLAGS) $(LDFLAGS) -o $@ $(INSTALL_SRC) $(XI_LIBS)
$(B)/tests/bench/worker: $(WORKER_SRC) tests/bench/worker_bed.h $(B)/tests/lib.a $(B)/libxipsec.a
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) -Itests/lib $(XI_CFLAGS) $(LDFLAGS) -o $@ $(WORKER_SRC) $(B)/tests/lib.a $(B)/libxipsec.a \
		$(XI_LIBS) -lcmocka -lm
$(B)/tests/bench/admit_sim: $(ADMIT_SIM_SRC) $(wildcard tests/bench/admit/*.h) $(B)/libxipsec.a
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) $(XI_CFLAGS) $(LDFLAGS) -o $@ $(ADMIT_SIM_SRC) $(B)/libxipsec.a $(XI_LIBS) -lm
$(B)/tests/net/meta: $(B)/bpf/meta.skel.h
$(B)/tests/net/flood: $(FLOOD_SRC) tests/net/flood.h tests/net/flood_abi.h $(B)/bpf/flood.skel.h
	@mkdir -p $(@D)
	$(CC) $(XI_CPPFLAGS) $(XI_CFLAGS) $(LDFLAGS) -o $@ $(FLOOD_SRC) $(XI_LIBS)

# the daemon under the sanitizers, for tests/net/test_asan.sh
asan:
	$(MAKE) B=$(B)/asan SAN='-fsanitize=address,undefined -fno-omit-frame-pointer' OPT='-O1 -g' \
		$(B)/asan/xipsecd

# libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer; tests/lib/test_fuzz.sh runs each target for 30 s
FUZZ_LIB = $(patsubst %.c,$(B)/fuzz/%.o,$(wildcard daemon/ipsec/*.c daemon/crypto/*.c) \
	daemon/source/carries.c $(wildcard daemon/source/xfrm_*.c) \
	$(filter-out tests/fuzz/fuzz_%.c,$(wildcard tests/fuzz/*.c)))
FUZZ_FLAGS = -std=gnu11 -g -O1 $(WARN) -fno-strict-aliasing -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
$(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CLANG) $(XI_CPPFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@
$(FUZZ): $(B)/tests/fuzz/%: $(B)/fuzz/tests/fuzz/%.o $(FUZZ_LIB)
	@mkdir -p $(@D)
	$(FUZZ_CLANG) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(XI_LIBS)
# what is found anew goes to $(B)/corpus; make fuzz-merge puts what of it reaches more into the tree
fuzz: $(FUZZ)
	set -e; for f in $(FUZZ); do n=$${f##*/fuzz_}; mkdir -p $(B)/corpus/$$n; \
		$$f -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -print_final_stats=1 $(B)/corpus/$$n \
		tests/fuzz/corpus/$$n; done
fuzz-merge: $(FUZZ)
	tests/fuzz/merge.sh $(B)
FUZZ_SECONDS ?= 300

tests: $(PROGS) $(UNIT) $(PROG) $(NET_TOOLS) $(FUZZ) $(BENCH) asan

deps:
	@tests/lib/deps.sh
# As many jobs as there are CPUs, unless make was told how many
JOBS = $(if $(findstring j,$(filter -j% --jobserver%,$(MAKEFLAGS))),,-j$(shell nproc))
# Test files at a time
TEST_JOBS ?= 2
check: deps
	$(MAKE) $(JOBS) tests
	tests/run.sh -j $(TEST_JOBS)
check-%:
	$(MAKE) $(JOBS) tests
	tests/run.sh -j $(TEST_JOBS) $*
demo: deps
	$(MAKE) all
	tests/net/demo.sh
demo-ike: deps
	$(MAKE) all
	tests/net/demo_ike.sh
# The tests of layer vm, which `check` runs too, and all of layer net, under emulation: hours
vmtest: deps check-vm
	vmtest/run_net
bench: deps
	$(MAKE) all $(BENCH)
	XI_BUILD=$(B) tests/bench/run.sh $(BENCH_ARGS)
bench-peers:
	@tests/lib/deps.sh peers
	$(MAKE) all $(BENCH)
	XI_BUILD=$(B) tests/bench/run.sh -p peers -o $(B)/bench-peers $(BENCH_ARGS)
bench-scale: deps
	$(MAKE) all $(BENCH)
	XI_BUILD=$(B) tests/bench/scale.sh $(BENCH_ARGS)
BENCH_BASELINE ?= tests/bench/baseline.json
bench-check bench-baseline: deps
	$(MAKE) all $(BENCH)
	XI_BUILD=$(B) tests/bench/regress.sh $(if $(filter bench-baseline,$@),--write) $(BENCH_BASELINE) \
		$(B)/bench-check $(BENCH_ARGS)

install: all
	install -Dm755 $(B)/xipsecd $(DESTDIR)$(PREFIX)/sbin/xipsecd
	install -Dm755 $(B)/xipsec $(DESTDIR)$(PREFIX)/sbin/xipsec
	install -Dm644 $(B)/libxipsec-xfrm.so $(DESTDIR)$(PREFIX)/lib/xipsec/libxipsec-xfrm.so
	for m in doc/*.8; do install -Dm644 $$m $(DESTDIR)$(PREFIX)/share/man/man8/$${m##*/} || exit; done
	for m in doc/*.5; do install -Dm644 $$m $(DESTDIR)$(PREFIX)/share/man/man5/$${m##*/} || exit; done
	for f in dist/*.service.d/*.conf; do \
		install -Dm644 $$f $(DESTDIR)$(PREFIX)/share/xipsec/systemd/$${f#dist/} || exit; done
	for f in dist/apparmor/*; do \
		install -Dm644 $$f $(DESTDIR)$(PREFIX)/share/xipsec/apparmor/$${f##*/} || exit; done
	install -Dm644 dist/xipsec.service $(DESTDIR)$(PREFIX)/lib/systemd/system/xipsec.service
	install -Dm644 dist/xipsec.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/xipsec.conf
	install -Dm644 dist/xipsec.conf.example $(DESTDIR)$(PREFIX)/share/doc/xipsec/examples/xipsec.conf
	install -Dm644 dist/xipsec.bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/xipsec
	ln -sf xipsec $(DESTDIR)$(PREFIX)/share/bash-completion/completions/xipsecd
	install -Dm755 dist/ike-check $(DESTDIR)$(PREFIX)/lib/xipsec/ike-check
	for d in sbin lib share; do \
		sed -i "s|/usr/$$d/xipsec|$(PREFIX)/$$d/xipsec|g" $(DESTDIR)$(PREFIX)/share/xipsec/*/*.d/*.conf \
			$(DESTDIR)$(PREFIX)/share/xipsec/apparmor/* $(DESTDIR)$(PREFIX)/lib/xipsec/ike-check \
			$(DESTDIR)$(PREFIX)/lib/systemd/system/xipsec.service || exit; done

# as for any package, PREFIX is /usr
deb: all
	rm -rf $(B)/deb $(B)/xipsec_*.deb
	$(MAKE) -s install PREFIX=/usr DESTDIR=$(B)/deb
	dist/debian/build $(B)/deb $(B)

clean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' -type f 2>/dev/null)
.PHONY: all tests asan fuzz fuzz-merge deps check demo demo-ike vmtest bench bench-peers bench-scale bench-check bench-baseline install deb clean
.SECONDARY:
