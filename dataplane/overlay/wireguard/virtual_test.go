package wireguard

import (
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	wg "golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/overlay"
	"github.com/linkseal/linkseal/keymgmt/identity"
	"github.com/linkseal/linkseal/linux/netns"
)

// A world without sockets, for synctest: wireguard-go as it is, under a clock
// that moves on when all of it waits. What takes minutes is tried in seconds,
// and a busy machine loses nothing.

// delay is of each packet on the underlay.
const delay = 5 * time.Millisecond

// air carries datagrams, in order, to who listens there.
type air struct {
	mu sync.Mutex
	at map[netip.AddrPort]chan datagram
}

type datagram struct {
	from   netip.AddrPort
	octets []byte
	due    time.Time
}

// radio is a conn.Bind on it.
type radio struct {
	air  *air
	addr netip.Addr

	mu     sync.Mutex
	local  netip.AddrPort
	in     chan datagram
	closed chan struct{}
}

func (r *radio) Open(port uint16) ([]conn.ReceiveFunc, uint16, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	local := netip.AddrPortFrom(r.addr, port)
	if r.air.at[local] != nil {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	in, closed := make(chan datagram, 4096), make(chan struct{})
	r.local, r.in, r.closed, r.air.at[local] = local, in, closed, in
	receive := func(packets [][]byte, sizes []int, from []conn.Endpoint) (int, error) {
		select {
		case d := <-in:
			// Who closes waits for this with the device's lock, and a bubble's clock stands
			// still while somebody waits for a lock.
			select {
			case <-time.After(time.Until(d.due)):
			case <-closed:
			}
			sizes[0], from[0] = copy(packets[0], d.octets), endpoint{d.from}
			return 1, nil
		case <-closed:
			return 0, net.ErrClosed
		}
	}
	return []conn.ReceiveFunc{receive}, port, nil
}

func (r *radio) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed == nil {
		return nil
	}
	r.air.mu.Lock()
	defer r.air.mu.Unlock()
	delete(r.air.at, r.local)
	close(r.closed)
	r.closed = nil
	return nil
}

func (r *radio) Send(packets [][]byte, to conn.Endpoint) error {
	r.mu.Lock()
	local := r.local
	r.mu.Unlock()
	r.air.mu.Lock()
	in := r.air.at[to.(endpoint).AddrPort]
	r.air.mu.Unlock()
	for _, p := range packets {
		select {
		case in <- datagram{local, append([]byte(nil), p...), time.Now().Add(delay)}:
		default: // nobody is there, or it is full
		}
	}
	return nil
}

func (r *radio) ParseEndpoint(text string) (conn.Endpoint, error) {
	a, err := netip.ParseAddrPort(text)
	return endpoint{a}, err
}

func (r *radio) SetMark(uint32) error { return nil }
func (r *radio) BatchSize() int       { return 1 }

// desk is a tun whose packets the test writes and reads: IPv4, with a number.
type desk struct {
	out    chan []byte
	closed chan struct{}
	once   sync.Once

	mu   sync.Mutex
	seen map[netip.Addr]map[uint64]bool // by source
}

func newDesk() *desk {
	return &desk{out: make(chan []byte, 64), closed: make(chan struct{}), seen: map[netip.Addr]map[uint64]bool{}}
}

func (d *desk) File() *os.File           { return nil }
func (d *desk) MTU() (int, error)        { return 1400, nil }
func (d *desk) Name() (string, error)    { return "desk", nil }
func (d *desk) Events() <-chan tun.Event { return nil }
func (d *desk) BatchSize() int           { return 1 }
func (d *desk) Close() error             { d.once.Do(func() { close(d.closed) }); return nil }

func (d *desk) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	select {
	case p := <-d.out:
		sizes[0] = copy(packets[0][offset:], p)
		return 1, nil
	case <-d.closed:
		return 0, os.ErrClosed
	}
}

func (d *desk) Write(packets [][]byte, offset int) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range packets {
		p = p[offset:]
		from := netip.AddrFrom4([4]byte(p[12:16]))
		if d.seen[from] == nil {
			d.seen[from] = map[uint64]bool{}
		}
		d.seen[from][binary.BigEndian.Uint64(p[20:])] = true
	}
	return len(packets), nil
}

// arrived is how many different ones came from there.
func (d *desk) arrived(from netip.Addr) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.seen[from])
}

// numbered is an IPv4 packet with a number.
func numbered(from, to netip.Addr, n uint64) []byte {
	p := make([]byte, 28)
	p[0], p[3], p[8], p[9] = 0x45, byte(len(p)), 64, 253
	copy(p[12:], from.AsSlice())
	copy(p[16:], to.AsSlice())
	binary.BigEndian.PutUint64(p[20:], n)
	return p
}

// pinned is an embedded whose peers stay: wireguard-go drains the queues of one that
// is collected, outside the bubble to which these belong. A lazy one begins no
// handshake of itself, as the kernel's.
type pinned struct {
	*embedded
	lazy bool
}

var (
	pinMu sync.Mutex
	pins  = map[*wg.Peer]bool{}
)

