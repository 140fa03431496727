"""Unit tests of what keeps cases that run side by side apart."""
import multiprocessing
import socket
import unittest

import tools

EACH = 300


def ports(send):
    send.send([tools.free_port() for _ in range(EACH)])


class Ports(unittest.TestCase):
    def test_processes_side_by_side_get_different_ones(self):
        fork = multiprocessing.get_context("fork")
        pipes = [fork.Pipe(duplex=False) for _ in range(3)]
        processes = [fork.Process(target=ports, args=(send,)) for _, send in pipes]
        for process in processes:
            process.start()
        given = sum((receive.recv() for receive, _ in pipes), [])
        for process in processes:
            process.join()
        self.assertEqual(len(set(given)), 3 * EACH)

    def test_the_kernel_gives_it_to_nobody(self):
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            first = int(file.read().split()[0])
        self.assertLess(tools.free_port(), first)

    def test_a_taken_one_is_passed_over(self):
        with socket.socket() as taken:
            following = tools.free_port() + 1
            taken.bind((tools.LOOPBACK, following))
            self.assertNotEqual(tools.free_port(), following)


if __name__ == "__main__":
    unittest.main()
