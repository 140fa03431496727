/*
 * Programs for the kernel, run here: by libpcap where a whole frame is looked at, and by a small
 * machine with the kernel's ancillary loads where a tag is kept aside (filter.rst and
 * net/core/filter.c of Linux say what those give).
 */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>

#include "capture/cbpf.h"
#include "wire.h"

/* ---- the machine ---------------------------------------------------------------------------- */

/* A packet as the kernel shows it to a program. */
struct skb {
	const uint8_t *data;
	uint32_t n;
	uint16_t protocol;
	uint8_t pkttype;
	bool tagged;
	uint16_t tpid, tci;
	uint32_t random;
};

static bool ancillary(const struct skb *skb, uint32_t k, uint32_t *ret)
{
	switch ((int32_t)k - SKF_AD_OFF) {
	case SKF_AD_PROTOCOL:
		*ret = skb->protocol;
		return true;
	case SKF_AD_PKTTYPE:
		*ret = skb->pkttype;
		return true;
	case SKF_AD_VLAN_TAG_PRESENT:
		*ret = skb->tagged;
		return true;
	case SKF_AD_VLAN_TAG:
		*ret = skb->tci;
		return true;
	case SKF_AD_VLAN_TPID:
		*ret = skb->tpid;
		return true;
	case SKF_AD_RANDOM:
		*ret = skb->random;
		return true;
	default:
		return false;
	}
}

static bool load(const struct skb *skb, uint16_t code, uint32_t k, uint32_t *ret)
{
	unsigned size = BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
	if (k > skb->n || skb->n - k < size)
		return false;
	*ret = 0;
	for (unsigned i = 0; i < size; i++)
		*ret = *ret << 8 | skb->data[k + i];
	return true;
}

static bool compare(const struct sock_filter *f, uint32_t a, uint32_t b)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ:
		return a == b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	default:
		return (a & b) != 0;
	}
}

static uint32_t compute(uint16_t op, uint32_t a, uint32_t b)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return a << b;
	case BPF_RSH:
		return a >> b;
	default:
		cr_assert_fail("operation %#x", op);
		return 0;
	}
}

static uint32_t run(const struct cbpf *p, const struct skb *skb)
{
	uint32_t a = 0, x = 0, m[BPF_MEMWORDS] = {0};
	cr_assert_not(p->bad);
	for (unsigned pc = 0;; pc++) {
		cr_assert_lt(pc, p->n, "ran off the end");
		const struct sock_filter *f = &p->insn[pc];
		uint32_t operand = BPF_SRC(f->code) == BPF_X ? x : f->k;
		switch (f->code) {
		case BPF_RET | BPF_K:
			return f->k;
		case BPF_RET | BPF_A:
			return a;
		case BPF_LD | BPF_W | BPF_ABS:
			if (ancillary(skb, f->k, &a))
				break; /* fall through */
		case BPF_LD | BPF_H | BPF_ABS:
		case BPF_LD | BPF_B | BPF_ABS:
			if (!load(skb, f->code, f->k, &a))
				return 0;
			break;
		case BPF_LD | BPF_W | BPF_IND:
		case BPF_LD | BPF_H | BPF_IND:
		case BPF_LD | BPF_B | BPF_IND:
			if (!load(skb, f->code, x + f->k, &a))
				return 0;
			break;
		case BPF_LDX | BPF_B | BPF_MSH:
			if (!load(skb, BPF_B, f->k, &x))
				return 0;
			x = (x & 15) * 4;
			break;
		case BPF_LD | BPF_W | BPF_LEN:
			a = skb->n;
			break;
		case BPF_LD | BPF_IMM:
			a = f->k;
			break;
		case BPF_LDX | BPF_IMM:
			x = f->k;
			break;
		case BPF_LD | BPF_MEM:
			a = m[f->k];
			break;
		case BPF_LDX | BPF_MEM:
			x = m[f->k];
			break;
		case BPF_ST:
			m[f->k] = a;
			break;
		case BPF_STX:
			m[f->k] = x;
			break;
		case BPF_MISC | BPF_TAX:
			x = a;
			break;
		case BPF_MISC | BPF_TXA:
			a = x;
			break;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		default:
			if (BPF_CLASS(f->code) == BPF_JMP)
				pc += compare(f, a, operand) ? f->jt : f->jf;
			else if (BPF_CLASS(f->code) == BPF_ALU)
				a = compute(BPF_OP(f->code), a, operand);
			else
				cr_assert_fail("instruction %#x", f->code);
		}
	}
}

