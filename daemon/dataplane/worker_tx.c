/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How a worker sends by each port: by burst or by AF_XDP, and why; who is told of it. */
#include "dataplane/worker.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dataplane/batch.h"
#include "log.h"

/* Does this port want burst transmit, as far as configuration and driver go? Else says why not. */
static bool worker_wants_burst(struct xi_worker *w, const struct xi_xsk *xsk)
{
	const struct xi_port_config *config = &xsk->port->config;
	const char *why = NULL;

	if (config->role == XI_ROLE_HOST)
		why = "the host's side of xipsec0 builds packets of its own";
	else if (config->tx == XI_PORT_TX_XSK)
		why = "tx = xsk";
	else if (config->tx == XI_PORT_TX_AUTO && xsk->zerocopy)
		why = "the driver has zero-copy";
	if (why)
		snprintf(w->why[xsk->port->slot], XI_TX_WHY, "%s", why);
	return !why;
}

void xi_worker_open_burst(struct xi_worker *w)
{
	const struct xi_burst_config config = {
		.worker = w->config.index,
		.frames = &w->frames,
		.counts = w->counts,
		.now_ms = &w->now_ms,
	};
	char why[XI_BURST_WHY] = "";
	uint32_t slot;

	for (slot = 0; slot < XI_MAX_PORTS; slot++) {
		/* so far by_port names sockets */
		struct xi_xsk *xsk = (struct xi_xsk *)w->by_port[slot];
		struct xi_tx *tx = NULL;

		if (!xsk || !worker_wants_burst(w, xsk))
			continue;
		if (!w->burst && !*why)
			xi_burst_open(&w->burst, &config, why);
		if (w->burst)
			tx = xi_burst_add_port(w->burst, xsk);
		if (tx)
			w->by_port[slot] = tx;
		else
			snprintf(w->why[slot], XI_TX_WHY, "%s",
				 *why ? why : "the device cannot be entered into the program's map");
	}
}

void xi_worker_report(struct xi_worker *w)
{
	struct xi_tx_status status;
	uint64_t now = time(NULL);
	uint32_t slot;

	for (slot = 0; slot < XI_MAX_PORTS; slot++) {
		if (!w->by_port[slot])
			continue;
		xi_worker_tx_status(w, slot, &status);
		if ((status.paused == w->told[slot].paused && status.pauses == w->told[slot].pauses) ||
		    now < w->told[slot].second + XI_TX_LOG_SECONDS)
			continue;
		log_warnx("port %s: worker %u sends by %s (pauses of burst so far: %llu): %s",
			  w->config.ports[slot]->config.name, w->config.index,
			  status.paused ? "xsk for now" : status.path,
			  (unsigned long long)status.pauses, status.why);
		w->told[slot].paused = status.paused;
		w->told[slot].pauses = status.pauses;
		w->told[slot].second = now;
	}
}

void xi_worker_log_paths(struct xi_worker *w)
{
	struct xi_tx_status status;
	uint32_t slot;

	for (slot = 0; slot < XI_MAX_PORTS; slot++) {
		if (!w->by_port[slot])
			continue;
		xi_worker_tx_status(w, slot, &status);
		w->told[slot].paused = status.paused;
		if (w->config.ports[slot]->config.tx == XI_PORT_TX_BURST && strcmp(status.path, "burst"))
			log_warnx("port %s: tx = burst, and worker %u sends by %s: %s",
				  w->config.ports[slot]->config.name, w->config.index, status.path,
				  status.why);
		else
			log_info("port %s: worker %u sends by %s: %s",
				 w->config.ports[slot]->config.name, w->config.index, status.path,
				 status.why);
	}
}

void xi_worker_tx_status(const struct xi_worker *w, uint32_t slot, struct xi_tx_status *status)
{
	const struct xi_tx *tx = w->by_port[slot];

	*status = (struct xi_tx_status){ .path = "none" };
	if (!tx)
		return;
	tx->ops->status(tx, status);
	if (*w->why[slot])
		snprintf(status->why, sizeof(status->why), "%s", w->why[slot]);
}
