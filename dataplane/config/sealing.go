package config

import (
	"slices"

	"github.com/linkseal/linkseal/keymgmt/file/strict"
)

// maxPCR is the last of a TPM 2.0 for PCs that an operating system can use.
const maxPCR = 23

func (d *decoder) sealing(v strict.Value) {
	f := v.Fields("sealing", "with", "path", "pcrs")
	if !v.Given() {
		return
	}
	s := &d.Sealing
	s.With = f.Need("with", SealTPM+", "+SealCredential+", "+SealFile).OneOf("", SealTPM, SealCredential, SealFile)
	if s.With == SealTPM {
		without(f, "with: tpm", "path")
	} else if s.With != "" {
		s.Path = d.path(f.Get("path"))
		without(f, "with: "+s.With, "pcrs")
	}
	const accepted = "a list of PCRs as [7, 11]"
	for _, one := range f.Get("pcrs").List("a PCR", accepted) {
		n := int(one.Int(0, 0, maxPCR))
		if slices.Contains(s.PCRs, n) {
			one.Wrong("the PCR is listed twice", "each once")
			continue
		}
		s.PCRs = append(s.PCRs, n)
	}
	slices.Sort(s.PCRs)
}
