/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "source/kernel_esp.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* -1: it cannot be read, or says nothing. */
static int file_has(const char *path, const char *const *words)
{
	char line[4096];
	FILE *file = fopen(path, "re");
	int found = -1;

	if (!file)
		return -1;
	while (found != 1 && fgets(line, sizeof(line), file)) {
		found = 0;
		for (unsigned int i = 0; words[i] && !found; i++)
			found = strstr(line, words[i]) != NULL;
	}
	fclose(file);
	return found;
}

enum xi_kernel_esp xi_kernel_esp(const char *root, const char *release)
{
	/* of net/ipv4/esp4.c and net/ipv6/esp6.c, in modules and without */
	static const char *const symbols[] = {" esp_init_state", " esp6_init_state", NULL};
	static const char *const modules[] = {"/esp4.ko", "/esp6.ko", NULL};
	char path[PATH_MAX];
	int symbol, module;

	snprintf(path, sizeof(path), "%s/proc/kallsyms", root);
	symbol = file_has(path, symbols);
	if (symbol == 1)
		return XI_KERNEL_ESP_THERE;
	snprintf(path, sizeof(path), "%s/lib/modules/%s/modules.builtin", root, release);
	if (file_has(path, modules) == 1)
		return XI_KERNEL_ESP_THERE;
	snprintf(path, sizeof(path), "%s/lib/modules/%s/modules.dep", root, release);
	module = file_has(path, modules);
	if (module == 1)
		return XI_KERNEL_ESP_MODULE;
	return symbol ? XI_KERNEL_ESP_HIDDEN : XI_KERNEL_ESP_NONE;
}