/* ---- frames --------------------------------------------------------------------------------- */

struct frame {
	uint8_t at[256];
	size_t n;
};

static struct wr frame_begin(struct frame *f)
{
	struct wr w = wr_init(f->at, sizeof(f->at));
	wr_bytes(&w, "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02", 12);
	return w;
}

static void put_ip4(struct wr *w, uint32_t src, uint32_t dst, unsigned proto, unsigned frag)
{
	wr_u16(w, 0x4500);
	wr_u16(w, 60);
	wr_u16(w, 7);
	wr_u16(w, frag);
	wr_u16(w, 64 << 8 | proto);
	wr_u16(w, 0);
	wr_u32(w, src);
	wr_u32(w, dst);
	wr_u16(w, 1234);
	wr_u16(w, 80);
	wr_zero(w, 36);
}

static void put_ip6(struct wr *w, const char *src, const char *dst, unsigned proto)
{
	uint8_t address[16];
	wr_u32(w, 0x60000000);
	wr_u16(w, 40);
	wr_u16(w, proto << 8 | 64);
	inet_pton(AF_INET6, src, address);
	wr_bytes(w, address, 16);
	inet_pton(AF_INET6, dst, address);
	wr_bytes(w, address, 16);
	wr_u16(w, 1234);
	wr_u16(w, 53);
	wr_zero(w, 36);
}

enum { IP4, IP4_BACK, IP4_FRAGMENT, IP4_UDP, IP4_OTHER, IP6, IP6_BACK, ARP, KINDS };

static void put_payload(struct wr *w, unsigned kind)
{
	wr_u16(w, kind == ARP ? ETH_P_ARP : kind >= IP6 ? ETH_P_IPV6 : ETH_P_IP);
	switch (kind) {
	case IP4:
		put_ip4(w, 0x0a000001, 0xc0a80102, 6, 0x2000);
		break;
	case IP4_BACK:
		put_ip4(w, 0xc0a80102, 0x0a000001, 6, 0);
		break;
	case IP4_FRAGMENT:
		put_ip4(w, 0x0a000001, 0xc0a80102, 6, 100);
		break;
	case IP4_UDP:
		put_ip4(w, 0x0a000001, 0xc0a80102, 17, 0);
		break;
	case IP4_OTHER:
		put_ip4(w, 0x0a000002, 0xc0a80102, 6, 0);
		break;
	case IP6:
		put_ip6(w, "2001:db8::1", "2001:db8:1::2", 17);
		break;
	case IP6_BACK:
		put_ip6(w, "2001:db8:1::2", "2001:db8::1", 17);
		break;
	default:
		wr_zero(w, 46);
	}
}

/* With `tags` tags: ids 100, 101 ..., the first of them 802.1ad when there are several. */
static struct frame make_frame(unsigned kind, unsigned tags)
{
	struct frame f;
	struct wr w = frame_begin(&f);
	for (unsigned i = 0; i < tags; i++) {
		wr_u16(&w, i == 0 && tags > 1 ? ETH_P_8021AD : ETH_P_8021Q);
		wr_u16(&w, 0x2000 | (100 + i));
	}
	put_payload(&w, kind);
	f.n = wr_len(&w);
	return f;
}

/* As the kernel holds it when a filter is run: the outermost tag aside. */
static struct skb aside(const struct frame *f, uint8_t *room)
{
	struct skb skb = {.tagged = true, .tpid = be16(f->at + 12), .tci = be16(f->at + 14)};
	memcpy(room, f->at, 12);
	memcpy(room + 12, f->at + 16, f->n - 16);
	skb.data = room;
	skb.n = (uint32_t)f->n - 4;
	return skb;
}

