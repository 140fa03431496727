/*
 * Filters and sampling in classic BPF.
 *
 * libpcap can compile for a live handle of its own, with the VLAN tag taken out, but then `ip`
 * matches tagged frames that it does not match in a capture, and a filter would mean two things.
 * Here the program compiled for captures is attached twice over, as it is for untagged frames, and
 * rewritten for frames whose tag the kernel keeps aside: what lies behind the tag is four bytes
 * nearer, the tag itself is read from where it is kept.
 */
#include "cbpf.h"

#include <string.h>

/* Of the tag in an Ethernet header. */
enum { TAG_AT = 12, TAG_SIZE = 4, TAG_END = TAG_AT + TAG_SIZE };

#define AD(what) (uint32_t)(SKF_AD_OFF + SKF_AD_##what)

static void emit(struct cbpf *p, struct sock_filter insn)
{
	if (p->n == BPF_MAXINSNS)
		p->bad = true;
	else
		p->insn[p->n++] = insn;
}

static void emit_stmt(struct cbpf *p, unsigned code, uint32_t k)
{
	emit(p, (struct sock_filter)BPF_STMT((uint16_t)code, k));
}

void cbpf_reject(struct cbpf *ret)
{
	ret->n = 0;
	ret->bad = false;
	emit_stmt(ret, BPF_RET | BPF_K, 0);
}

/* ---- for frames whose tag is kept aside --------------------------------------------------- */

static unsigned load_size(uint16_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_W:
		return 4;
	case BPF_H:
		return 2;
	default:
		return 1;
	}
}

/* Half a word or a byte of the tag. */
static void emit_tag_load(struct cbpf *p, unsigned size, uint32_t k)
{
	bool type = k < TAG_AT + 2;
	if (size > 2 || (size == 2 && k % 2 != 0)) {
		p->bad = true;
		return;
	}
	emit_stmt(p, BPF_LD | BPF_W | BPF_ABS, type ? AD(VLAN_TPID) : AD(VLAN_TAG));
	if (size == 1 && k % 2 == 0)
		emit_stmt(p, BPF_ALU | BPF_RSH | BPF_K, 8);
	else if (size == 1)
		emit_stmt(p, BPF_ALU | BPF_AND | BPF_K, 0xff);
}

static void emit_load(struct cbpf *p, struct sock_filter insn)
{
	unsigned size = load_size(insn.code);
	if (insn.k >= (uint32_t)SKF_LL_OFF || insn.k + size <= TAG_AT) {
		emit(p, insn);
	} else if (insn.k >= TAG_END) {
		insn.k -= TAG_SIZE;
		emit(p, insn);
	} else if (insn.k >= TAG_AT) {
		emit_tag_load(p, size, insn.k);
	} else {
		p->bad = true;
	}
}

/* Of a place that depends on X, which is a header's length: behind any tag, unless k says that it
 * is before. */
static void emit_indirect(struct cbpf *p, struct sock_filter insn)
{
	if (insn.k < TAG_AT)
		p->bad = true;
	insn.k -= TAG_SIZE;
	emit(p, insn);
}

/* "4 * (byte & 15)" into X. At a tag's place only untagged frames have a header to measure. */
static void emit_header_size(struct cbpf *p, struct sock_filter insn)
{
	if (insn.k < TAG_AT)
		p->bad = true;
	else if (insn.k < TAG_END)
		emit_stmt(p, BPF_LDX | BPF_W | BPF_IMM, 0);
	else
		emit_stmt(p, insn.code, insn.k - TAG_SIZE);
}

static void emit_rewritten(struct cbpf *p, struct sock_filter insn)
{
	switch (BPF_CLASS(insn.code) | BPF_MODE(insn.code)) {
	case BPF_LD | BPF_ABS:
		emit_load(p, insn);
		break;
	case BPF_LD | BPF_IND:
		emit_indirect(p, insn);
		break;
	case BPF_LDX | BPF_MSH:
		emit_header_size(p, insn);
		break;
	case BPF_LD | BPF_LEN:
		emit(p, insn);
		emit_stmt(p, BPF_ALU | BPF_ADD | BPF_K, TAG_SIZE);
		break;
	case BPF_LDX | BPF_LEN:
		p->bad = true;
		break;
	default:
		emit(p, insn);
	}
}

static bool is_jump(const struct sock_filter *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP;
}

/* Sets the jumps of what was rewritten, `place` being where each instruction of `code` now begins.
 * A jump stays one instruction. */
static void mend_jumps(struct cbpf *p, const struct sock_filter *code, unsigned n,
		       const uint16_t *place)
{
	for (unsigned i = 0; i < n; i++) {
		if (!is_jump(&code[i]))
			continue;
		struct sock_filter *jump = &p->insn[place[i]];
		unsigned from = place[i] + 1u;
		if (BPF_OP(code[i].code) == BPF_JA) {
			jump->k = place[i + 1 + code[i].k] - from;
			continue;
		}
		unsigned jt = place[i + 1 + code[i].jt] - from;
		unsigned jf = place[i + 1 + code[i].jf] - from;
		p->bad |= jt > UINT8_MAX || jf > UINT8_MAX;
		jump->jt = (uint8_t)jt;
		jump->jf = (uint8_t)jf;
	}
}

static void add_rewritten(struct cbpf *p, const struct sock_filter *code, unsigned n)
{
	uint16_t place[BPF_MAXINSNS];
	for (unsigned i = 0; i < n; i++) {
		place[i] = (uint16_t)p->n;
		emit_rewritten(p, code[i]);
	}
	if (!p->bad)
		mend_jumps(p, code, n, place);
}

/* ---- filter and sampling ------------------------------------------------------------------- */

static void set_snaplen(struct cbpf *p, uint32_t snaplen)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->insn[i].code == (BPF_RET | BPF_K) && p->insn[i].k != 0)
			p->insn[i].k = snaplen;
}

void cbpf_filter(struct cbpf *ret, const struct sock_filter *code, unsigned n, uint32_t snaplen)
{
	ret->n = 0;
	ret->bad = n > BPF_MAXINSNS / 2;
	if (ret->bad)
		return;
	if (n == 0) {
		emit_stmt(ret, BPF_RET | BPF_K, snaplen);
		return;
	}
	emit_stmt(ret, BPF_LD | BPF_W | BPF_ABS, AD(VLAN_TAG_PRESENT));
	emit(ret, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
	emit_stmt(ret, BPF_JMP | BPF_JA, n);
	for (unsigned i = 0; i < n; i++)
		emit(ret, code[i]);
	add_rewritten(ret, code, n);
	set_snaplen(ret, snaplen);
}

void cbpf_add_random(struct cbpf *program, uint32_t n)
{
	const uint32_t threshold = (uint32_t)((UINT64_C(1) << 32) / n);
	const struct sock_filter head[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, AD(RANDOM)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, threshold, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const unsigned size = sizeof(head) / sizeof(head[0]);
	if (program->n > BPF_MAXINSNS - size) {
		program->bad = true;
		return;
	}
	memmove(program->insn + size, program->insn, program->n * sizeof(program->insn[0]));
	memcpy(program->insn, head, sizeof(head));
	program->n += size;
}
