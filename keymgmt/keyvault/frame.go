package keyvault

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/linkseal/linkseal/keymgmt/keychain"
	"github.com/linkseal/linkseal/keymgmt/secret"
)

const (
	// maxOrder and maxMeta bound what the helper is asked and answers, in
	// octets, without the values.
	maxOrder = 1 << 20
	maxMeta  = 8 << 20
	// maxValue is the longest value that is a key, in octets.
	maxValue = keychain.MaxCertificate
)

// order is what the helper is asked, in JSON on its standard input. There is
// no secret in it.
type order struct {
	Op       string    `json:"op"` // fetch, write, disable, list
	Config   Config    `json:"config"`
	Deadline time.Time `json:"deadline"`
	Request  Request   `json:"request,omitzero"`
	Pair     Pair      `json:"pair,omitzero"`
	ID       string    `json:"id,omitempty"` // of the pair to disable
}

// meta is the helper's answer but for the values: on its standard output the
// length of the JSON, 4 octets big-endian, the JSON, and then the values'
// octets, one after the other as Values has their lengths.
type meta struct {
	Versions []Version   `json:"versions,omitempty"`
	Values   []valueMeta `json:"values,omitempty"`
	Written  *Written    `json:"written,omitempty"`
	Pairs    []Listed    `json:"pairs,omitempty"`
	// Fault kept values of a fetch back; Failed is that of the whole.
	Fault  *Fault `json:"fault,omitempty"`
	Failed *Fault `json:"failed,omitempty"`
}

type valueMeta struct {
	Ref
	Octets int    `json:"octets"`
	Text   bool   `json:"text,omitempty"`
	Wrong  string `json:"wrong,omitempty"`
}

// writeAnswer sends m with values, which are zeroed.
func writeAnswer(w io.Writer, m meta, values []Value) error {
	for _, v := range values {
		m.Values = append(m.Values, valueMeta{Ref: v.Ref, Octets: v.Octets.Len(), Text: v.Text, Wrong: v.Wrong})
		defer v.Octets.Zero()
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > maxMeta {
		return fmt.Errorf("the answer has %d octets, more than %d", len(text), maxMeta)
	}
	if _, err := w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text)))); err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	for _, v := range values {
		if _, err := w.Write(v.Octets.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// readAnswer is the inverse of writeAnswer, to the end of r. r is read
// directly, so that no buffer has a value.
func readAnswer(r io.Reader) (m meta, values []Value, err error) {
	defer func() {
		if err != nil {
			for i := range values {
				values[i].Octets.Zero()
			}
			m, values = meta{}, nil
		}
	}()
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return m, nil, fmt.Errorf("length: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxMeta {
		return m, nil, fmt.Errorf("length %d, more than %d", n, maxMeta)
	}
	var text bytes.Buffer // grows with what comes, not with what is said
	if _, err := io.CopyN(&text, r, int64(n)); err != nil {
		return m, nil, fmt.Errorf("%d octets: %w", n, err)
	}
	d := json.NewDecoder(&text)
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, nil, fmt.Errorf("it is no answer")
	}
	if len(m.Values) > 2*maxPairs {
		return m, nil, fmt.Errorf("%d values, more than %d", len(m.Values), 2*maxPairs)
	}
	var room [maxValue]byte
	defer clear(room[:])
	for _, vm := range m.Values {
		v := Value{Ref: vm.Ref, Text: vm.Text, Wrong: vm.Wrong}
		switch {
		case vm.Octets < 0 || vm.Octets > maxValue || (vm.Octets == 0) != (vm.Wrong != ""):
			return m, values, fmt.Errorf("a value of %d octets", vm.Octets)
		case vm.Octets > 0:
			if _, err := io.ReadFull(r, room[:vm.Octets]); err != nil {
				return m, values, fmt.Errorf("values: %w", err)
			}
			v.Octets = secret.New(room[:vm.Octets])
		}
		values = append(values, v)
	}
	if n, err := r.Read(head[:1]); n != 0 || err != io.EOF {
		return m, values, fmt.Errorf("there is more behind the values")
	}
	return m, values, nil
}
