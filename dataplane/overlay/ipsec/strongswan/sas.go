package strongswan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/strongswan/govici/vici"

	"github.com/linkseal/linkseal/dataplane/overlay/ipsec/suite"
)

// IKESA is an IKE_SA as list-sas tells of it.
type IKESA struct {
	Connection    string
	ID            uint32 // charon's number
	State         string // CONNECTING, ESTABLISHED, REKEYING, ...
	Local, Remote netip.AddrPort
	LocalID       string
	RemoteID      string
	Initiator     bool   // we began it
	SPI           string // the initiator's, which both ends know, in hex
	Established   time.Duration
	Suite         string // in strongSwan's words for a proposal
	Children      []ChildSA
}

// ChildSA is a CHILD_SA: a pair of SAs.
type ChildSA struct {
	Name                                     string
	ID                                       uint32
	State                                    string // INSTALLED, REKEYING, REKEYED, ...
	Mode                                     string // TUNNEL, TRANSPORT
	Encap, ESN                               bool
	SPIIn, SPIOut                            uint32
	IfID                                     uint32 // 0: none
	Suite                                    string
	RxOctets, TxOctets, RxPackets, TxPackets uint64
	Age                                      time.Duration // since it was installed
	LocalTS, RemoteTS                        []string
}

// Installed tells whether it carries traffic, or could.
func (c ChildSA) Installed() bool {
	return c.State == "INSTALLED" || c.State == "REKEYING" || c.State == "REKEYED"
}

// Up tells whether the peer has shown who it is.
func (s IKESA) Up() bool { return s.State == "ESTABLISHED" || s.State == "REKEYING" }

// maxSAs is how many IKE_SAs one look can have.
const maxSAs = 1 << 14

// SAs are all that charon has now. Events come before the answer, in order.
func (c *Client) SAs() ([]IKESA, error) {
	fail := func(err error) ([]IKESA, error) { return nil, fmt.Errorf("charon: list-sas: %w", err) }
	ctx, done, err := c.begin()
	if err != nil {
		return fail(err)
	}
	defer done()
	for len(c.listed) > 0 {
		<-c.listed // of a look that was given up
	}
	if _, err := c.commands.Call(ctx, "list-sas", nil); err != nil {
		return fail(err)
	}
	if len(c.listed) == cap(c.listed) {
		return fail(fmt.Errorf("%d IKE_SAs or more", cap(c.listed)))
	}
	var all []IKESA
	for len(c.listed) > 0 {
		e := <-c.listed
		for _, name := range e.Message.Keys() {
			s, ok := e.Message.Get(name).(*vici.Message)
			if !ok {
				continue
			}
			sa, err := ikeSA(name, s)
			if err != nil {
				return fail(fmt.Errorf("%s: %w", name, err))
			}
			all = append(all, sa)
		}
	}
	return all, nil
}

func ikeSA(name string, m *vici.Message) (IKESA, error) {
	f := fields{m: m}
	s := IKESA{
		Connection: name, ID: uint32(f.number("uniqueid", 10)), State: f.text("state"),
		Local: f.end("local"), Remote: f.end("remote"), LocalID: f.text("local-id"), RemoteID: f.text("remote-id"),
		Initiator: f.text("initiator") == "yes", SPI: f.text("initiator-spi"), Established: f.seconds("established"), Suite: f.suite(),
	}
	if below, ok := m.Get("child-sas").(*vici.Message); ok {
		for _, key := range below.Keys() {
			if c, ok := below.Get(key).(*vici.Message); ok {
				s.Children = append(s.Children, childSA(&fields{m: c, err: &f}))
			}
		}
	}
	return s, f.bad
}

func childSA(f *fields) ChildSA {
	return ChildSA{
		Name: f.text("name"), ID: uint32(f.number("uniqueid", 10)), State: f.text("state"), Mode: f.text("mode"),
		Encap: f.text("encap") == "yes", ESN: f.text("esn") != "",
		SPIIn: uint32(f.number("spi-in", 16)), SPIOut: uint32(f.number("spi-out", 16)), IfID: uint32(f.number("if-id-in", 16)),
		Suite:    f.suite(),
		RxOctets: f.number("bytes-in", 10), TxOctets: f.number("bytes-out", 10),
		RxPackets: f.number("packets-in", 10), TxPackets: f.number("packets-out", 10),
		Age: f.seconds("install-time"), LocalTS: f.list("local-ts"), RemoteTS: f.list("remote-ts"),
	}
}

// fields reads a message and keeps the first error, which it tells err too.
type fields struct {
	m   *vici.Message
	bad error
	err *fields
}

func (f *fields) text(key string) string {
	s, _ := f.m.Get(key).(string)
	return s
}

func (f *fields) list(key string) []string {
	l, _ := f.m.Get(key).([]string)
	return l
}

// number is 0 if the key is absent.
func (f *fields) number(key string, base int) uint64 {
	s := f.text(key)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseUint(s, base, 64)
	if err != nil {
		f.wrong(fmt.Errorf("%s %q: %w", key, s, errShape))
	}
	return n
}

func (f *fields) seconds(key string) time.Duration {
	return time.Duration(f.number(key, 10)) * time.Second
}

// end is the address and port of local or remote.
func (f *fields) end(which string) netip.AddrPort {
	a, _ := netip.ParseAddr(f.text(which + "-host"))
	return netip.AddrPortFrom(a, uint16(f.number(which+"-port", 10)))
}

func (f *fields) wrong(err error) {
	if f.bad == nil {
		f.bad = err
	}
	if f.err != nil {
		f.err.wrong(err)
	}
}

// suite is the algorithms in use as a proposal's keywords.
func (f *fields) suite() string {
	var words []string
	cipher := f.text("encr-alg")
	if bits := f.text("encr-keysize"); bits != "" {
		cipher += "_" + bits
	}
	for _, name := range []string{cipher, f.text("integ-alg"), f.text("prf-alg"), f.text("dh-group")} {
		if name != "" {
			words = append(words, suite.Keyword(name))
		}
	}
	if f.text("esn") != "" {
		words = append(words, "esn")
	}
	return strings.Join(words, "-")
}
