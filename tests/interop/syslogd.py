"""Syslog collectors: private instances of rsyslog and syslog-ng on a free loopback port, and what they understood.

Each writes what it parsed of every message as one line, members between bars, so that a member that was read wrong
shows. A Debian system has one syslog daemon, its own: these are not installed but unpacked into build/unpacked
(install-deps.sh).
"""
import collections
import contextlib
import glob
import os
import signal

import tools

UNPACKED = os.path.join(tools.TOP, "build", "unpacked")

Message = collections.namedtuple("Message", "pri timestamp host app procid msgid structured text")


def unpacked(name, pattern):
    """The file or folder of a package that was unpacked."""
    found = glob.glob(os.path.join(UNPACKED, name, pattern))
    if not found:
        raise tools.Missing("%s is not in build/unpacked (install-deps.sh test puts it there)" % name)
    return found[0]


def tcp_listens(port):
    """Does a TCP socket listen on the port? (/proc, so that the collector sees no stray connection)"""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as file:
            for line in file.readlines()[1:]:
                column = line.split()
                if column[3] == "0A" and int(column[1].rsplit(":", 1)[1], 16) == port:
                    return True
    return False


class Collector:
    """A running collector: where to send to, and what it has written so far."""

    def __init__(self, port, path):
        self.port, self._path = port, path

    def messages(self):
        if not os.path.exists(self._path):
            return []
        with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
            return [Message(*line.rstrip("\n").split("|", 7)) for line in file if line.endswith("\n")]

    def wait(self, count):
        """All messages, once there are `count` of them (and no more come at once)."""
        tools.wait_for("%d messages" % count, lambda: len(self.messages()) >= count, 30)
        return self.messages()


@contextlib.contextmanager
def _running(bench, argv, transport, port, folder, env=None):
    with open(folder + "/log", "w") as log, bench.child(argv, stdout=log, stderr=log, env=env) as process:
        listens = (lambda: tools.udp_queue(port)) if transport == "udp" else (lambda: tcp_listens(port))
        try:
            tools.wait_for(argv[0], lambda: listens() or process.poll() is not None)
            if process.poll() is not None:
                raise tools.Failed("%s ended: %s" % (argv[0], open(folder + "/log").read()[-2000:]))
            yield Collector(port, folder + "/out")
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(Exception):
                    process.wait(5)


RSYSLOG = """
global(workDirectory="{folder}" maxMessageSize="64k" processInternalMessages="on"
       parser.escapeControlCharactersOnReceive="off" {tls_global})
template(name="parsed" type="string"
         string="%pri%|%timestamp:::date-rfc3339%|%hostname%|%app-name%|%procid%|%msgid%|%structured-data%|%msg%\\n")
module(load="{module}" {tls_module})
ruleset(name="keep") {{ action(type="omfile" file="{folder}/out" template="parsed") }}
input(type="{module}" address="{ip}" port="{port}" ruleset="keep" {udp_input})
"""


def rsyslog(bench, transport, keys=None, ip=tools.LOOPBACK):
    """rsyslog's imudp, imtcp, or imtcp over GnuTLS, which wants a certificate of a client named probe.example."""
    folder = bench.new_dir()
    port = tools.free_port()
    tls_global = tls_module = ""
    if transport == "tls":
        tls_global = ('defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{0.ca}" '
                      'defaultNetstreamDriverCertFile="{0.cert}" defaultNetstreamDriverKeyFile="{0.key}"').format(keys.server)
        tls_module = ('streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/name" '
                      'permittedPeer=["%s"]' % keys.client.name)
    with open(folder + "/conf", "w") as file:
        file.write(RSYSLOG.format(folder=folder, ip=ip, port=port, tls_global=tls_global, tls_module=tls_module,
                                  module="imudp" if transport == "udp" else "imtcp",
                                  udp_input='rcvbufSize="16m"' if transport == "udp" else ""))
    modules = ":".join(unpacked(name, "usr/lib/*/rsyslog") for name in ("rsyslog", "rsyslog-gnutls"))
    argv = [unpacked("rsyslog", "usr/sbin/rsyslogd"), "-M", modules, "-n", "-f", folder + "/conf", "-i", folder + "/pid"]
    return _running(bench, argv, transport, port, folder)


SYSLOG_NG = """@version: 3.35
options {{ keep-hostname(yes); time-reopen(1); frac-digits(6); use-dns(no); stats-freq(0); log-msg-size(65536); }};
source s {{ syslog(ip("{ip}") ip-protocol({family}) port({port}) transport("{transport}") {tls} {udp}); }};
template t {{ template("$PRI|$S_ISODATE|$HOST|$PROGRAM|${{PID:--}}|${{MSGID:--}}|${{SDATA:--}}|$MSG\\n"); template-escape(no); }};
destination d {{ file("{folder}/out" template(t) flush-lines(1)); }};
log {{ source(s); destination(d); }};
"""


def syslog_ng(bench, transport, keys=None, ip=tools.LOOPBACK):
    """syslog-ng's syslog() driver; over TLS it wants a certificate of our authority."""
    folder = bench.new_dir()
    port = tools.free_port()
    tls = ""
    if transport == "tls":
        tls = ('tls(key-file("{0.key}") cert-file("{0.cert}") ca-file("{0.ca}") '
               'peer-verify(required-trusted))').format(keys.server)
    with open(folder + "/conf", "w") as file:
        file.write(SYSLOG_NG.format(folder=folder, ip=ip, family=6 if ":" in ip else 4, port=port,
                                    transport=transport, tls=tls, udp="so-rcvbuf(16777216)" if transport == "udp" else ""))
    libraries = unpacked("syslog-ng-core", "usr/lib/syslog-ng")
    argv = [unpacked("syslog-ng-core", "usr/sbin/syslog-ng"), "-F", "--no-caps", "-f", folder + "/conf", "-R", folder + "/persist",
            "-c", folder + "/ctl", "-p", folder + "/pid", "--module-path", libraries + "/3.38", "-e"]
    return _running(bench, argv, transport, port, folder, env=dict(tools.utc(), LD_LIBRARY_PATH=libraries))


COLLECTORS = {"rsyslog": rsyslog, "syslog-ng": syslog_ng}
