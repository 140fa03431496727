/*
 * Six instructions, written by hand: libxdp's own program would need its object file, a dispatcher
 * and a mounted BPF file system at run time, and would stay at the port when weir is killed. One
 * written here needs no compiler for BPF either.
 *
 * It is attached by a BPF link (Linux 5.9). A link lives as long as a descriptor of it, so the
 * kernel takes the program off however weir ends, by SIGKILL as well, and nothing can be left over
 * for the next start to remove. Attaching by netlink, which outlives the process, is for that
 * reason not even tried.
 */
#include "xdp_prog.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROG_NAME "weir_xdp"

/* ---- loading ------------------------------------------------------------------------------- */

/* return bpf_redirect_map(map, ctx->rx_queue_index, XDP_PASS) */
static int load(int map, bool frags)
{
	const struct bpf_insn code[] = {
		{.code = BPF_LDX | BPF_MEM | BPF_W,
		 .dst_reg = BPF_REG_2,
		 .src_reg = BPF_REG_1,
		 .off = offsetof(struct xdp_md, rx_queue_index)},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = BPF_REG_1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{.code = 0}, /* the upper half of the address */
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_map},
		{.code = BPF_JMP | BPF_EXIT},
	};
	const struct bpf_prog_load_opts opts = {
		.sz = sizeof(opts),
		.expected_attach_type = BPF_XDP,
		.prog_flags = frags ? BPF_F_XDP_HAS_FRAGS : 0,
	};
	return bpf_prog_load(BPF_PROG_TYPE_XDP, PROG_NAME, "BSD", code,
			     sizeof(code) / sizeof(code[0]), &opts);
}

/* The kernel's words for a failure, and the cure. */
static int explain_load(const char *name, int err, char *errbuf, unsigned errsize)
{
	if (err == -EPERM)
		snprintf(
			errbuf, errsize,
			"%s: no permission for XDP; run as root or with CAP_NET_ADMIN, CAP_NET_RAW "
			"and CAP_BPF",
			name);
	else
		snprintf(errbuf, errsize, "%s: this kernel takes no XDP program: %s; try ring:%s",
			 name, strerror(-err), name);
	return err;
}

/* Packets in several pieces (Linux 5.18) if they can be had. */
static int load_any(struct xdp_prog *prog, unsigned queues)
{
	prog->map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, PROG_NAME, sizeof(uint32_t),
				   sizeof(uint32_t), queues, NULL);
	if (prog->map < 0)
		return prog->map;
	prog->code = load(prog->map, true);
	if (prog->code < 0)
		prog->code = load(prog->map, false);
	return prog->code < 0 ? prog->code : 0;
}

/* ---- attaching ----------------------------------------------------------------------------- */

/* Who is at the port already. */
static int explain_busy(const char *name, unsigned ifindex, char *errbuf, unsigned errsize)
{
	struct bpf_xdp_query_opts query = {.sz = sizeof(query)};
	struct bpf_prog_info info = {.id = 0};
	uint32_t size = sizeof(info);
	int fd = -1;
	if (bpf_xdp_query((int)ifindex, 0, &query) == 0)
		fd = bpf_prog_get_fd_by_id(query.prog_id);
	if (fd >= 0) {
		(void)bpf_obj_get_info_by_fd(fd, &info, &size);
		close(fd);
	}
	if (strcmp(info.name, PROG_NAME) == 0)
		snprintf(errbuf, errsize, "%s: another weir takes this port's packets by XDP",
			 name);
	else
		snprintf(errbuf, errsize,
			 "%s: the XDP program '%s' (id %u) is attached already; end what attached "
			 "it, "
			 "or: ip link set dev %s xdp off",
			 name, info.name, query.prog_id, name);
	return -EBUSY;
}

static int try_attach(const struct xdp_prog *prog, unsigned ifindex, unsigned mode)
{
	const struct bpf_link_create_opts opts = {.sz = sizeof(opts), .flags = mode};
	return bpf_link_create(prog->code, (int)ifindex, BPF_XDP, &opts);
}

static int attach(struct xdp_prog *prog, unsigned ifindex, bool generic)
{
	prog->link = generic ? -EOPNOTSUPP : try_attach(prog, ifindex, XDP_FLAGS_DRV_MODE);
	prog->native = prog->link >= 0;
	if (prog->link < 0 && prog->link != -EBUSY && prog->link != -EEXIST)
		prog->link = try_attach(prog, ifindex, XDP_FLAGS_SKB_MODE);
	return prog->link < 0 ? prog->link : 0;
}

int xdp_prog_attach(struct xdp_prog *prog, const char *name, unsigned ifindex, unsigned queues,
		    bool generic, char *errbuf, unsigned errsize)
{
	*prog = XDP_PROG_NONE;
	int err = load_any(prog, queues);
	if (err < 0) {
		explain_load(name, err, errbuf, errsize);
	} else {
		err = attach(prog, ifindex, generic);
		if (err == -EBUSY || err == -EEXIST)
			explain_busy(name, ifindex, errbuf, errsize);
		else if (err < 0)
			snprintf(errbuf, errsize,
				 "%s: no XDP program can be attached: %s; try ring:%s", name,
				 strerror(-err), name);
	}
	if (err < 0)
		xdp_prog_detach(prog);
	return err;
}

int xdp_prog_add(const struct xdp_prog *prog, unsigned queue, int socket)
{
	uint32_t key = queue, value = (uint32_t)socket;
	return bpf_map_update_elem(prog->map, &key, &value, 0);
}

void xdp_prog_remove(const struct xdp_prog *prog, unsigned queue)
{
	uint32_t key = queue;
	(void)bpf_map_delete_elem(prog->map, &key);
}

void xdp_prog_detach(struct xdp_prog *prog)
{
	const int fds[] = {prog->link, prog->code, prog->map};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*prog = XDP_PROG_NONE;
}
