package reconcile

import (
	"context"
	"time"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/plan"
	"github.com/linkseal/linkseal/linux/link"
)

const (
	// resubscribe is the wait before a broken event socket is opened again.
	resubscribe = time.Second
	// glance is how often is looked for what makes no event: five system calls a
	// port.
	glance = 200 * time.Millisecond
)

// Watch sends a token when links, or what tunnels have of routes, rules and
// nftables, may have changed, until ctx ends. Tokens are merged.
func (k *Kernel) Watch(ctx context.Context) (<-chan struct{}, error) {
	tokens := make(chan struct{}, 1)
	token := func() {
		select {
		case tokens <- struct{}{}:
		default:
		}
	}
	events, err := k.links.Subscribe(ctx)
	if err != nil {
		return nil, err
	}
	go follow(ctx, events, k.links.Subscribe, token)
	routes := func(ctx context.Context) (<-chan struct{}, error) { return k.routes.Watch(ctx, plan.RouteTable) }
	for _, subscribe := range []func(context.Context) (<-chan struct{}, error){routes, k.nft.Watch} {
		// A kernel without nftables has none of them: it is asked again, in case.
		events, err := subscribe(ctx)
		if err != nil {
			events = broken[struct{}]()
		}
		go follow(ctx, events, subscribe, token)
	}
	go k.glance(ctx, token)
	return tokens, nil
}

// follow calls token for each of events, which are subscribed to again when they
// break, until ctx ends.
func follow[E any](ctx context.Context, events <-chan E, subscribe func(context.Context) (<-chan E, error), token func()) {
	for {
		for range events {
			token()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(resubscribe):
		}
		var err error
		if events, err = subscribe(ctx); err != nil {
			events = broken[E]()
			continue
		}
		token() // for what was missed
	}
}

// broken is a subscription that has ended.
func broken[E any]() <-chan E {
	c := make(chan E)
	close(c)
	return c
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
