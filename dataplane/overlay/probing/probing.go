// Package probing asks whether a member of a tunnel carries packets: by ICMP
// echo inside of it to an address at the other end.
package probing

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/linux/echo"
	"github.com/linkseal/linkseal/linux/netns"
)

// Result is what came of it.
type Result struct {
	// Answered: less than config.Probe's Lost in a row are unanswered.
	Answered bool
	RTT      time.Duration // of the last answer; 0: none yet
	Lost     float64       // share of the last requests, 0 to 1
	Problem  string        // what keeps requests from being sent; "" if nothing
}

// window is how many requests Lost is about, at the most.
const window = 20

// Prober asks until it is closed.
type Prober struct {
	ns      *netns.NS
	device  string
	conf    config.Probe
	changed func()
	stop    chan struct{}
	done    chan struct{}

	mu     sync.Mutex
	socket *echo.Socket
	result Result
}

// Start begins to ask out of the interface called device. Until as many are lost
// as make it so, it is taken to answer. changed is called when Answered has
// changed, from a goroutine of its own.
func Start(ns *netns.NS, device string, conf config.Probe, changed func()) *Prober {
	p := &Prober{
		ns: ns, device: device, conf: conf, changed: changed,
		stop: make(chan struct{}), done: make(chan struct{}), result: Result{Answered: true},
	}
	go p.run()
	return p
}

// Result is how it is now.
func (p *Prober) Result() Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.result
}

// Close ends it.
func (p *Prober) Close() {
	p.mu.Lock()
	close(p.stop)
	if p.socket != nil {
		p.socket.Close() // ends a Receive
	}
	p.mu.Unlock()
	<-p.done
}

func (p *Prober) run() {
	defer close(p.done)
	asked := asked{}
	tick := time.NewTicker(p.conf.Interval)
	defer tick.Stop()
	for seq := uint16(0); ; seq++ {
		sent := time.Now()
		asked.send(seq, sent)
		s, err := p.open()
		if err == nil {
			err = s.Send(seq)
		}
		if err == nil {
			err = p.receive(s, &asked, sent.Add(p.conf.Interval))
		}
		if err != nil {
			p.drop()
		}
		p.tell(asked.result(p.conf.Lost, err))
		select {
		case <-p.stop:
			p.drop()
			return
		case <-tick.C:
		}
	}
}

// receive takes replies until the next request is due.
func (p *Prober) receive(s *echo.Socket, a *asked, until time.Time) error {
	for {
		seq, err := s.Receive(until)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return err
		}
		if a.reply(seq, time.Now()) {
			p.tell(a.result(p.conf.Lost, nil))
		}
	}
}

func (p *Prober) open() (*echo.Socket, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.stop:
		return nil, net.ErrClosed
	default:
	}
	if p.socket != nil {
		return p.socket, nil
	}
	err := p.ns.Do(func() (err error) { p.socket, err = echo.Open(p.device, p.conf.Address); return err })
	return p.socket, err
}

func (p *Prober) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.socket != nil {
		p.socket.Close()
		p.socket = nil
	}
}

func (p *Prober) tell(r Result) {
	p.mu.Lock()
	changed := p.result.Answered != r.Answered
	p.result = r
	p.mu.Unlock()
	if changed {
		p.changed()
	}
}