/* ---- filters -------------------------------------------------------------------------------- */

static void compile(const char *expression, struct bpf_program *code)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 65536);
	cr_assert_eq(pcap_compile(pcap, code, expression, 1, PCAP_NETMASK_UNKNOWN), 0, "%s: %s",
		     expression, pcap_geterr(pcap));
	pcap_close(pcap);
}

static const char *const expressions[] = {
	"ip", "ip6", "arp", "tcp", "udp port 53", "tcp dst port 80", "src host 10.0.0.1",
	"host 2001:db8::1", "net 192.168.0.0/16 and not port 80", "ether host 02:00:00:00:00:01",
	"vlan", "vlan 100", "vlan 101", "vlan and ip", "vlan 100 and tcp dst port 80",
	"vlan 100 and vlan 101 and udp port 53", "not vlan", "vlan 100 or arp",
	"ether[12:2] = 0x8100", "ether[12] = 0x88", "ether[15] = 100", "ether[14] & 0xe0 = 0x20",
	"greater 79", "less 76", "ip[6:2] & 0x1fff != 0", "tcp[2:2] = 80",
	"vlan and (host 10.0.0.1 or host 2001:db8::1)", "ip proto 6 or ip6 proto 17",
};

Test(cbpf, a_filter_means_the_same_whether_the_tag_is_in_the_frame_or_aside)
{
	unsigned matched = 0, missed = 0;
	for (size_t e = 0; e < sizeof(expressions) / sizeof(expressions[0]); e++) {
		struct bpf_program code;
		static struct cbpf p;
		compile(expressions[e], &code);
		cbpf_filter(&p, (const struct sock_filter *)code.bf_insns, code.bf_len, 256);
		cr_assert_not(p.bad, "%s", expressions[e]);
		for (unsigned kind = 0; kind < KINDS; kind++)
			for (unsigned tags = 0; tags <= 2; tags++) {
				struct frame f = make_frame(kind, tags);
				uint8_t room[256];
				struct skb whole = {.data = f.at, .n = (uint32_t)f.n};
				bool want = bpf_filter(code.bf_insns, f.at, (unsigned)f.n,
						       (unsigned)f.n) != 0;
				cr_assert_eq(run(&p, &whole), want ? 256 : 0, "%s, kind %u, %u tags",
					     expressions[e], kind, tags);
				if (tags > 0) {
					struct skb skb = aside(&f, room);
					cr_assert_eq(run(&p, &skb), want ? 256 : 0,
						     "%s, kind %u, %u tags, one aside",
						     expressions[e], kind, tags);
				}
				matched += want;
				missed += !want;
			}
		pcap_freecode(&code);
	}
	cr_assert_gt(matched, 100);
	cr_assert_gt(missed, 100);
}

Test(cbpf, what_cannot_be_said_is_told)
{
	static const char *const hard[] = {"ether[10:4] = 1", "ether[12:4] = 0x81000064",
					   "ether[13:2] = 1"};
	for (size_t i = 0; i < sizeof(hard) / sizeof(hard[0]); i++) {
		struct bpf_program code;
		static struct cbpf p;
		compile(hard[i], &code);
		cbpf_filter(&p, (const struct sock_filter *)code.bf_insns, code.bf_len, 256);
		cr_assert(p.bad, "%s", hard[i]);
		pcap_freecode(&code);
	}
}

Test(cbpf, random_takes_what_is_below_a_share_of_all_numbers)
{
	static struct cbpf p;
	struct frame f = make_frame(IP4, 0);
	struct skb skb = {.data = f.at, .n = (uint32_t)f.n};
	cbpf_filter(&p, NULL, 0, 99);
	cbpf_add_random(&p, 4);
	static const struct {
		uint32_t random, want;
	} rows[] = {{0, 99}, {0x3fffffff, 99}, {0x40000000, 0}, {0xffffffff, 0}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		skb.random = rows[i].random;
		cr_assert_eq(run(&p, &skb), rows[i].want, "%#x", rows[i].random);
	}
}

