"""When a flow ends: deadlines, TCP, the clock. Times in whole seconds unless nanoseconds matter.

Timeouts are the defaults: idle 15 s, linger 2 s, active 60 s. "Clock" names packets of another
flow that do nothing but move the clock.
"""
from .case import case, expect, flow, when
from .files import at, pcap
from .packets import *


def timed(*packets):
    return pcap([(at(*(moment if isinstance(moment, tuple) else (moment,))), eth(packet))
                 for moment, packet in packets])


CLOCK_PACKET = udp(C4, B4, 7, 7)


def clock(packets=1, end=4, **more):
    return flow(C4, B4, UDP, 7, 7, (packets, 36 * packets), end=end, **more)


def u(packets, end=4, **more):
    return flow(A4, B4, UDP, 1000, 2000, (packets, 36 * packets), end=end, **more)


def t(forward, reverse=0, end=4, **more):
    return flow(A4, B4, TCP, 1000, 80, (forward, 40 * forward), (reverse, 40 * reverse), end=end,
                **more)


def a(flags):
    return tcp(A4, B4, 1000, 80, flags)


def b(flags):
    return tcp(B4, A4, 80, 1000, flags)


# Idle

case("idle-exact.pcap", "a packet exactly at the idle timeout still belongs to the flow",
     timed((0, U4), (15, U4)), expect([u(2)]))
case("idle-over.pcap", "a nanosecond later the flow has ended",
     timed((0, U4), ((15, 1), U4)), expect([u(1, 1, flowStartNanoseconds=when(0)),
                                            u(1, 4, flowStartNanoseconds=when(15, 1))]))
case("idle-option.pcap", "another idle timeout, with decimals",
     timed((0, U4), (2, U4), ((4, 500000000), U4), ((7, 500000001), U4)),
     expect([u(2, 1), u(1, 1), u(1)], cmd=["--idle-timeout", "2.4"]),
     expect([u(3, 1), u(1)], cmd=["--idle-timeout", "3"], variant="3"))
case("idle-answers-count.pcap", "packets of either direction keep a flow from being idle",
     timed((0, U4), (10, udp(B4, A4, 2000, 1000)), (20, U4)),
     expect([flow(A4, B4, UDP, 1000, 2000, (2, 72), (1, 36))]))
case("idle-due-at-end.pcap", "a flow that is due when the replay ends is idle, one that is not is forced",
     timed((0, U4), (20, CLOCK_PACKET)), expect([u(1, 1), clock()]))
case("clock-any-packet.pcap", "a packet that is not metered (ARP, malformed) moves the clock all the same",
     pcap([(at(0), eth(U4)), (at(16), eth(b"\0\x01\x08\0\x06\x04\0\x01" + b"\0" * 20, 0x0806)),
           (at(17), eth(udp(C4, B4, 7, 7))), (at(33), eth(udp(ihl=1), 0x0800))]),
     expect([u(1, 1), clock(1, 1)], non_ip=1, malformed=1))

# TCP

OPEN = [(0, a(SYN)), (0, b(SYN | ACK)), (0, a(ACK))]
CLOSE = [(1, a(FIN | ACK)), (1, b(FIN | ACK))]

case("tcp-closed.pcap", "FIN both ways closes; the last ACK within the linger still counts; then it ends",
     timed(*OPEN, *CLOSE, (1, a(ACK)), (10, CLOCK_PACKET)),
     expect([t(4, 2, 3, tcpControlBits=SYN | ACK | FIN,
               reverseTcpControlBits=SYN | ACK | FIN), clock()]))
case("tcp-linger-exact.pcap", "a packet exactly at the linger still counts in the closed flow",
     timed(*OPEN, *CLOSE, (3, a(ACK))), expect([t(4, 2, 4)]))
case("tcp-linger-over.pcap", "a nanosecond later it begins a new flow",
     timed(*OPEN, *CLOSE, ((3, 1), a(ACK))), expect([t(3, 2, 3), t(1, 0, 4)]))
