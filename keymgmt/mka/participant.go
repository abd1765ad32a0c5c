package mka

import (
	"bytes"
	"io"
	"time"

	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

// ramp is the time between the first hellos after start or carrier-up, so
// that a peer that starts a moment later is met quickly.
var ramp = [...]time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

const (
	// burst and refill bound what a peer can make us send at once.
	burst  = 10
	refill = 50 * time.Millisecond
	// marks divides the life time: an MN of ours that a peer lists is recent
	// if it was sent within the last life time, to 1/marks of it.
	marks = 4
	// noPriority: in the standard, never key server.
	noPriority = 255
	// ourVersion is the MKA version that we speak.
	ourVersion = 3
)

// participant is one member of one CA: an MKA instance for one CAK.
type participant struct {
	ckn      []byte
	cak, kek *secret.Key
	icv      *kdf.CMAC

	mi sa.MI
	mn uint32
	// mark[i] is our MN at the i-th last quarter of the life time.
	mark   [marks + 1]uint32
	markAt time.Duration

	peers []peer
	tombs []tomb

	// keyServer is the elected key server's SCI: ours, a live peer's, or
	// nobody's.
	keyServer sa.SCI
	elected   bool
	isServer  bool

	kn         uint32 // last KN that we used as key server
	wantSince  time.Duration
	want       bool
	liveSince  time.Duration // when this CA got its first live peer
	lastDist   time.Duration
	retryAfter time.Duration
	attempts   int           // SAKs in a row that a live peer did not take
	renewed    time.Duration // when we last became a new member to ask for a SAK

	offer offer

	refused    string
	refusedAt  time.Duration
	icvBad     uint64
	icvBadAt   time.Duration
	icvBadFrom [6]byte

	leaving bool
	cut     bool

	announced uint32 // the first MN that announced our suspension; 0: none did

	helloAt time.Duration
	step    int
	urgent  bool
	tokens  int
	tokenAt time.Duration
	live    mkpdu.PeerList
	maybe   mkpdu.PeerList
	buf     []byte
}

func newParticipant(k Key, now time.Duration) (*participant, error) {
	p := &participant{ckn: bytes.Clone(k.CKN), cak: k.CAK.Clone(), helloAt: now, tokens: burst, tokenAt: now, markAt: now, lastDist: -Never / 2, renewed: -Never / 2}
	ick, err := kdf.ICK(p.cak, p.ckn)
	if err == nil {
		p.kek, err = kdf.KEK(p.cak, p.ckn)
	}
	if err == nil {
		p.icv, err = kdf.NewCMAC(ick.Bytes())
	}
	ick.Zero()
	if err != nil {
		p.zero()
		return nil, err
	}
	return p, nil
}

func (p *participant) zero() {
	p.cak.Zero()
	p.kek.Zero()
	p.icv = nil
}

// newMI takes a fresh MI; the MN starts at 1 with the next MKPDU. Peers hold
// us for a new member.
func (p *participant) newMI(cfg *Config) error {
	var mi sa.MI
	if _, err := io.ReadFull(cfg.Rand, mi[:]); err != nil {
		return err
	}
	p.mi, p.mn, p.kn = mi, 0, 0
	p.mark = [marks + 1]uint32{}
	return nil
}

// tick moves the marks of our own MN.
func (p *participant) tick(now, life time.Duration) {
	q := life / marks
	for n := 0; now-p.markAt >= q && n <= marks; n++ {
		copy(p.mark[1:], p.mark[:marks])
		p.mark[0] = p.mn
		p.markAt += q
	}
	if now-p.markAt >= q {
		p.markAt = now
	}
}

// recent tells whether an MN of ours that a peer lists proves that the peer
// heard us within the life time.
func (p *participant) recent(mn uint32) bool {
	return mn != 0 && mn <= p.mn && mn >= p.mark[marks]
}

// hurry asks for an MKPDU at once, rather than at the next hello.
func (p *participant) hurry() { p.urgent = true }

// sendAt is when the next MKPDU is due.
func (p *participant) sendAt() time.Duration {
	if !p.urgent {
		return p.helloAt
	}
	if p.tokens > 0 {
		return min(p.helloAt, p.tokenAt)
	}
	return min(p.helloAt, p.tokenAt+refill)
}

func (p *participant) sent(now, hello time.Duration) {
	if n := int((now - p.tokenAt) / refill); n > 0 {
		p.tokens = min(burst, p.tokens+n)
		p.tokenAt += time.Duration(n) * refill
		if p.tokens == burst {
			p.tokenAt = now
		}
	}
	if p.tokens > 0 {
		p.tokens--
	}
	p.urgent = false
	if now >= p.helloAt {
		// A twentieth early: the third hello after the last one heard then
		// arrives within the life time, not at its very end.
		wait := hello - hello/20
		if p.step < len(ramp) {
			wait = min(wait, ramp[p.step])
			p.step++
		}
		p.helloAt = now + wait
	}
}

// restartRamp sends hellos quickly again: after carrier-up.
func (p *participant) restartRamp(now time.Duration) {
	p.step, p.helloAt = 0, now
}

func (p *participant) liveCount() (n int) {
	for i := range p.peers {
		if p.peers[i].live {
			n++
		}
	}
	return n
}

// liveSCI finds the live peer with that SCI.
func (p *participant) liveSCI(s sa.SCI) *peer {
	for i := range p.peers {
		if q := &p.peers[i]; q.live && q.sci == s {
			return q
		}
	}
	return nil
}

func (p *participant) byMI(mi *sa.MI) *peer {
	for i := range p.peers {
		if p.peers[i].mi == *mi {
			return &p.peers[i]
		}
	}
	return nil
}
