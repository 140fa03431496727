"""IANA's IPFIX information elements: number, name, type; written from the registry, not from weir's own table.

One line an element. The type gives the full length on the wire and how a value reads:
u8 u16 u32 u64, ip4 ip6 mac, str and bytes (any length), f64, sec ms us ns (points in time), bool.
`python3 elements.py` prints the table as `number name type`, for comparison with another registry.
"""

REVERSE_PEN = 29305  # RFC 5103

_TABLE = """
1 octetDeltaCount u64
2 packetDeltaCount u64
3 deltaFlowCount u64
4 protocolIdentifier u8
5 ipClassOfService u8
6 tcpControlBits u16
7 sourceTransportPort u16
8 sourceIPv4Address ip4
9 sourceIPv4PrefixLength u8
10 ingressInterface u32
11 destinationTransportPort u16
12 destinationIPv4Address ip4
13 destinationIPv4PrefixLength u8
14 egressInterface u32
15 ipNextHopIPv4Address ip4
16 bgpSourceAsNumber u32
17 bgpDestinationAsNumber u32
18 bgpNextHopIPv4Address ip4
19 postMCastPacketDeltaCount u64
20 postMCastOctetDeltaCount u64
21 flowEndSysUpTime u32
22 flowStartSysUpTime u32
23 postOctetDeltaCount u64
24 postPacketDeltaCount u64
25 minimumIpTotalLength u64
26 maximumIpTotalLength u64
27 sourceIPv6Address ip6
28 destinationIPv6Address ip6
29 sourceIPv6PrefixLength u8
30 destinationIPv6PrefixLength u8
31 flowLabelIPv6 u32
32 icmpTypeCodeIPv4 u16
33 igmpType u8
34 samplingInterval u32
35 samplingAlgorithm u8
36 flowActiveTimeout u16
37 flowIdleTimeout u16
38 engineType u8
39 engineId u8
40 exportedOctetTotalCount u64
41 exportedMessageTotalCount u64
42 exportedFlowRecordTotalCount u64
44 sourceIPv4Prefix ip4
45 destinationIPv4Prefix ip4
46 mplsTopLabelType u8
47 mplsTopLabelIPv4Address ip4
48 samplerId u8
49 samplerMode u8
50 samplerRandomInterval u32
51 classId u8
52 minimumTTL u8
53 maximumTTL u8
54 fragmentIdentification u32
55 postIpClassOfService u8
56 sourceMacAddress mac
57 postDestinationMacAddress mac
58 vlanId u16
59 postVlanId u16
60 ipVersion u8
61 flowDirection u8
62 ipNextHopIPv6Address ip6
63 bgpNextHopIPv6Address ip6
64 ipv6ExtensionHeaders u32
70 mplsTopLabelStackSection bytes
71 mplsLabelStackSection2 bytes
72 mplsLabelStackSection3 bytes
73 mplsLabelStackSection4 bytes
74 mplsLabelStackSection5 bytes
75 mplsLabelStackSection6 bytes
76 mplsLabelStackSection7 bytes
77 mplsLabelStackSection8 bytes
78 mplsLabelStackSection9 bytes
79 mplsLabelStackSection10 bytes
80 destinationMacAddress mac
81 postSourceMacAddress mac
82 interfaceName str
83 interfaceDescription str
84 samplerName str
85 octetTotalCount u64
86 packetTotalCount u64
87 flagsAndSamplerId u32
88 fragmentOffset u16
89 forwardingStatus u8
94 applicationDescription str
95 applicationId bytes
96 applicationName str
98 postIpDiffServCodePoint u8
99 multicastReplicationFactor u32
101 classificationEngineId u8
128 bgpNextAdjacentAsNumber u32
129 bgpPrevAdjacentAsNumber u32
130 exporterIPv4Address ip4
131 exporterIPv6Address ip6
132 droppedOctetDeltaCount u64
133 droppedPacketDeltaCount u64
134 droppedOctetTotalCount u64
135 droppedPacketTotalCount u64
136 flowEndReason u8
137 commonPropertiesId u64
138 observationPointId u64
139 icmpTypeCodeIPv6 u16
140 mplsTopLabelIPv6Address ip6
141 lineCardId u32
142 portId u32
143 meteringProcessId u32
144 exportingProcessId u32
145 templateId u16
146 wlanChannelId u8
147 wlanSSID str
148 flowId u64
149 observationDomainId u32
150 flowStartSeconds sec
151 flowEndSeconds sec
152 flowStartMilliseconds ms
153 flowEndMilliseconds ms
154 flowStartMicroseconds us
155 flowEndMicroseconds us
156 flowStartNanoseconds ns
157 flowEndNanoseconds ns
158 flowStartDeltaMicroseconds u32
159 flowEndDeltaMicroseconds u32
160 systemInitTimeMilliseconds ms
161 flowDurationMilliseconds u32
162 flowDurationMicroseconds u32
163 observedFlowTotalCount u64
164 ignoredPacketTotalCount u64
165 ignoredOctetTotalCount u64
166 notSentFlowTotalCount u64
167 notSentPacketTotalCount u64
168 notSentOctetTotalCount u64
169 destinationIPv6Prefix ip6
170 sourceIPv6Prefix ip6
171 postOctetTotalCount u64
172 postPacketTotalCount u64
173 flowKeyIndicator u64
174 postMCastPacketTotalCount u64
175 postMCastOctetTotalCount u64
176 icmpTypeIPv4 u8
177 icmpCodeIPv4 u8
178 icmpTypeIPv6 u8
179 icmpCodeIPv6 u8
180 udpSourcePort u16
181 udpDestinationPort u16
182 tcpSourcePort u16
183 tcpDestinationPort u16
184 tcpSequenceNumber u32
185 tcpAcknowledgementNumber u32
186 tcpWindowSize u16
187 tcpUrgentPointer u16
188 tcpHeaderLength u8
189 ipHeaderLength u8
190 totalLengthIPv4 u16
191 payloadLengthIPv6 u16
192 ipTTL u8
193 nextHeaderIPv6 u8
194 mplsPayloadLength u32
195 ipDiffServCodePoint u8
196 ipPrecedence u8
197 fragmentFlags u8
198 octetDeltaSumOfSquares u64
199 octetTotalSumOfSquares u64
200 mplsTopLabelTTL u8
201 mplsLabelStackLength u32
202 mplsLabelStackDepth u32
203 mplsTopLabelExp u8
204 ipPayloadLength u32
205 udpMessageLength u16
206 isMulticast u8
207 ipv4IHL u8
208 ipv4Options u32
209 tcpOptions u64
210 paddingOctets bytes
211 collectorIPv4Address ip4
212 collectorIPv6Address ip6
213 exportInterface u32
214 exportProtocolVersion u8
215 exportTransportProtocol u8
216 collectorTransportPort u16
217 exporterTransportPort u16
218 tcpSynTotalCount u64
219 tcpFinTotalCount u64
220 tcpRstTotalCount u64
221 tcpPshTotalCount u64
222 tcpAckTotalCount u64
223 tcpUrgTotalCount u64
224 ipTotalLength u64
225 postNATSourceIPv4Address ip4
226 postNATDestinationIPv4Address ip4
227 postNAPTSourceTransportPort u16
228 postNAPTDestinationTransportPort u16
231 initiatorOctets u64
232 responderOctets u64
233 firewallEvent u8
234 ingressVRFID u32
235 egressVRFID u32
236 VRFname str
237 postMplsTopLabelExp u8
238 tcpWindowScale u16
239 biflowDirection u8
240 ethernetHeaderLength u8
241 ethernetPayloadLength u16
242 ethernetTotalLength u16
243 dot1qVlanId u16
244 dot1qPriority u8
245 dot1qCustomerVlanId u16
246 dot1qCustomerPriority u8
252 ingressPhysicalInterface u32
253 egressPhysicalInterface u32
254 postDot1qVlanId u16
255 postDot1qCustomerVlanId u16
256 ethernetType u16
258 collectionTimeMilliseconds ms
259 exportSctpStreamId u16
260 maxExportSeconds sec
261 maxFlowEndSeconds sec
262 messageMD5Checksum bytes
263 messageScope u8
264 minExportSeconds sec
265 minFlowStartSeconds sec
266 opaqueOctets bytes
267 sessionScope u8
268 maxFlowEndMicroseconds us
269 maxFlowEndMilliseconds ms
270 maxFlowEndNanoseconds ns
271 minFlowStartMicroseconds us
272 minFlowStartMilliseconds ms
273 minFlowStartNanoseconds ns
277 observationPointType u8
278 newConnectionDeltaCount u32
279 connectionSumDurationSeconds u64
280 connectionTransactionId u64
281 postNATSourceIPv6Address ip6
282 postNATDestinationIPv6Address ip6
283 natPoolId u32
284 natPoolName str
285 anonymizationFlags u16
286 anonymizationTechnique u16
287 informationElementIndex u16
298 initiatorPackets u64
299 responderPackets u64
300 observationDomainName str
301 selectionSequenceId u64
302 selectorId u64
303 informationElementId u16
304 selectorAlgorithm u16
305 samplingPacketInterval u32
306 samplingPacketSpace u32
307 samplingTimeInterval u32
308 samplingTimeSpace u32
309 samplingSize u32
310 samplingPopulation u32
311 samplingProbability f64
312 dataLinkFrameSize u16
313 ipHeaderPacketSection bytes
314 ipPayloadPacketSection bytes
315 dataLinkFrameSection bytes
318 selectorIdTotalPktsObserved u64
319 selectorIdTotalPktsSelected u64
320 absoluteError f64
321 relativeError f64
322 observationTimeSeconds sec
323 observationTimeMilliseconds ms
324 observationTimeMicroseconds us
325 observationTimeNanoseconds ns
326 digestHashValue u64
335 selectorName str
339 informationElementDataType u8
340 informationElementDescription str
341 informationElementName str
342 informationElementRangeBegin u64
343 informationElementRangeEnd u64
344 informationElementSemantics u8
345 informationElementUnits u16
346 privateEnterpriseNumber u32
351 layer2SegmentId u64
352 layer2OctetDeltaCount u64
353 layer2OctetTotalCount u64
368 ingressInterfaceType u32
369 egressInterfaceType u32
371 userName str
390 flowSelectorAlgorithm u16
391 flowSelectedOctetDeltaCount u64
392 flowSelectedPacketDeltaCount u64
393 flowSelectedFlowDeltaCount u64
394 selectorIDTotalFlowsObserved u64
395 selectorIDTotalFlowsSelected u64
396 samplingFlowInterval u64
397 samplingFlowSpacing u64
408 dataLinkFrameType u16
410 sectionExportedOctets u16
"""

