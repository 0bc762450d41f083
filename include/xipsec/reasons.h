/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every way a packet can end, once: value, name, kind and the operator's text.
 * A dropped packet adds one to exactly one reason of kind DROP (invariant "counted").
 * EVENT reasons describe what happened to a packet that goes on; they may add up freely.
 * New reasons go at the end of their block: values are an ABI of the pinned `stats` maps.
 */
#ifndef XIPSEC_REASONS_H
#define XIPSEC_REASONS_H

/* X(value, SYMBOL, "name", KIND, "what the operator reads") */
#define XI_REASONS(X) \
	X(0, NONE, "none", EVENT, "nothing to report") \
	/* XDP: events */ \
	X(1, SA_HIT, "sa_hit", EVENT, "inbound packet whose SA was in sa_cache") \
	X(2, SA_MISS, "sa_miss", EVENT, "inbound packet whose SA is known but was not in sa_cache") \
	X(3, FLOW_HIT, "flow_hit", EVENT, "packet whose flow was in flow_cache") \
	X(4, FLOW_MISS, "flow_miss", EVENT, "packet whose flow was not in flow_cache") \
	X(5, MISS_SENT, "miss_sent", EVENT, "miss message raised") \
	X(6, MISS_DEDUP, "miss_dedup", EVENT, "miss message held back: the same one was just sent") \
	X(7, MISS_LIMITED, "miss_limited", EVENT, "miss message held back: rate limit") \
	X(8, MISS_LOST, "miss_lost", EVENT, "miss message lost: perf ring full") \
	X(9, PASS_FOREIGN, "pass_foreign", EVENT, "left to the kernel: nothing for IPsec") \
	X(10, PASS_BYPASS, "pass_bypass", EVENT, "left to the kernel: policy says bypass") \
	X(11, PASS_KERNEL, "pass_kernel", EVENT, "left to the kernel: it has the SA, or a policy that is not carried") \
	X(12, PASS_UNKNOWN_SPI, "pass_unknown_spi", EVENT, "ESP or AH of an unknown SPI left to the kernel") \
	X(13, PASS_IKE, "pass_ike", EVENT, "IKE or NAT keepalive for the host itself, exempt from policy") \
	X(14, META_STRIPPED, "meta_stripped", EVENT, "metadata that a packet arrived with was discarded") \
	X(15, TO_WORKER, "to_worker", EVENT, "handed to a worker") \
	X(16, TO_HOSTIF, "to_xipsec0", EVENT, "about to leave in clear, and sent through xipsec0 to be protected") \
	/* XDP and tc: drops */ \
	X(32, DROP_UNKNOWN_SPI, "unknown_spi", DROP, "no SA for this destination and SPI") \
	X(33, DROP_MALFORMED, "malformed", DROP, "headers cut short or contradictory") \
	X(35, DROP_POLICY, "policy_discard", DROP, "policy says discard") \
	X(36, DROP_CLEAR_IN, "clear_in", DROP, "arrived in clear though policy wants it protected") \
	X(37, DROP_CLEAR_OUT, "clear_out", DROP, "was about to leave in clear though policy wants it protected") \
	X(38, DROP_SA_METHOD, "sa_method_drop", DROP, "the SA's method is DROP") \
	X(39, DROP_NO_WORKER, "no_worker", DROP, "no worker socket on this queue: daemon not running") \
	X(40, DROP_NO_PORT, "no_port", DROP, "program attached to a device that is no port") \
	X(41, DROP_META_ROOM, "meta_room", DROP, "no room for metadata in front of the packet") \
	X(42, DROP_RESERVED_SPI, "reserved_spi", DROP, "SPI 0 to 255 on the wire (RFC 4302 section 2.4, RFC 4303 section 2.1)") \
	X(43, DROP_LOOP, "loop", DROP, "protected already, and routed back through xipsec0: the route to the peer must not lead there") \
	/* worker: events */ \
	X(64, SLOW_IN, "slow_in", EVENT, "inbound packet done by the SLOW method") \
	X(65, SLOW_OUT, "slow_out", EVENT, "outbound packet done by the SLOW method") \
	X(66, FAST_IN, "fast_in", EVENT, "inbound packet done from a context slot") \
	X(67, FAST_OUT, "fast_out", EVENT, "outbound packet done from a context slot") \
	X(68, TX_DIRECT, "tx_direct", EVENT, "handed to a port, to be sent straight out of it") \
	X(69, TX_HOST, "tx_host", EVENT, "handed to the host through xipsec0") \
	X(70, TX_RAW, "tx_raw", EVENT, "sent through the host's stack: next hop not resolved") \
	X(71, WORKER_BYPASS, "worker_bypass", EVENT, "policy said bypass; handed to the host, or sent on if it came from there") \
	X(72, DUMMY, "dummy", EVENT, "ESP dummy packet swallowed (RFC 4303 section 2.6)") \
	X(73, TX_BURST, "tx_burst", EVENT, "sent by burst transmit (of tx_direct)") \
	X(74, BURST_CALL, "burst_call", EVENT, "burst transmit call made") \
	X(75, BURST_SLOW, "burst_slow", EVENT, "burst transmit call above its time limit") \
	X(76, BURST_PAUSE, "burst_pause", EVENT, "burst transmit paused, AF_XDP sends meanwhile: see `xipsec port`") \
	/* control thread: events */ \
	X(80, SA_FILLED, "sa_filled", EVENT, "SA put into sa_cache in answer to a miss") \
	X(81, SA_EVICTED, "sa_evicted", EVENT, "SA taken out of sa_cache to make room") \
	X(82, SA_DENIED, "sa_denied", EVENT, "SA left to the SLOW method: no context slot for it") \
	X(83, FLOW_FILLED, "flow_filled", EVENT, "verdict put into flow_cache in answer to a miss") \
	X(84, ACQUIRE, "acquire", EVENT, "flow without an SA reported to the key managers") \
	/* worker: drops */ \
	X(96, DROP_SHORT, "esp_short", DROP, "ESP packet shorter than its SA demands, or not a multiple of the cipher's block") \
	X(97, DROP_REPLAY, "replay", DROP, "sequence number seen before") \
	X(98, DROP_REPLAY_OLD, "replay_old", DROP, "sequence number left of the replay window") \
	X(99, DROP_SEQ_ZERO, "seq_zero", DROP, "sequence number 0") \
	X(100, DROP_ICV, "icv_bad", DROP, "integrity check failed") \
	X(101, DROP_PADDING, "padding", DROP, "pad length beyond the packet, or padding bytes wrong") \
	X(102, DROP_INNER, "inner_bad", DROP, "decrypted packet is malformed or of another protocol than its SA carries") \
	X(103, DROP_INNER_ECN, "inner_ecn", DROP, "CE on the outer header, not-ECT inside (RFC 6040 section 4.2)") \
	X(104, DROP_IN_POLICY, "in_policy", DROP, "decrypted packet not allowed by selector or policy") \
	X(105, DROP_SA_GONE, "sa_gone", DROP, "SA was deleted while the packet was on its way") \
	X(106, DROP_NO_SA, "no_sa", DROP, "policy wants protection and no SA serves it") \
	X(107, DROP_SEQ_EXHAUSTED, "seq_exhausted", DROP, "sequence numbers of the SA are used up") \
	X(108, DROP_SEQ_RESERVE, "seq_reserve", DROP, "no reserved sequence number left; the reserve on disk is being extended") \
	X(109, DROP_TOO_BIG, "too_big", DROP, "packet does not fit the outgoing device or the frame once encapsulated") \
	X(111, DROP_NO_NEXTHOP, "no_nexthop", DROP, "no route, and the host would not take it") \
	X(112, DROP_TX_FULL, "tx_full", DROP, "transmit ring full") \
	X(113, DROP_HOST_FULL, "host_full", DROP, "the host's stack did not take the packet") \
	X(114, DROP_CRYPTO, "crypto_error", DROP, "crypto engine error") \
	X(115, DROP_WORKER_META, "worker_meta", DROP, "packet reached a worker without valid metadata") \
	X(116, DROP_SA_EXPIRED, "sa_expired", DROP, "hard lifetime of the SA reached") \
	X(117, DROP_WORKER_POLICY, "worker_discard", DROP, "policy lookup of the worker said discard") \
	X(118, DROP_WORKER_MALFORMED, "worker_malformed", DROP, "headers the worker cannot parse") \
	X(119, DROP_CLEAR_IN_WORKER, "worker_clear_in", DROP, "arrived in clear though policy wants it protected (found by a worker)") \
	X(120, DROP_SA_MODE, "sa_mode", DROP, "the SA's mode or family does not carry this packet") \
	X(121, DROP_RX_FULL, "rx_full", DROP, "receive ring full or out of frames: the worker could not keep up") \
	X(122, DROP_BURST_LOST, "burst_lost", DROP, "the outgoing device did not take a frame of a burst: receiver's ring full, or device down") \
	X(123, DROP_FRAGMENT_BAD, "fragment_bad", DROP, "fragment that contradicts itself or others of its packet") \
	X(124, DROP_FRAGMENT_OVERLAP, "fragment_overlap", DROP, "fragment repeated, or of a packet whose fragments overlap") \
	X(125, DROP_FRAGMENT_TIMEOUT, "fragment_timeout", DROP, "fragment of a packet that did not become whole in time") \
	X(126, DROP_FRAGMENT_FULL, "fragment_full", DROP, "fragment given up for newer ones: reassembly memory, or its sender's share, full") \
	/* worker: outcomes of the receive record (enum xi_crypto_status), one for each SA a packet came through */ \
	X(128, STATUS_SUCCESS, "crypto_success", EVENT, "received: integrity verified, decrypted") \
	X(129, STATUS_GENERIC_ERROR, "crypto_generic_error", EVENT, "received: the crypto engine failed") \
	X(130, STATUS_TRANSPORT_AH_AUTH_FAILED, "crypto_transport_ah_auth_failed", EVENT, "received: ICV of AH in transport mode wrong") \
	X(131, STATUS_TRANSPORT_ESP_AUTH_FAILED, "crypto_transport_esp_auth_failed", EVENT, "received: ICV of ESP in transport mode wrong") \
	X(132, STATUS_TUNNEL_AH_AUTH_FAILED, "crypto_tunnel_ah_auth_failed", EVENT, "received: ICV of AH in tunnel mode wrong") \
	X(133, STATUS_TUNNEL_ESP_AUTH_FAILED, "crypto_tunnel_esp_auth_failed", EVENT, "received: ICV of ESP in tunnel mode wrong") \
	X(134, STATUS_INVALID_PACKET_SYNTAX, "crypto_invalid_packet_syntax", EVENT, "received: verified, but trailer or inner packet contradict themselves") \
	X(135, STATUS_INVALID_PROTOCOL, "crypto_invalid_protocol", EVENT, "received: verified, but of a protocol that the SA does not carry") \
	X(136, STATUS_NOT_DONE, "crypto_not_done", EVENT, "received, and dropped before any crypto") \
	/* worker: more events */ \
	X(137, REASSEMBLED, "reassembled", EVENT, "packet put together from fragments before its integrity was checked") \
	X(138, FRAGMENTED, "fragmented", EVENT, "packet sent in fragments") \
	X(139, MAPPING, "mapping", EVENT, "verified packet of UDP encapsulation came from another address or port") \
	X(140, DUMMY_SENT, "dummy_sent", EVENT, "ESP dummy packet sent (RFC 4303 section 2.6)") \
	/* control thread: more events */ \
	X(141, PATH_MTU, "path_mtu", EVENT, "path MTU of an SA lowered by ICMP") \
	/* worker: more events */ \
	X(142, FLOW_FORGOTTEN, "flow_forgotten", EVENT, "verdict taken out of flow_cache: its SA is gone, or a newer one took over") \
	X(143, HELD, "held", EVENT, "packet held: a key manager is about to bring its SA") \
	X(144, HELD_DONE, "held_done", EVENT, "packet no longer held: the SA came or went, or policy changed") \
	/* control thread: more events */ \
	X(145, ACQUIRE_SENT, "acquire_sent", EVENT, "ACQUIRE sent to the key managers") \
	X(146, ACQUIRE_FULL, "acquire_full", EVENT, "ACQUIRE not sent: as many are pending as there may be") \
	/* worker: more drops */ \
	X(160, DROP_HOLD_FULL, "hold_full", DROP, "no SA yet, and as many packets are held as there may be") \
	X(161, DROP_HOLD_TIMEOUT, "hold_timeout", DROP, "held, and no SA came in time, or the daemon ended")

#define XI_REASON_MAX 192

enum xi_reason {
#define X(value, symbol, name, kind, text) XI_##symbol = value,
	XI_REASONS(X)
#undef X
};

enum xi_reason_kind { XI_REASON_EVENT, XI_REASON_DROP };

#endif
