/*
 * The cursors of wire.h: what is read, what is refused, and that a refusal sticks.
 */
#include <criterion/criterion.h>

#include "wire.h"

static const uint8_t bytes[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
				0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc};

/* ---- reader ------------------------------------------------------------------------------ */

Test(wire_rd, reads_big_endian_in_order_whatever_the_alignment)
{
	struct rd r = rd_init(bytes, sizeof(bytes));
	cr_expect_eq(rd_u8(&r), 0x01);
	cr_expect_eq(rd_u16(&r), 0x2345);
	cr_expect_eq(rd_u32(&r), 0x6789abcd);
	cr_expect_eq(rd_u64(&r), UINT64_C(0xef1032547698badc));
	cr_expect_eq(rd_left(&r), 0);
	cr_expect(!r.bad);
}

Test(wire_rd, little_endian_loads)
{
	cr_expect_eq(le16(bytes), 0x2301);
	cr_expect_eq(le32(bytes), 0x67452301);
	cr_expect_eq(le64(bytes), UINT64_C(0xefcdab8967452301));
}

Test(wire_rd, reading_past_the_end_gives_0_and_sticks)
{
	struct rd r = rd_init(bytes, 3);
	cr_expect_eq(rd_u32(&r), 0);
	cr_expect(r.bad);
	cr_expect_eq(rd_left(&r), 0);
	cr_expect_eq(rd_u8(&r), 0); /* though a byte was left before */
	cr_expect_null(rd_take(&r, 1));
	cr_expect(r.bad);
}

Test(wire_rd, a_hostile_size_does_not_wrap_around)
{
	struct rd r = rd_init(bytes, sizeof(bytes));
	cr_expect_null(rd_peek(&r, SIZE_MAX));
	cr_expect(!r.bad);
	cr_expect_null(rd_take(&r, SIZE_MAX - 1));
	cr_expect(r.bad);
}

Test(wire_rd, take_of_exactly_what_is_left)
{
	struct rd r = rd_init(bytes, sizeof(bytes));
	cr_expect_eq(rd_take(&r, sizeof(bytes)), bytes);
	cr_expect_eq(rd_take(&r, 0), bytes + sizeof(bytes));
	cr_expect(!r.bad);
}

Test(wire_rd, peek_neither_moves_nor_spoils)
{
	struct rd r = rd_init(bytes, 2);
	cr_expect_eq(rd_peek(&r, 2), bytes);
	cr_expect_null(rd_peek(&r, 3));
	cr_expect(!r.bad);
	cr_expect_eq(rd_u16(&r), 0x0123);
}

Test(wire_rd, sub_cannot_leave_its_box_and_the_outer_one_passes_it)
{
	struct rd r = rd_init(bytes, 8);
	struct rd box = rd_sub(&r, 2);
	cr_expect_eq(rd_u32(&box), 0);
	cr_expect(box.bad);
	cr_expect(!r.bad);
	cr_expect_eq(rd_u16(&r), 0x4567);
}

Test(wire_rd, sub_too_large_is_bad_both_ways)
{
	struct rd r = rd_init(bytes, 8);
	struct rd box = rd_sub(&r, 9);
	cr_expect(box.bad);
	cr_expect(r.bad);
	cr_expect_eq(rd_left(&box), 0);
}

Test(wire_rd, clip_only_shortens)
{
	struct rd r = rd_init(bytes, 8);
	rd_clip(&r, 100);
	cr_expect_eq(rd_left(&r), 8);
	rd_clip(&r, 3);
	cr_expect_eq(rd_left(&r), 3);
	rd_skip(&r, 3);
	cr_expect(!r.bad);
	rd_skip(&r, 1);
	cr_expect(r.bad);
}

/* ---- writer ------------------------------------------------------------------------------ */

Test(wire_wr, writes_big_endian_of_any_width)
{
	uint8_t buf[15];
	struct wr w = wr_init(buf, sizeof(buf));
	wr_u8(&w, 0x01);
	wr_u16(&w, 0x2345);
	wr_u32(&w, 0x6789abcd);
	wr_u64(&w, UINT64_C(0xef1032547698badc));
	cr_expect(!w.bad);
	cr_expect_arr_eq(buf, bytes, sizeof(buf));
	wr_rewind(&w, 0);
	wr_uint(&w, 0x012345, 3);
	cr_expect_eq(wr_len(&w), 3);
	cr_expect_arr_eq(buf, bytes, 3);
}

Test(wire_wr, a_value_too_wide_is_refused_and_sticks)
{
	uint8_t buf[8] = {0};
	struct wr w = wr_init(buf, sizeof(buf));
	wr_u16(&w, 0x10000);
	cr_expect(w.bad);
	wr_u8(&w, 1);
	cr_expect_eq(wr_len(&w), 0);
	cr_expect_eq(buf[0], 0);
}

Test(wire_wr, no_room_writes_nothing)
{
	uint8_t buf[4] = {0, 0, 0, 0x5a};
	struct wr w = wr_init(buf, 3);
	wr_u32(&w, UINT32_MAX);
	cr_expect(w.bad);
	cr_expect_eq(wr_left(&w), 3);
	cr_expect_eq(buf[0], 0);
	cr_expect_eq(buf[3], 0x5a);
}

Test(wire_wr, rewind_drops_what_failed)
{
	uint8_t buf[6];
	struct wr w = wr_init(buf, sizeof(buf));
	wr_u32(&w, 1);
	const size_t mark = wr_mark(&w);
	wr_bytes(&w, bytes, 3);
	cr_expect(w.bad);
	wr_rewind(&w, mark);
	cr_expect(!w.bad);
	wr_u16(&w, 2);
	cr_expect(!w.bad);
	cr_expect_eq(wr_len(&w), 6);
}

Test(wire_wr, patches_only_what_was_written)
{
	uint8_t buf[8];
	struct wr w = wr_init(buf, sizeof(buf));
	wr_zero(&w, 6);
	wr_patch_u16(&w, 0, 0x0123);
	wr_patch_u32(&w, 2, 0x456789ab);
	cr_expect(!w.bad);
	cr_expect_arr_eq(buf, bytes, 6);
	wr_patch_u16(&w, 5, 0);
	cr_expect(w.bad);
	wr_rewind(&w, 6);
	wr_patch_u32(&w, 3, 0);
	cr_expect(w.bad);
	wr_rewind(&w, 6);
	wr_patch_u16(&w, 0, 0x10000);
	cr_expect(w.bad);
	wr_rewind(&w, 6);
	wr_patch_u16(&w, SIZE_MAX, 0);
	cr_expect(w.bad);
}