LENGTH = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "ip4": 4, "ip6": 16, "mac": 6, "f64": 8,
          "sec": 4, "ms": 8, "us": 8, "ns": 8, "str": None, "bytes": None}
REDUCIBLE = {"u16", "u32", "u64", "f64"}  # RFC 7011 §6.2; a float64 may only shrink to 4 bytes

# RFC 5103 §6.1: what names a flow, a process or a template has no reverse.
NOT_REVERSIBLE = {4, 7, 8, 11, 12, 27, 28, 40, 41, 42, 130, 131, 137, 143, 144, 145, 148, 149, 163, 164, 165, 166, 167,
                  168, 173, 210, 239, 301, 302}


class Element:
    """One information element; `length` is its full length, None where any length will do."""

    def __init__(self, number, name, kind, pen=0):
        self.number, self.name, self.kind, self.pen = number, name, kind, pen
        self.length = LENGTH[kind]

    def accepts(self, length):
        """Says whether a template may give the element this length (65535 is "variable")."""
        if self.length is None:
            return length > 0
        if length == self.length:
            return True
        if self.kind == "f64":
            return length == 4
        return self.kind in REDUCIBLE and 0 < length < self.length


def _load():
    by_number, by_name = {}, {}
    for line in _TABLE.split("\n"):
        if not line.strip():
            continue
        number, name, kind = line.split()
        element = Element(int(number), name, kind)
        assert element.number not in by_number and name not in by_name, line
        by_number[element.number] = by_name[name] = element
    return by_number, by_name


BY_NUMBER, BY_NAME = _load()


def reverse_name(name):
    return "reverse" + name[0].upper() + name[1:]


def lookup(number, pen=0):
    """Returns the element, its reverse for PEN 29305, or None when the registry has none such."""
    element = BY_NUMBER.get(number)
    if element is None or pen == 0:
        return element
    if pen != REVERSE_PEN:
        return None
    return Element(number, reverse_name(element.name), element.kind, pen)


if __name__ == "__main__":
    for element in BY_NUMBER.values():
        print(element.number, element.name, element.kind)
