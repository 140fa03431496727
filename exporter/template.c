/*
 * From a field list to templates. The shapes are the subsets of what the list's fields need (an
 * ICMP type, a VLAN tag, a reverse direction ...), once for IPv4 and once for IPv6: 8 with the
 * default list. They are all announced at the start; announcing a shape when it is first met
 * would save a few hundred bytes and lose records when that one datagram is lost.
 */
#include "template.h"

#include <stdlib.h>

#include "err.h"
#include "wire.h"

#define FAMILIES (NEEDS_IP4 | NEEDS_IP6)

/* Every shape there can be: 2 families, 7 other bits, of which each family lacks one. */
#define SHAPES_MAX 128

/* What a record of this shape shows of `used`; ICMP of the other family is not shown. */
static unsigned visible(unsigned shape, unsigned used)
{
	unsigned foreign = shape & NEEDS_IP6 ? NEEDS_ICMP4 : NEEDS_ICMP6;
	return (shape & FAMILIES) | (shape & used & ~foreign);
}

static void put_spec(struct wr *w, struct field_ref ref, enum template_wire wire, unsigned width)
{
	const struct field *f = field_get(ref.id);
	const uint32_t pen = ref.reverse ? FIELD_REVERSE_PEN : f->pen;
	const unsigned enterprise_bit = pen != 0 ? 0x8000 : 0;
	wr_u16(w, wire == TEMPLATE_V9 ? f->v9_id : f->ipfix_id | enterprise_bit);
	wr_u16(w, width);
	if (pen != 0)
		wr_u32(w, pen);
}

static unsigned width_of(struct field_ref ref, enum template_wire wire)
{
	const struct field *f = field_get(ref.id);
	switch (wire) {
	case TEMPLATE_V9:
		return f->v9_len;
	case TEMPLATE_IPFIX:
		return f->ipfix_len;
	case TEMPLATE_IPFIX_FULL:
		return f->len;
	}
	return 0;
}

/* Records of default lists have functions of their own. */
static void find_whole(struct template *t, const struct field_list *list, enum template_wire wire)
{
	if (wire == TEMPLATE_IPFIX_FULL)
		return;
	const enum field_default which = wire == TEMPLATE_V9 ? IN_V9 : IN_IPFIX;
	for (unsigned biflow = 0; biflow < 2; biflow++) {
		if (!field_list_is_default(list, which, biflow))
			continue;
		t->plan.whole = plan_default(which, biflow, t->shape, false);
		t->turned.whole = plan_default(which, biflow, t->shape, true);
	}
}

static void make_template(struct template *t, const struct field_list *list,
			  enum template_wire wire)
{
	struct wr w = wr_init(t->spec, sizeof(t->spec));
	for (unsigned i = 0; i < list->count; i++) {
		const struct field_ref ref = list->ref[i];
		if (field_needs(ref) & ~t->shape)
			continue;
		unsigned width = width_of(ref, wire);
		put_spec(&w, ref, wire, width);
		plan_add(&t->plan, ref, width);
		t->fields++;
	}
	t->spec_len = wr_len(&w);
	plan_turn(&t->plan, &t->turned);
	find_whole(t, list, wire);
}

int template_set_make(const struct field_list *list, enum template_wire wire,
		      struct template_set *ret_set)
{
	struct template_set set = {.templates = calloc(SHAPES_MAX, sizeof(*set.templates))};
	if (set.templates == NULL)
		return ERR_NOMEM;
	unsigned used = 0;
	for (unsigned i = 0; i < list->count; i++)
		used |= field_needs(list->ref[i]);
	static const unsigned families[] = {NEEDS_IP4, NEEDS_IP6};
	for (unsigned f = 0; f < 2; f++) {
		for (unsigned rest = 0; rest < FIELD_SHAPES; rest += FAMILIES + 1) {
			unsigned shape = families[f] | rest;
			if (visible(shape, used) != shape)
				continue;
			struct template *t = &set.templates[set.count];
			t->id = (uint16_t)(TEMPLATE_FIRST_ID + set.count++);
			t->shape = (uint16_t)shape;
			make_template(t, list, wire);
		}
	}
	for (unsigned shape = 0; shape < FIELD_SHAPES; shape++)
		for (unsigned i = 0; i < set.count; i++)
			if (set.templates[i].shape == visible(shape, used))
				set.by_shape[shape] = (uint8_t)i;
	*ret_set = set;
	return 0;
}

void template_set_free(struct template_set *set)
{
	free(set->templates);
	set->templates = NULL;
	set->count = 0;
}