Test(cbpf, reject_lets_nothing_through)
{
	static struct cbpf p;
	struct frame f = make_frame(IP4, 0);
	struct skb skb = {.data = f.at, .n = (uint32_t)f.n};
	cbpf_reject(&p);
	cr_assert_eq(run(&p, &skb), 0);
}

/* ---- the hash that divides packets ---------------------------------------------------------- */

/* As a fanout program sees an outgoing frame: whole, but for a tag that is aside. */
static struct skb outgoing(const struct frame *f)
{
	return (struct skb){.data = f->at, .n = (uint32_t)f->n, .pkttype = PACKET_OUTGOING,
			    .protocol = be16(f->at + 12)};
}

/* And an incoming one: what is behind the first ethertype, a first tag always aside. */
static struct skb incoming(const struct frame *f)
{
	size_t type = be16(f->at + 12) == ETH_P_8021Q || be16(f->at + 12) == ETH_P_8021AD ? 16 : 12;
	return (struct skb){.data = f->at + type + 2, .n = (uint32_t)(f->n - type - 2),
			    .pkttype = PACKET_OTHERHOST, .protocol = be16(f->at + type),
			    .tagged = type == 16};
}

static uint32_t hash_both_ways(const struct frame *f)
{
	static struct cbpf p;
	struct skb in = incoming(f), out = outgoing(f);
	cbpf_fanout(&p, ETH_HLEN, 0x12345678);
	uint32_t hash = run(&p, &in);
	cr_assert_eq(run(&p, &out), hash, "incoming and outgoing differ");
	return hash;
}

static uint32_t hash_of(unsigned kind, unsigned tags)
{
	struct frame f = make_frame(kind, tags);
	return hash_both_ways(&f);
}

Test(fanout, directions_fragments_and_tags_go_to_one_worker)
{
	for (unsigned tags = 0; tags <= 8; tags++) {
		cr_assert_neq(hash_of(IP4, tags), 0);
		cr_assert_eq(hash_of(IP4, tags), hash_of(IP4, 0), "%u tags", tags);
		cr_assert_eq(hash_of(IP4_BACK, tags), hash_of(IP4, 0));
		cr_assert_eq(hash_of(IP4_FRAGMENT, tags), hash_of(IP4, 0));
		cr_assert_eq(hash_of(IP4_UDP, tags), hash_of(IP4, 0));
		cr_assert_neq(hash_of(IP4_OTHER, tags), hash_of(IP4, 0));
		cr_assert_neq(hash_of(IP6, tags), 0);
		cr_assert_eq(hash_of(IP6_BACK, tags), hash_of(IP6, 0));
	}
}

Test(fanout, what_carries_no_ip_goes_to_the_first_worker)
{
	cr_assert_eq(hash_of(ARP, 0), 0);
	cr_assert_eq(hash_of(ARP, 2), 0);
	cr_assert_eq(hash_of(IP4, 10), 0); /* more tags than decode believes */
}

/* Encapsulations as RFC 2516 and RFC 3032 lay them out. */
Test(fanout, pppoe_and_mpls_are_looked_through)
{
	static const struct {
		const char *head;
		size_t n;
	} heads[] = {
		{"\x88\x64\x11\x00\x00\x01\x00\x3e\x00\x21", 10},
		{"\x88\x47\x00\x01\x01\x40", 6},
		{"\x88\x47\x00\x01\x00\x40\x00\x02\x01\x40", 10},
		{"\x81\x00\x00\x05\x88\x48\x00\x01\x01\x40", 10},
	};
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct frame f;
		struct wr w = frame_begin(&f);
		wr_bytes(&w, heads[i].head, heads[i].n);
		put_ip4(&w, 0xc0a80102, 0x0a000001, 6, 0);
		f.n = wr_len(&w);
		cr_assert_eq(hash_both_ways(&f), hash_of(IP4, 0), "head %zu", i);
	}
}

