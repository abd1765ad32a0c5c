package kay

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/linkseal/linkseal/keymgmt/mka"
	"github.com/linkseal/linkseal/keymgmt/sa"
)

// record is mka.Saved as it is stored: names of keys, no keys.
type record struct {
	Version int          `json:"version"`
	SAs     []savedSA    `json:"sas"`
	Used    []savedKeyID `json:"used"`
}

type savedSA struct {
	savedKeyID
	AN  uint8  `json:"an"`
	CKN string `json:"ckn"`
}

type savedKeyID struct {
	MI string `json:"mi"`
	KN uint32 `json:"kn"`
}

func (r savedKeyID) keyID() (id sa.KeyID, err error) {
	b, err := hex.DecodeString(r.MI)
	if err != nil || len(b) != len(id.MI) {
		return id, fmt.Errorf("MI %q is not 24 hex digits", r.MI)
	}
	copy(id.MI[:], b)
	id.KN = r.KN
	return id, nil
}

// newRecord is the form of v that is stored.
func newRecord(v mka.Saved) *record {
	r := &record{Version: 1, SAs: []savedSA{}, Used: []savedKeyID{}}
	for _, s := range v.SAs {
		r.SAs = append(r.SAs, savedSA{savedKeyID{s.Key.MI.String(), s.Key.KN}, s.AN, hex.EncodeToString(s.CKN)})
	}
	for _, u := range v.Used {
		r.Used = append(r.Used, savedKeyID{u.MI.String(), u.KN})
	}
	return r
}

// save begins to store what is unsaved, in a goroutine: a disk may take longer
// than peers wait for an MKPDU.
func (k *KaY) save() {
	if k.unsaved == nil || k.saving != nil {
		return
	}
	b, err := json.Marshal(k.unsaved)
	k.saving = k.unsaved
	if err != nil {
		k.saved <- err
		return
	}
	go func() { k.saved <- k.store.Save(b) }()
}

// saveDone takes the result of save, and installs what waited for it. What
// could not be saved is tried again by poll, and holds up nothing: it is an
// alarm.
func (k *KaY) saveDone(err error) {
	newer := k.unsaved != k.saving
	k.saving = nil
	k.tellSave(err)
	if err == nil && !newer {
		k.unsaved = nil
	}
	if newer {
		k.save()
		return
	}
	if c := k.install; c != nil {
		k.install = nil
		k.step(mka.Event{Kind: mka.ChangeDone, Err: k.secy.Apply(*c)})
		k.observe()
	}
}

// lastSave stores what is unsaved when the KaY ends, and waits for it.
func (k *KaY) lastSave() {
	k.install = nil
	for k.saving != nil {
		k.saveDone(<-k.saved)
	}
}

// tellSave logs a new reason why state cannot be saved, and its end.
func (k *KaY) tellSave(err error) {
	if err == nil {
		if k.saveErr != "" {
			k.cfg.Log.Info("MKA state is saved again", "port", k.cfg.Port)
		}
		k.saveErr = ""
		return
	}
	if text := err.Error(); text != k.saveErr {
		k.saveErr = text
		k.cfg.Log.Error("MKA state cannot be saved; a restart would not know its SAs' CKNs; it is tried again", "port", k.cfg.Port, "error", err)
	}
}

// load reads what save wrote. What it cannot read it leaves out, all of it.
func (k *KaY) load() (v mka.Saved, err error) {
	b, err := k.store.Load()
	if err != nil || len(b) == 0 {
		return v, err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return v, fmt.Errorf("not a record of MKA state: %w", err)
	}
	if r.Version != 1 {
		return v, fmt.Errorf("record of MKA state version %d; this linkseal reads 1", r.Version)
	}
	for _, s := range r.SAs {
		id, err := s.keyID()
		if err != nil {
			return mka.Saved{}, err
		}
		ckn, err := hex.DecodeString(s.CKN)
		if err != nil {
			return mka.Saved{}, fmt.Errorf("CKN %q is not hex", s.CKN)
		}
		v.SAs = append(v.SAs, mka.SavedSA{Key: id, AN: s.AN, CKN: ckn})
	}
	for _, u := range r.Used {
		id, err := u.keyID()
		if err != nil {
			return mka.Saved{}, err
		}
		v.Used = append(v.Used, id)
	}
	return v, nil
}
