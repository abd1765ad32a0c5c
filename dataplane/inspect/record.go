package inspect

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// Kinds of Record.
const (
	KindMKA    = "mka"
	KindMACsec = "macsec"
	KindClear  = "clear"
	// Tunnels, by their outer headers.
	KindESP       = "esp"
	KindIKE       = "ike"
	KindWireGuard = "wireguard"
)

// What an ICV was found to be.
const (
	ICVOK         = "ok"
	ICVBad        = "bad"
	ICVUnknownCKN = "unknown-ckn" // MKPDUs: no CAK for the CKN
	ICVNoKey      = "no-key"      // MACsec frames: no SAK for the SCI and AN
)

// Record explains one frame. Of MKA, MACsec, Clear, ESP, IKE and WireGuard the
// one that Kind names is set. As JSON it is one flat object.
type Record struct {
	Frame int
	Time  time.Time
	Kind  string
	VLANs []VLAN // in clear, outermost first
	// Error says what is wrong with the frame, or why its ICV is bad.
	Error string
	// Hint is what else the operator should know.
	Hint string

	MKA       *MKA
	MACsec    *MACsec
	Clear     *Clear
	ESP       *ESP
	IKE       *IKE
	WireGuard *WireGuard

	src, dst [6]byte
	hasMAC   bool
}

// VLAN is a tag in clear.
type VLAN struct {
	TPID string `json:"tpid"`
	PCP  uint8  `json:"pcp"`
	DEI  bool   `json:"dei"`
	VID  uint16 `json:"vid"`
}

func newVLAN(b []byte) VLAN {
	tci := binary.BigEndian.Uint16(b[2:])
	return VLAN{TPID: fmt.Sprintf("0x%04x", binary.BigEndian.Uint16(b)), PCP: uint8(tci >> 13), DEI: tci&0x1000 != 0, VID: tci & 0xfff}
}

// MKA is what an MKPDU says.
type MKA struct {
	CKN        string `json:"ckn"`
	ICV        string `json:"icv"`
	Version    uint8  `json:"version"`
	KeyServer  bool   `json:"key_server"`
	Priority   uint8  `json:"priority"`
	Desired    bool   `json:"macsec_desired"`
	Capability uint8  `json:"macsec_capability"`
	SCI        string `json:"sci"`
	MI         string `json:"mi"`
	MN         uint32 `json:"mn"`

	LivePeers      []Peer          `json:"live_peers"`
	PotentialPeers []Peer          `json:"potential_peers"`
	KeyServerSSCI  uint8           `json:"key_server_ssci,omitempty"`
	SAKUse         *SAKUse         `json:"sak_use,omitempty"`
	DistributedSAK *DistributedSAK `json:"distributed_sak,omitempty"`
	XPN            *XPN            `json:"xpn,omitempty"`

	cut bool // before its ICV: what it says of peers and keys is not known
}

// Peer is an entry of a peer list.
type Peer struct {
	MI string `json:"mi"`
	MN uint32 `json:"mn"`
}

// SAKUse is a MACsec SAK Use set. Latest and Old are nil for no key.
type SAKUse struct {
	Latest       *KeyUse `json:"latest,omitempty"`
	Old          *KeyUse `json:"old,omitempty"`
	PlainTx      bool    `json:"plain_tx"`
	PlainRx      bool    `json:"plain_rx"`
	DelayProtect bool    `json:"delay_protect"`
}

// KeyUse is one key of a SAKUse. LowestPN has 64 bits with an XPN set.
type KeyUse struct {
	AN          uint8  `json:"an"`
	KeyServerMI string `json:"key_server_mi"`
	KN          uint32 `json:"kn"`
	Tx          bool   `json:"tx"`
	Rx          bool   `json:"rx"`
	LowestPN    uint64 `json:"lowest_pn"`
}

// DistributedSAK is a Distributed SAK set. PlainText asks for no MACsec and
// has none of the rest.
type DistributedSAK struct {
	AN                    uint8  `json:"an"`
	KN                    uint32 `json:"kn"`
	Cipher                string `json:"cipher,omitempty"`
	ConfidentialityOffset int    `json:"confidentiality_offset"`
	IntegrityOnly         bool   `json:"integrity_only,omitempty"`
	PlainText             bool   `json:"plain_text,omitempty"`
	SAK                   string `json:"sak,omitempty"`
}

// XPN is an XPN set; the times are in seconds.
type XPN struct {
	Suspension   uint8  `json:"suspension_time"`
	LatestPNHigh uint32 `json:"latest_lowest_pn_high"`
	OldPNHigh    uint32 `json:"old_lowest_pn_high"`
}

// MACsec is what a MACsec frame tells. PN has 64 bits once an XPN suite's
// frame is verified, until then the SecTAG's 32.
type MACsec struct {
	SCI       string `json:"sci"`
	AN        uint8  `json:"an"`
	PN        uint64 `json:"pn"`
	Encrypted bool   `json:"encrypted"`
	ICV       string `json:"icv"`
	TCI       string `json:"tci"`
	SL        uint8  `json:"short_length"`
	// Length is the user data's, from its EtherType on.
	Length int `json:"length"`
	// Key is the key identifier of the SAK that verified: MI/KN.
	Key       string `json:"key,omitempty"`
	Cipher    string `json:"cipher,omitempty"`
	Plaintext string `json:"plaintext,omitempty"`
}

// Clear is any other frame.
type Clear struct {
	EtherType string `json:"ethertype"`
}

// Src and Dst are the MAC addresses, empty where the frame has none.
func (r *Record) Src() string { return r.mac(r.src) }

// Dst is the destination: see Src.
func (r *Record) Dst() string { return r.mac(r.dst) }

func (r *Record) mac(m [6]byte) string {
	if !r.hasMAC {
		return ""
	}
	return net.HardwareAddr(m[:]).String()
}

// MarshalJSON gives the flat object.
func (r Record) MarshalJSON() ([]byte, error) {
	type head struct {
		Frame int       `json:"frame"`
		Time  time.Time `json:"time"`
		Kind  string    `json:"kind"`
		Src   string    `json:"src,omitempty"`
		Dst   string    `json:"dst,omitempty"`
		VLANs []VLAN    `json:"vlans,omitempty"`
	}
	type tail struct {
		Error string `json:"error,omitempty"`
		Hint  string `json:"hint,omitempty"`
	}
	h, t := head{r.Frame, r.Time, r.Kind, r.Src(), r.Dst(), r.VLANs}, tail{r.Error, r.Hint}
	switch r.Kind {
	case KindMKA:
		return json.Marshal(struct {
			head
			*MKA
			tail
		}{h, r.MKA, t})
	case KindMACsec:
		return json.Marshal(struct {
			head
			*MACsec
			tail
		}{h, r.MACsec, t})
	case KindESP:
		return json.Marshal(struct {
			head
			*ESP
			tail
		}{h, r.ESP, t})
	case KindIKE:
		return json.Marshal(struct {
			head
			*IKE
			tail
		}{h, r.IKE, t})
	case KindWireGuard:
		return json.Marshal(struct {
			head
			*WireGuard
			tail
		}{h, r.WireGuard, t})
	}
	return json.Marshal(struct {
		head
		*Clear
		tail
	}{h, r.Clear, t})
}
