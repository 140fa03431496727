/*
 * The hash that divides a port's packets among workers.
 *
 * Where a program finds the frame depends on its way: of incoming frames the kernel shows what is
 * behind the outermost ethertype, which it tells aside, of outgoing ones all. Loads from the front
 * are used, not those relative to the link header (SKF_LL_OFF): the latter fail on a frame whose
 * bytes are not in one piece, and its flow would be torn apart.
 */
#include <linux/if_ether.h>
#include <linux/if_packet.h>

#include "cbpf.h"

/* As many as decode looks through. */
#define TAGS_MAX   8
#define LABELS_MAX 8

/* PPP behind a session's header: protocol numbers. */
enum { PPP_IP = 0x0021, PPP_IPV6 = 0x0057 };

/* Words of scratch memory. */
enum {
	M_TYPE = 0,   /* the ethertype, while X moves */
	M_SOURCE = 1, /* 4 words in IPv6, then what they are folded to in the first */
	M_TARGET = 5
};

#define MIX 0x9e3779b1u

static void op(struct cbpf *p, unsigned code, uint32_t k)
{
	if (p->n == BPF_MAXINSNS)
		p->bad = true;
	else
		p->insn[p->n++] = (struct sock_filter)BPF_STMT((uint16_t)code, k);
}

/* ---- jumps ---------------------------------------------------------------------------------- */

/* A place further on, and who jumps there. */
struct label {
	unsigned n;
	unsigned from[3 * TAGS_MAX + 4];
};

static void go(struct cbpf *p, struct label *to)
{
	if (to->n == sizeof(to->from) / sizeof(to->from[0])) {
		p->bad = true;
		return;
	}
	to->from[to->n++] = p->n;
	op(p, BPF_JMP | BPF_JA, 0);
}

/* Jumps when `how` holds of A and k. */
static void go_if(struct cbpf *p, unsigned how, uint32_t k, struct label *to)
{
	op(p, BPF_JMP | how | BPF_K, k);
	p->insn[p->n - 1].jf = 1;
	go(p, to);
}

static void land(struct cbpf *p, const struct label *here)
{
	for (unsigned i = 0; i < here->n; i++)
		p->insn[here->from[i]].k = p->n - here->from[i] - 1;
}

/* ---- to the IP header ------------------------------------------------------------------------ */

static void move_x(struct cbpf *p, uint32_t by)
{
	op(p, BPF_MISC | BPF_TXA, 0);
	op(p, BPF_ALU | BPF_ADD | BPF_K, by);
	op(p, BPF_MISC | BPF_TAX, 0);
}

/* A: the outermost ethertype that is not kept aside; X: the place behind it. */
static void find_type(struct cbpf *p, unsigned mac_size)
{
	struct label outgoing = {.n = 0}, found = {.n = 0};
	op(p, BPF_LDX | BPF_W | BPF_IMM, 0);
	if (mac_size != 0) {
		op(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
		go_if(p, BPF_JEQ, PACKET_OUTGOING, &outgoing);
	}
	op(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL));
	if (mac_size != 0) {
		go(p, &found);
		land(p, &outgoing);
		op(p, BPF_LDX | BPF_W | BPF_IMM, mac_size);
		op(p, BPF_LD | BPF_H | BPF_ABS, mac_size - 2);
		land(p, &found);
	}
}

/* Goes to `ip` or another header; falls through behind the tag that it steps over. */
static void pass_tag(struct cbpf *p, struct label *ip, struct label *pppoe, struct label *mpls,
		     struct label *none)
{
	struct label tag = {.n = 0};
	go_if(p, BPF_JEQ, ETH_P_IP, ip);
	go_if(p, BPF_JEQ, ETH_P_IPV6, ip);
	go_if(p, BPF_JEQ, ETH_P_8021Q, &tag);
	go_if(p, BPF_JEQ, ETH_P_8021AD, &tag);
	go_if(p, BPF_JEQ, ETH_P_QINQ1, &tag);
	go_if(p, BPF_JEQ, ETH_P_PPP_SES, pppoe);
	go_if(p, BPF_JEQ, ETH_P_MPLS_UC, mpls);
	go_if(p, BPF_JEQ, ETH_P_MPLS_MC, mpls);
	go(p, none);
	land(p, &tag);
	op(p, BPF_LD | BPF_H | BPF_IND, 2);
	op(p, BPF_ST, M_TYPE);
	move_x(p, 4);
	op(p, BPF_LD | BPF_MEM, M_TYPE);
}

/* X: a PPPoE header. */
static void pass_pppoe(struct cbpf *p, struct label *ip, struct label *none)
{
	op(p, BPF_LD | BPF_H | BPF_IND, 6);
	op(p, BPF_ST, M_TYPE);
	move_x(p, 8);
	op(p, BPF_LD | BPF_MEM, M_TYPE);
	go_if(p, BPF_JEQ, PPP_IP, ip);
	go_if(p, BPF_JEQ, PPP_IPV6, ip);
	go(p, none);
}

