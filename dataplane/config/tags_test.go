package config

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/linkseal/linkseal/bpf"
)

// The programs know what the file may say.
func TestTagsFitTheProgram(t *testing.T) {
	if maxTagRules != bpf.MaxRules || TagIngress != bpf.OfIngress || TagEgress != bpf.OfEgress || TagBoth != bpf.OfBoth {
		t.Error("bpf has other limits or words")
	}
	var _ = bpf.Rule(TagRule{}) // the same fields
}

func genTags(t *rapid.T) []TagRule {
	if rapid.Bool().Draw(t, "no tags") {
		return nil
	}
	rules := []TagRule{}
	for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
		r := TagRule{
			Name:      fmt.Sprintf("%s%d", rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,9}`).Draw(t, "rule"), i),
			Direction: rapid.SampledFrom([]string{TagEgress, TagIngress, TagBoth}).Draw(t, "direction"),
			STag:      rapid.Uint16Max(maxVID).Draw(t, "S-tag"), CTag: rapid.Uint16Max(maxVID).Draw(t, "C-tag"),
			DSCP: rapid.IntRange(-1, maxDSCP).Draw(t, "DSCP"), Protocol: rapid.IntRange(-1, maxProtocol).Draw(t, "protocol"),
			Priority: rapid.Int64Range(-1, math.MaxUint32).Draw(t, "priority"), SetDSCP: rapid.IntRange(-1, maxDSCP).Draw(t, "set DSCP"),
			Mask: rapid.Uint32().Draw(t, "mask"),
		}
		r.Mark = rapid.Uint32().Draw(t, "mark") & r.Mask
		r.Prefix = rapid.SampledFrom([]netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("2001:db8::/32")}).Draw(t, "prefix")
		if r.Protocol == 6 || r.Protocol < 0 {
			r.Port = rapid.Uint16().Draw(t, "port")
		}
		rules = append(rules, r)
	}
	return rules
}