case("tcp-linger-option.pcap", "another linger",
     timed(*OPEN, *CLOSE, (3, a(ACK))),
     expect([t(3, 2, 3), t(1, 0, 4)], cmd=["--tcp-linger", "1.5"]))
case("tcp-linger-not-extended.pcap", "the linger runs from the closing packet, not from the last",
     timed(*OPEN, *CLOSE, (2, a(ACK)), ((3, 1), a(ACK))), expect([t(4, 2, 3), t(1, 0, 4)]))
case("tcp-rst.pcap", "RST closes, whoever sends it",
     timed((0, a(SYN)), (0, b(RST | ACK)), (10, CLOCK_PACKET)), expect([t(1, 1, 3), clock()]))
case("tcp-fin-one-way.pcap", "FIN closes a flow whose other direction has no packet",
     timed((0, a(ACK)), (1, a(FIN | ACK)), (10, CLOCK_PACKET)), expect([t(2, 0, 3), clock()]))
case("tcp-fin-half.pcap", "FIN of one side does not close where the other has spoken",
     timed(*OPEN, (1, a(FIN | ACK)), (10, CLOCK_PACKET)), expect([t(3, 1, 4), clock()]))
case("tcp-reopen.pcap", "the other side turns up without FIN within the linger: open again",
     timed((0, a(ACK)), (1, a(FIN | ACK)), (2, b(ACK)), (10, a(ACK))), expect([t(3, 1, 4)]))
case("tcp-syn-on-closed.pcap", "SYN on a closed flow ends it at once and begins another",
     timed(*OPEN, *CLOSE, (2, a(SYN)), (2, b(SYN | ACK))), expect([t(3, 2, 3), t(1, 1, 4)]))
case("tcp-syn-other-side.pcap", "SYN of the other side on a closed flow: the new flow is that side's",
     timed(*OPEN, *CLOSE, (2, b(SYN))),
     expect([t(3, 2, 3), flow(B4, A4, TCP, 80, 1000, (1, 40))]))
case("tcp-syn-ack-on-closed.pcap", "SYN with ACK on a closed flow is one of its packets",
     timed(*OPEN, *CLOSE, (2, b(SYN | ACK))), expect([t(3, 3, 4)]))
case("tcp-syn-on-open.pcap", "a SYN again on an open flow is a retransmission",
     timed((0, a(SYN)), (1, a(SYN)), (3, a(SYN))), expect([t(3)]))

# Active timeout

case("active-once.pcap", "at the active timeout the record leaves; the flow goes on under its id",
     timed(*((n * 10, U4) for n in range(8))),
     expect([u(6, 2, flowId="@flow", flowStartNanoseconds=when(0), flowEndNanoseconds=when(50)),
             u(2, 4, flowId="@flow", flowStartNanoseconds=when(60), flowEndNanoseconds=when(70))]))
case("active-just-before.pcap", "a nanosecond before the active timeout a packet is still in the record",
     timed((0, U4), (14, U4), (28, U4), (42, U4), (56, U4), ((59, 999999999), U4), (60, U4)),
     expect([u(6, 2), u(1, 4)]))
case("active-many.pcap", "many records; a new one begins with the flow's next packet, not with the clock",
     timed((0, U4), (10, U4), (200, U4), (210, U4), (259, U4), (260, U4), (400, U4)),
     expect([u(2, 2, flowId="@flow"), u(3, 2, flowId="@flow"), u(1, 2, flowId="@flow"),
             u(1, 4, flowId="@flow")], cmd=["--idle-timeout", "1000"]))
case("active-then-idle.pcap", "a flow whose packets have all left ends without a record",
     timed((0, U4), (13, U4), (26, U4), (39, U4), (52, U4), (61, CLOCK_PACKET),
           (68, CLOCK_PACKET)),
     expect([u(5, 2), clock(2)]))