/* X: the topmost label. */
static void pass_mpls(struct cbpf *p, struct label *ip, struct label *none)
{
	struct label bottom = {.n = 0};
	for (unsigned i = 0; i < LABELS_MAX; i++) {
		op(p, BPF_LD | BPF_B | BPF_IND, 2);
		op(p, BPF_ST, M_TYPE);
		move_x(p, 4);
		op(p, BPF_LD | BPF_MEM, M_TYPE);
		go_if(p, BPF_JSET, 1, &bottom);
	}
	go(p, none);
	land(p, &bottom);
	go(p, ip);
}

/* ---- the hash ------------------------------------------------------------------------------- */

/* Address words at X + offset to scratch memory. */
static void store_words(struct cbpf *p, unsigned offset, unsigned words, unsigned to)
{
	for (unsigned i = 0; i < words; i++) {
		op(p, BPF_LD | BPF_W | BPF_IND, offset + 4 * i);
		op(p, BPF_ST, to + i);
	}
}

/* A is mixed with its own upper half. */
static void stir(struct cbpf *p)
{
	op(p, BPF_MISC | BPF_TAX, 0);
	op(p, BPF_ALU | BPF_RSH | BPF_K, 16);
	op(p, BPF_ALU | BPF_XOR | BPF_X, 0);
	op(p, BPF_ALU | BPF_MUL | BPF_K, MIX);
}

/* A is made what only the key knows: whatever the address, no factor of the product is known, and what
 * differs above goes below, where the next product spreads it. */
static void scramble(struct cbpf *p, uint32_t key)
{
	op(p, BPF_ALU | BPF_XOR | BPF_K, key * MIX ^ key >> 16);
	op(p, BPF_ALU | BPF_MUL | BPF_K, key);
	stir(p);
}

/* A takes in a word of scratch memory. */
static void mix_in(struct cbpf *p, unsigned word)
{
	op(p, BPF_LDX | BPF_MEM, word);
	op(p, BPF_ALU | BPF_XOR | BPF_X, 0);
}

/* The four words of an IPv6 address to one. */
static void fold(struct cbpf *p, unsigned at, uint32_t key)
{
	op(p, BPF_LD | BPF_MEM, at);
	for (unsigned i = 1; i < 4; i++) {
		scramble(p, key);
		mix_in(p, at + i);
	}
	op(p, BPF_ST, at);
}

/* From source and target, whichever is which: the lesser scrambled, then the greater mixed in. (Of
 * their sum and difference, pairs could be made up that all come out alike.) The kernel takes the rest
 * of a division. */
static void return_hash(struct cbpf *p, uint32_t key)
{
	op(p, BPF_LD | BPF_MEM, M_SOURCE);
	op(p, BPF_LDX | BPF_MEM, M_TARGET);
	op(p, BPF_JMP | BPF_JGT | BPF_X, 0);
	p->insn[p->n - 1].jf = 2;
	op(p, BPF_ST, M_TARGET);
	op(p, BPF_MISC | BPF_TXA, 0);
	scramble(p, key);
	mix_in(p, M_TARGET);
	scramble(p, key);
	stir(p);
	op(p, BPF_ALU | BPF_RSH | BPF_K, 8);
	op(p, BPF_RET | BPF_A, 0);
}

static void hash_ip(struct cbpf *p, uint32_t key, struct label *none)
{
	struct label ip4 = {.n = 0}, stored = {.n = 0};
	op(p, BPF_LD | BPF_B | BPF_IND, 0);
	op(p, BPF_ALU | BPF_RSH | BPF_K, 4);
	go_if(p, BPF_JEQ, 4, &ip4);
	op(p, BPF_JMP | BPF_JEQ | BPF_K, 6);
	p->insn[p->n - 1].jt = 1;
	go(p, none);
	store_words(p, 8, 4, M_SOURCE);
	store_words(p, 24, 4, M_TARGET);
	fold(p, M_SOURCE, key);
	fold(p, M_TARGET, key);
	go(p, &stored);
	land(p, &ip4);
	store_words(p, 12, 1, M_SOURCE);
	store_words(p, 16, 1, M_TARGET);
	land(p, &stored);
	return_hash(p, key);
}

void cbpf_fanout(struct cbpf *ret, unsigned mac_size, uint32_t key)
{
	struct label ip = {.n = 0}, pppoe = {.n = 0}, mpls = {.n = 0}, none = {.n = 0};
	ret->n = 0;
	ret->bad = false;
	key |= 1;
	find_type(ret, mac_size);
	for (unsigned i = 0; i <= TAGS_MAX; i++)
		pass_tag(ret, &ip, &pppoe, &mpls, &none);
	go(ret, &none);
	land(ret, &pppoe);
	pass_pppoe(ret, &ip, &none);
	land(ret, &mpls);
	pass_mpls(ret, &ip, &none);
	land(ret, &ip);
	hash_ip(ret, key, &none);
	land(ret, &none);
	op(ret, BPF_RET | BPF_K, 0);
}
