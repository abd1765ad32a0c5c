package reconcile

import (
	"context"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/linux/link"
)

const (
	// resubscribe is the wait before a broken event socket is opened again.
	resubscribe = time.Second
	// glance is how often is looked for what makes no event: five system calls a
	// port.
	glance = 200 * time.Millisecond
)

// Watch sends a token when links may have changed, until ctx ends. Tokens are
// merged.
func (k *Kernel) Watch(ctx context.Context) (<-chan struct{}, error) {
	events, err := k.links.Subscribe(ctx)
	if err != nil {
		return nil, err
	}
	tokens := make(chan struct{}, 1)
	token := func() {
		select {
		case tokens <- struct{}{}:
		default:
		}
	}
	go func() {
		for {
			for range events {
				token()
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(resubscribe):
			}
			if events, err = k.links.Subscribe(ctx); err != nil {
				closed := make(chan link.Event)
				close(closed)
				events = closed
			}
		}
	}()
	go k.glance(ctx, token)
	return tokens, nil
}

// silent is what changes at a port without an event: who is on TCX, and by how
// many queues it receives.
type silent struct {
	tcx    string
	queues link.Queues
}

// hush is silent of a link, in the calling thread's namespace.
func hush(l link.Link) silent {
	return silent{bpf.TCXPrograms(l.Index), link.CountQueues(l.Name, link.Queues{Rx: l.RxQueues, Tx: l.TxQueues})}
}

// closedPort is a must-secure port at the last look, as it was before that.
type closedPort struct {
	link.Link
	silent
	noXDP string // why its ingress is by tc
}

// glance calls token while something of the must-secure ports is other than at
// the last look that makes no event, until ctx ends. It stays on one thread in the
// namespace: to go there costs more than to look.
func (k *Kernel) glance(ctx context.Context, token func()) {
	_ = k.ns.Do(func() error { // an error is the next look's to tell
		tick := time.NewTicker(glance)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			for _, p := range *k.closed.Load() {
				if hush(p.Link) != p.silent {
					token()
				}
			}
		}
	})
}