case("active-keeps-initiator.pcap", "the second record keeps its initiator though the other side speaks first",
     timed((0, a(SYN)), (0, b(SYN | ACK)), (14, b(ACK)), (28, b(ACK)), (42, b(ACK)), (56, b(ACK)),
           (61, b(ACK)), (62, a(ACK))),
     expect([t(1, 5, 2, flowId="@flow"), t(1, 1, 4, flowId="@flow")]))
case("active-keeps-tcp-state.pcap", "a FIN in the first record and one in the second close together",
     timed((0, a(SYN)), (0, b(SYN | ACK)), (14, a(FIN | ACK)), (28, b(ACK)), (42, b(ACK)),
           (56, b(ACK)), (61, b(FIN | ACK)), (70, CLOCK_PACKET)),
     expect([t(2, 4, 2, flowId="@flow"), t(0, 1, 3, flowId="@flow"), clock()]))

# Two deadlines on one instant. Idle and closed are due a nanosecond past their sum, active at it.

case("tie-idle-active.pcap", "idle and active due at one instant: idle comes first",
     timed((0, U4), (15, U4), (30, U4), ((44, 999999999), U4), (70, CLOCK_PACKET)),
     expect([u(4, 1), clock()]))
# Read by the instants when they are due, active is a nanosecond earlier; read by their sums, both
# are one instant and idle comes first. The contract bears both: the reason is left open.
case("tie-idle-active-sums.pcap", "last packet + idle = first packet + active, noticed late: one record, "
     "its reason left open",
     timed((0, U4), (15, U4), (30, U4), (45, U4), (70, CLOCK_PACKET)),
     expect([u(4, None), clock()]))
case("tie-active-exact.pcap", "the same, noticed by the flow's own packet at that instant: only active is due",
     timed((0, U4), (15, U4), (30, U4), (45, U4), (60, U4)),
     expect([u(4, 2), u(1, 4)]))
case("tie-idle-closed.pcap", "idle and closed due at one instant: idle comes first",
     timed((0, a(ACK)), (1, a(FIN | ACK)), (10, CLOCK_PACKET)),
     expect([t(2, 0, 1), clock()], cmd=["--idle-timeout", "2"]))
case("tie-closed-active.pcap", "closed and active due at one instant: closed comes first",
     timed((0, a(ACK)), (14, a(ACK)), (28, a(ACK)), (42, a(ACK)), (56, a(ACK)),
           ((57, 999999999), a(FIN | ACK)), (70, CLOCK_PACKET)),
     expect([t(6, 0, 3), clock()]))

# The clock

case("late-packet.pcap", "a packet earlier than the clock arrives at the clock, and keeps its time on the record",
     timed((10, CLOCK_PACKET), (5, U4), (25, U4)),
     expect([clock(), u(2, 4, flowStartNanoseconds=when(5), flowEndNanoseconds=when(25))]))
case("late-within-flow.pcap", "packets of a flow out of order: start and end are the least and the greatest",
     timed((10, U4), (8, U4), (9, U4)),
     expect([u(3, 4, flowStartNanoseconds=when(8), flowEndNanoseconds=when(10))]))
case("set-back-exact.pcap", "exactly the idle timeout behind the clock is late, not set back",
     timed((100, CLOCK_PACKET), (85, U4), (85, U4)),
     expect([clock(), u(2, 4, flowStartNanoseconds=when(85))]))
case("set-back.pcap", "a nanosecond more and time was set back: all held ends, what is due below first, "
     "and the clock starts anew",
     timed((80, udp(sport=1)), (100, udp(sport=2)), (100, udp(sport=2)),
           ((84, 999999999), udp(sport=2)), (95, udp(sport=2))),
     expect([flow(A4, B4, UDP, 1, 2000, (1, 36), end=1), flow(A4, B4, UDP, 2, 2000, (2, 72)),
             flow(A4, B4, UDP, 2, 2000, (2, 72), flowStartNanoseconds=when(84, 999999999),
                  flowEndNanoseconds=when(95))]))
case("set-back-far.pcap", "time set back by 20 years and forward again",
     timed((600000000, U4), (0, U4), (600000000, U4)), expect([u(1, 4), u(1, 1), u(1, 4)]))
