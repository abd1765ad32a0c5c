package main

import (
	"log/slog"

	"github.com/linkseal/linkseal/bpf"
	"github.com/linkseal/linkseal/dataplane/config"
	"github.com/linkseal/linkseal/dataplane/reconcile"
	"github.com/linkseal/linkseal/dataplane/secy"
	"github.com/linkseal/linkseal/dataplane/softsecy"
	"github.com/linkseal/linkseal/dataplane/softsecy/device"
	"github.com/linkseal/linkseal/keymgmt/kay"
)

// secY is what a session needs of a SecY, the kernel's or ours.
type secY interface {
	kay.SecY
	Close() error
}

// openSecY opens the SecY of p's device, as the plan made it.
func openSecY(p config.Port, at reconcile.Place, log *slog.Logger) (secY, error) {
	if at.Userspace {
		return device.Open(device.Options{Interface: p.Interface, Index: at.Interface, Parent: at.Parent, EAPOL: p.MKA.EtherType, Log: log,
			SecY: softsecy.Config{SCI: at.SCI, Suite: p.Cipher.Suite(), Offset: p.ConfidentialityOffset, Should: !p.Must, Parameters: parameters(p)}})
	}
	y, err := secy.Open(p.Interface, secy.Options{Should: !p.Must, Quiet: quiet(at, log)})
	if err != nil {
		return nil, err
	}
	if err := bpf.PrepareGate(at.Parent, at.Interface); err != nil {
		log.Warn("no gate for changes of the encoding SA", "error", err)
	}
	return y, nil
}

// parameters are those that a SecY in user space takes while it works.
func parameters(p config.Port) softsecy.Parameters {
	return softsecy.Parameters{Encrypt: p.Encrypt, SendSCI: p.SendSCI, ReplayWindow: p.ReplayWindow}
}

// quiet changes the encoding SA behind a gate, and without one where the kernel
// lets none be made: the change is worth more than the frame that it may tear.
func quiet(at reconcile.Place, log *slog.Logger) func(func() error) error {
	return func(change func() error) error {
		g, err := bpf.OpenGate(at.Interface, at.Parent)
		if err != nil {
			log.Warn("the encoding SA changes without a gate; a frame may be torn, which the peer counts in in_pkts_not_valid", "error", err)
			return change()
		}
		torn, err := g.While(change)
		if torn != "" {
			log.Info("a frame may have been torn by the change of the encoding SA, which the peer counts in in_pkts_not_valid", "why", torn)
		}
		if err := g.Close(); err != nil {
			log.Warn("the gate before the encoding SA stays; the next change replaces it", "error", err)
		}
		return err
	}
}
