/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/preload/real.h"

#include <dlfcn.h>
#include <stdatomic.h>

static const char *const names[] = {
#define X(fn) [SHIM_FN_##fn] = #fn,
	SHIM_FUNCTIONS(X)
#undef X
};
static _Atomic(void *) reals[SHIM_FN_COUNT];

void *shim_real(enum shim_function fn)
{
	void *real = atomic_load_explicit(&reals[fn], memory_order_relaxed);

	if (!real) {
		real = dlsym(RTLD_NEXT, names[fn]);
		atomic_store_explicit(&reals[fn], real, memory_order_relaxed);
	}
	return real;
}

/* Early: afterwards no hook takes the dynamic linker's lock, in a signal handler or elsewhere. */
__attribute__((constructor(101))) static void reals_find(void)
{
	for (int fn = 0; fn < SHIM_FN_COUNT; fn++)
		shim_real(fn);
}
