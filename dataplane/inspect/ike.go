package inspect

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// IKE is what an IKE message tells in clear (RFC 7296, 3.1).
type IKE struct {
	Ends
	UDPEncapsulated bool   `json:"udp_encapsulated"` // behind the marker of port 4500
	Version         string `json:"version,omitempty"`
	Exchange        string `json:"exchange"` // by its name; nat-keepalive (RFC 3948, 2.3)
	InitiatorSPI    string `json:"initiator_spi,omitempty"`
	ResponderSPI    string `json:"responder_spi,omitempty"`
	// Initiator: the sender is the original initiator of the IKE_SA.
	Initiator bool   `json:"initiator"`
	Response  bool   `json:"response"`
	MessageID uint32 `json:"message_id"`
	Length    int    `json:"length"` // octets, of the message
	// Notify are the notifications that are not encrypted, by name.
	Notify []string `json:"notify,omitempty"`
}

// natKeepalive is in place of an exchange's name.
const natKeepalive = "nat-keepalive"

// exchanges are the exchange types of IANA's registries: IKEv2's from 34 on,
// those before are IKEv1's.
var exchanges = map[uint8]string{
	2: "Identity Protection", 4: "Aggressive", 5: "Informational", 6: "Transaction", 32: "Quick Mode", 33: "New Group Mode",
	34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL", 38: "IKE_SESSION_RESUME",
	39: "GSA_AUTH", 40: "GSA_REGISTRATION", 41: "GSA_REKEY", 43: "IKE_INTERMEDIATE", 44: "IKE_FOLLOWUP_KE",
}

// notifications are the types that are seen in clear: errors, and what an
// IKE_SA_INIT asks for or offers (RFC 7296, 3.10.1; RFC 7383, 7427, 8784, 9242,
// 9370).
var notifications = map[uint16]string{
	1: "UNSUPPORTED_CRITICAL_PAYLOAD", 4: "INVALID_IKE_SPI", 5: "INVALID_MAJOR_VERSION", 7: "INVALID_SYNTAX",
	9: "INVALID_MESSAGE_ID", 11: "INVALID_SPI", 14: "NO_PROPOSAL_CHOSEN", 17: "INVALID_KE_PAYLOAD",
	24: "AUTHENTICATION_FAILED", 16388: "NAT_DETECTION_SOURCE_IP", 16389: "NAT_DETECTION_DESTINATION_IP",
	16390: "COOKIE", 16406: "REDIRECT_SUPPORTED", 16407: "REDIRECT", 16418: "CHILDLESS_IKEV2_SUPPORTED",
	16430: "IKEV2_FRAGMENTATION_SUPPORTED", 16431: "SIGNATURE_HASH_ALGORITHMS", 16435: "USE_PPK", 16438: "INTERMEDIATE_EXCHANGE_SUPPORTED",
}

// Payload types (RFC 7296, 3.2) at which the walk looks or ends, and its length.
const (
	payloadNotify    = 41
	payloadEncrypted = 46
	payloadFragment  = 53 // encrypted (RFC 7383)
	maxPayloads      = 64
)

// ikeHeader is that header's length.
const ikeHeader = 28

// frameIKE explains the message b, behind the marker of port 4500 if marked.
func (in *Inspector) frameIKE(r *Record, d *datagram, b []byte, marked bool, w whole) {
	m := &IKE{Ends: d.ends(), UDPEncapsulated: marked, Length: d.length - (len(d.payload) - len(b))}
	r.Kind, r.IKE = KindIKE, m
	name := "not known"
	defer func() { in.tunnels.exchange(name) }()
	if len(b) < ikeHeader {
		if w == entire {
			r.Error = fmt.Sprintf("an IKE message of %d octets has no header", len(b))
			in.tunnels.malformed++
		}
		return
	}
	m.InitiatorSPI, m.ResponderSPI = fmt.Sprintf("%x", b[:8]), fmt.Sprintf("%x", b[8:16])
	m.Version = fmt.Sprintf("%d.%d", b[17]>>4, b[17]&0xf)
	v2, kind, flags := b[17]>>4 == 2, b[18], b[19]
	m.Initiator, m.Response = v2 && flags&0x08 != 0, v2 && flags&0x20 != 0
	m.MessageID = binary.BigEndian.Uint32(b[20:])
	m.Exchange = fmt.Sprintf("exchange %d", kind)
	if n, ok := exchanges[kind]; ok && v2 == (kind >= 34) {
		m.Exchange, name = n, n
	}
	length := binary.BigEndian.Uint32(b[24:])
	switch {
	case length < ikeHeader || uint64(length) > uint64(max(m.Length, 0)):
		r.Error = fmt.Sprintf("the IKE header tells of %d octets where there are %d", length, m.Length)
		in.tunnels.malformed++
		return
	case string(b[:8]) == "\x00\x00\x00\x00\x00\x00\x00\x00":
		r.Error = "the initiator's SPI is 0 (RFC 7296, 3.1)"
		in.tunnels.malformed++
	case !v2 && b[17]>>4 != 1:
		r.Error = fmt.Sprintf("IKE version %s is not known", m.Version)
		in.tunnels.malformed++
	case !v2:
		r.Hint = "IKEv1: linkseal and Azure's gateways with their own policies speak IKEv2"
	}
	if v2 {
		m.notified(b[16], b[ikeHeader:min(len(b), int(length))])
	}
	for _, n := range m.Notify {
		in.tunnels.refusal(n)
	}
}

// notified walks the payloads up to those that are encrypted.
func (m *IKE) notified(next uint8, b []byte) {
	for range maxPayloads {
		if next == 0 || next == payloadEncrypted || next == payloadFragment || len(b) < 4 {
			return
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		if size < 4 || size > len(b) {
			return
		}
		if next == payloadNotify && size >= 8 {
			kind := binary.BigEndian.Uint16(b[6:])
			name, ok := notifications[kind]
			if !ok {
				name = fmt.Sprintf("notify %d", kind)
			}
			m.Notify = append(m.Notify, name)
		}
		next, b = b[0], b[size:]
	}
}

func (m *IKE) text(b *strings.Builder) {
	m.Ends.text(b)
	if m.UDPEncapsulated {
		b.WriteString(" in UDP 4500")
	}
	if m.Exchange == "" || m.Exchange == natKeepalive {
		fmt.Fprintf(b, " %s", m.Exchange)
		return
	}
	role, way := "responder", "request"
	if m.Initiator {
		role = "initiator"
	}
	if m.Response {
		way = "response"
	}
	fmt.Fprintf(b, " %s %s %d of the %s, v%s spi %s %s, %d octets", m.Exchange, way, m.MessageID, role, m.Version, m.InitiatorSPI, m.ResponderSPI, m.Length)
	if len(m.Notify) > 0 {
		fmt.Fprintf(b, "\n      notifies %s", strings.Join(m.Notify, ", "))
	}
}