func (d pinned) configure(s settings) error {
	err := d.embedded.configure(s)
	pinMu.Lock()
	defer pinMu.Unlock()
	for _, p := range s.peers {
		if q := d.dev.LookupPeer(wg.NoisePublicKey(p.public)); q != nil {
			pins[q] = true
		}
	}
	return err
}

func (d pinned) forces() bool { return !d.lazy }

func (d pinned) begin(p identity.Public, s settings) error {
	if !d.lazy {
		return d.embedded.begin(p, s)
	}
	if q := d.dev.LookupPeer(wg.NoisePublicKey(p)); q != nil && d.up {
		q.SendKeepalive()
	}
	return nil
}

// desktop is an end in that world.
type desktop struct {
	*Session
	name  string
	desk  *desk
	under netip.Addr
	inner netip.Addr
	calls bool // its second device was open
}

// place is how hosts of a test are made.
type place struct {
	air     *air
	ns      *netns.NS
	lazy    bool
	keyless bool // what is opened has no keychains
}

func newPlace(t *testing.T, lazy bool) *place {
	t.Helper()
	ns, err := netns.Current() // nothing is opened in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return &place{air: &air{at: map[netip.AddrPort]chan datagram{}}, ns: ns, lazy: lazy}
}

// host makes one with a key of its own, and no peers yet.
func (p *place) host(t *testing.T, name string, n byte) *desktop {
	t.Helper()
	pair, _, err := identity.Open(filepath.Join(t.TempDir(), "wg.key"), identity.Sealers{})
	if err != nil {
		t.Fatal(err)
	}
	return &desktop{
		Session: &Session{
			ns: p.ns, log: slog.New(slog.NewTextHandler(&lines{t, name, secrets(pair.Private.Bytes())}, &slog.HandlerOptions{Level: slog.LevelDebug})),
			pair: pair, opened: time.Now(),
			changed: make(chan struct{}, 1), kick: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		},
		name: name, desk: newDesk(), under: netip.AddrFrom4([4]byte{198, 51, 100, n}), inner: netip.AddrFrom4([4]byte{10, 99, 0, n}),
	}
}

func only(a netip.Addr) []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(a, a.BitLen())} }

// open starts it, with peers the first of which is the tunnel's other end. Each
// has a keychain, psks of the other's name.
func (p *place) open(t *testing.T, h *desktop, peers ...*desktop) {
	t.Helper()
	h.tunnel = config.Tunnel{
		Name: "t", Type: config.TypeWireGuard, Local: h.under, Remote: peers[0].under, Count: 1, MTU: 1400,
		WireGuard: &config.WireGuard{
			Port: port, PeerPublicKey: peers[0].pair.Public.String(), AllowedIPs: only(peers[0].inner), Keepalive: 25 * time.Second, Keychain: peers[0].name,
		},
	}
	for _, q := range peers[1:] {
		h.tunnel.WireGuard.Peers = append(h.tunnel.WireGuard.Peers, config.Peer{
			PublicKey: q.pair.Public.String(), Remote: addrPort(q.under), AllowedIPs: only(q.inner), Keychain: q.name,
		})
	}
	if p.keyless {
		keyless(&h.tunnel)
	}
	dev := pinned{newEmbedded(p.ns, host(h.desk, 1400), &radio{air: p.air, addr: h.under}, h.log), p.lazy}
	err := h.add(overlay.Member{}, dev, func() device {
		h.calls = true
		return pinned{newEmbedded(p.ns, newNowhere(), &radio{air: p.air, addr: h.under}, h.log), false}
	})
	if err != nil {
		t.Fatal(err)
	}
	h.step()
	go h.run()
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
}

// flow is a stream of packets from one to the other.
type flow struct {
	from, to *desktop
	stop     chan struct{}
	done     chan struct{}
	sent     uint64
}

func startFlow(from, to *desktop, every time.Duration) *flow {
	f := &flow{from: from, to: to, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-f.stop:
				return
			case <-tick.C:
			}
			from.desk.out <- numbered(from.inner, to.inner, f.sent)
			f.sent++
		}
	}()
	return f
}

// end stops it, and demands that nothing was lost.
func (f *flow) end(t *testing.T) {
	t.Helper()
	close(f.stop)
	<-f.done
	time.Sleep(time.Second)
	if got := f.to.desk.arrived(f.from.inner); uint64(got) != f.sent || got == 0 {
		t.Errorf("%s to %s: %d of %d lost", f.from.name, f.to.name, f.sent-uint64(got), f.sent)
	}
}

// keyless takes the keychains away, before it is open.
func keyless(c *config.Tunnel) {
	w := *c.WireGuard
	w.Keychain, w.Peers = "", slices.Clone(w.Peers)
	for i := range w.Peers {
		w.Peers[i].Keychain = ""
	}
	c.WireGuard = &w
}

// carries waits until the n-th peer's last handshake was under the PSK of that id.
func (h *desktop) carries(t *testing.T, peer int, id string, within time.Duration) {
	t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		h.mu.Lock()
		got := h.members[0].links[peer].keyID()
		h.mu.Unlock()
		if got == id {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: after %v peer %d is under PSK %q, not %q", h.name, within, peer, got, id)
		}
	}
}
