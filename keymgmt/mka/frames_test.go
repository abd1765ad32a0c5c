package mka

import (
	"bytes"

	"github.com/linkseal/linkseal/keymgmt/mka/kdf"
	"github.com/linkseal/linkseal/keymgmt/mka/mkpdu"
)

// icvOf is the ICV's CMAC of a key.
func icvOf(k Key) *kdf.CMAC {
	ick, err := kdf.ICK(k.CAK, k.CKN)
	if err != nil {
		panic(err)
	}
	c, err := kdf.NewCMAC(ick.Bytes())
	if err != nil {
		panic(err)
	}
	return c
}

// sign encodes a PDU with a good ICV.
func sign(d *mkpdu.PDU, k Key) []byte {
	b := mkpdu.Append(nil, d)
	return icvOf(k).Append(b, b)
}

// edit changes an MKPDU and signs it again. Frames of other keys are left.
func edit(frame []byte, keys []Key, change func(*mkpdu.PDU)) []byte {
	var d mkpdu.PDU
	if err := mkpdu.Parse(bytes.Clone(frame), &d); err != nil {
		panic(err)
	}
	for _, k := range keys {
		if bytes.Equal(k.CKN, d.CKN) {
			change(&d)
			return sign(&d, k)
		}
	}
	return frame
}
