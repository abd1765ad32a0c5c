package softsecy

import (
	"fmt"
	"testing"
	"time"

	"github.com/linkseal/linkseal/keymgmt/sa"
)

// BenchmarkOverBare compares Protect and Validate with a bare Seal and Open of
// the same octets, round by round, so that what else the machine does weighs
// on both: protect-x and validate-x are the best of ours by the best of theirs.
func BenchmarkOverBare(b *testing.B) {
	for _, c := range []struct {
		name string
		Config
	}{
		{"gcm-aes-256", Config{Suite: sa.GCMAES256, Parameters: Parameters{Encrypt: true, SendSCI: true}}},
		{"gcm-aes-xpn-256", Config{Suite: sa.GCMAESXPN256, Parameters: Parameters{Encrypt: true, SendSCI: true, ReplayWindow: new(uint32)}}},
		{"gcm-aes-128 no sci", Config{Suite: sa.GCMAES128, Parameters: Parameters{Encrypt: true}}},
		{"gcm-aes-256 offset 50", Config{Suite: sa.GCMAES256, Offset: 50, Parameters: Parameters{Encrypt: true, SendSCI: true}}},
		{"gcm-aes-256 integrity", Config{Suite: sa.GCMAES256, Parameters: Parameters{SendSCI: true}}},
	} {
		for _, n := range []int{60, 1500} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) { overBare(b, c.Config, n) })
		}
	}
}

// overBare is of frames of n octets without SecTAG.
func overBare(b *testing.B, c Config, n int) {
	const frames = 256
	tx, rx := pair(b, c, 1, 1)
	t, r := tx.NewTransmitter(), rx.NewReceiver()
	aead := tx.encoding.aead
	end := addresses + shortTag
	if c.SendSCI {
		end = addresses + longTag
	}
	secure := n - addresses
	open := min(c.Offset, secure)
	if !c.Encrypt {
		open = secure
	}
	end, secure = end+open, secure-open
	// Both ways work on the same buffers.
	bufs, mpdus := make([][]byte, frames), make([][]byte, frames)
	for i := range bufs {
		bufs[i] = spaced(plain("", n-addresses))
	}
	iv := new(IV)

	best := [4]time.Duration{}
	timed := func(i int, f func()) {
		start := time.Now()
		f()
		if d := time.Since(start); best[i] == 0 || d < best[i] {
			best[i] = d
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		timed(0, func() {
			for i := range bufs {
				var ok bool
				if mpdus[i], ok = t.Protect(bufs[i]); !ok {
					b.Fatal("not protected")
				}
			}
			t.Flush()
		})
		timed(1, func() {
			for _, m := range mpdus {
				if _, ok := r.Validate(m); !ok {
					b.Fatal("not validated")
				}
			}
			r.Flush()
		})
		timed(2, func() {
			for i, m := range mpdus {
				iv[11] = byte(i)
				aead.Seal(m[:end], iv[:], m[end:end+secure], m[:end])
			}
		})
		timed(3, func() {
			for i, m := range mpdus {
				iv[11] = byte(i)
				if _, err := aead.Open(m[:end], iv[:], m[end:end+secure+ICVLen], m[:end]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.ReportMetric(float64(best[0].Nanoseconds())/frames, "protect-ns")
	b.ReportMetric(float64(best[1].Nanoseconds())/frames, "validate-ns")
	b.ReportMetric(float64(best[0])/float64(best[2]), "protect-x")
	b.ReportMetric(float64(best[1])/float64(best[3]), "validate-x")
}