Test(fanout, ports_without_link_header_hash_as_ethernet_does)
{
	static struct cbpf p;
	struct frame f = make_frame(IP6, 0);
	struct skb skb = {.data = f.at + 14, .n = (uint32_t)f.n - 14, .pkttype = PACKET_OUTGOING,
			  .protocol = ETH_P_IPV6};
	cbpf_fanout(&p, 0, 0x12345678);
	cr_assert_eq(run(&p, &skb), hash_of(IP6, 0));
}

static uint32_t hash_pair(uint32_t key, uint32_t src, uint32_t dst, bool ip6)
{
	static struct cbpf p;
	struct frame f;
	struct wr w = frame_begin(&f);
	char text[2][INET6_ADDRSTRLEN];
	wr_u16(&w, ip6 ? ETH_P_IPV6 : ETH_P_IP);
	if (ip6) { /* the source in each word but one: all that is folded counts */
		snprintf(text[0], sizeof(text[0]), "%x:%x:%x:%x:%x:%x:%x:%x", src >> 16, src & 0xffff,
			 src >> 16, src & 0xffff, src >> 16, src & 0xffff, src >> 16, src & 0xffff);
		snprintf(text[1], sizeof(text[1]), "%x:%x:%x:%x:%x:%x:%x:%x", src >> 16, src & 0xffff,
			 src >> 16, src & 0xffff, src >> 16, src & 0xffff, dst >> 16, dst & 0xffff);
		put_ip6(&w, text[0], text[1], 17);
	} else {
		put_ip4(&w, src, dst, 17, 0);
	}
	f.n = wr_len(&w);
	struct skb skb = outgoing(&f);
	cbpf_fanout(&p, ETH_HLEN, key);
	return run(&p, &skb);
}

/* Pairs that differ in one end, in both by the same, in the upper bits: each a habit of networks; and
 * last pairs that all have the same sum and the same difference, bit by bit, as who wants to load one
 * worker would send. */
Test(fanout, pairs_are_spread_over_the_workers)
{
	static const struct {
		uint32_t src, dst;
	} steps[] = {{1, 0}, {0, 1}, {1, 1}, {256, 0}, {0x10000, 1}, {2, 3}, {1, -1}};
	for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++)
		for (unsigned workers = 2; workers <= 8; workers *= 2) {
			unsigned got[8] = {0};
			for (uint32_t i = 0; i < 2000; i++)
				got[hash_pair(0x12345678, 0x0a000000 + i * steps[s].src,
					      0xc0a8ffff + i * steps[s].dst, false) %
				    workers]++;
			for (unsigned i = 0; i < workers; i++)
				cr_assert(got[i] > 1400 / workers && got[i] < 2600 / workers,
					  "step %zu, worker %u of %u: %u of 2000", s, i, workers, got[i]);
		}
}

/* Who knows the program but not the key, and chooses pairs that one worker has under a key of his own:
 * under another they are anybody's, however few bits of the addresses he sets. */
Test(fanout, pairs_of_one_worker_are_spread_under_another_key)
{
	static const uint32_t sources[] = {0, 0x80000000, 0x0a000000, 0x40000000, 0x0a000001};
	for (unsigned ip6 = 0; ip6 < 2; ip6++)
		for (size_t s = 0; s < sizeof(sources) / sizeof(sources[0]); s++) {
			unsigned got[4] = {0}, n = 0;
			for (uint32_t dst = 0xc0a80000; n < 400; dst++) {
				if (hash_pair(0x12345679, sources[s], dst, ip6) % 4 != 0)
					continue;
				got[hash_pair(0xdeadbeef, sources[s], dst, ip6) % 4]++;
				n++;
			}
			for (unsigned i = 0; i < 4; i++)
				cr_expect(got[i] > 50 && got[i] < 160, "source %x, worker %u: %u of 400",
					  sources[s], i, got[i]);
		}
}

Test(fanout, cut_frames_do_no_harm)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct frame f = make_frame(kind, 2);
		static struct cbpf p;
		cbpf_fanout(&p, ETH_HLEN, 1);
		for (uint32_t n = 0; n < f.n; n++) {
			struct skb skb = {.data = f.at, .n = n, .pkttype = PACKET_OUTGOING};
			(void)run(&p, &skb);
		}
	}
}
