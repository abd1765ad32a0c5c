package secy

import (
	"testing"

	"github.com/linkseal/linkseal/keymgmt/sa"
	"github.com/linkseal/linkseal/linux/link"
	"github.com/linkseal/linkseal/linux/macsec"
)

func TestPortConfig(t *testing.T) {
	strict := &macsec.SecY{Protect: true, Validate: macsec.ValidateStrict}
	open := &macsec.SecY{Validate: macsec.ValidateCheck}
	half := &macsec.SecY{Protect: true, Validate: macsec.ValidateCheck}
	tests := []struct {
		dev               *macsec.SecY
		to                sa.ControlledPort
		protect, validate string
	}{
		{strict, sa.Secured, "", ""},
		{strict, sa.Unsecured, "", ""},
		{strict, sa.Clear, "false", "check"},
		{open, sa.Clear, "", ""},
		{open, sa.Secured, "true", "strict"},
		{open, sa.Unsecured, "true", "strict"},
		{half, sa.Secured, "", "strict"},
		{half, sa.Clear, "false", ""},
		{open, sa.ControlledPort(9), "true", "strict"}, // unknown: closed
	}
	for _, tt := range tests {
		c, change := portConfig(tt.dev, tt.to)
		protect, validate := "", ""
		if c.Protect != nil {
			protect = map[bool]string{true: "true", false: "false"}[*c.Protect]
		}
		if c.Validate != nil {
			validate = c.Validate.String()
		}
		if protect != tt.protect || validate != tt.validate || change != (protect+validate != "") {
			t.Errorf("protect %v, %s to %s: protect %q validate %q change %v", tt.dev.Protect, tt.dev.Validate, tt.to, protect, validate, change)
		}
		if c.EncodingSA != nil || c.Encrypt != nil || c.IncludeSCI != nil || c.ES != nil || c.SCB != nil || c.Replay != nil {
			t.Errorf("%s changes the shell: %+v", tt.to, c)
		}
	}
}

func TestIsDormant(t *testing.T) {
	for _, tt := range []struct {
		mode    link.Mode
		state   link.OperState
		dormant bool
		want    bool
	}{
		{link.ModeDefault, link.OperUp, false, true},
		{link.ModeDefault, link.OperLowerLayerDown, false, true},
		{link.ModeDefault, link.OperUnknown, false, false},
		{link.ModeDefault, link.OperDormant, false, false},
		{link.ModeDormant, link.OperUp, false, false},
		{link.ModeDormant, link.OperDormant, true, true},
		{link.ModeDormant, link.OperLowerLayerDown, true, true},
		{link.ModeDormant, link.OperUp, true, false},
		{link.ModeDormant, link.OperUnknown, true, false},
		{link.ModeDefault, link.OperDormant, true, false},
	} {
		if got := (link.Link{Mode: tt.mode, OperState: tt.state}).IsDormant(tt.dormant); got != tt.want {
			t.Errorf("mode %s, operstate %s: IsDormant(%v) = %v", tt.mode, tt.state, tt.dormant, got)
		}
	}
}
