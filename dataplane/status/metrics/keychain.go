package metrics

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/linkseal/linkseal/dataplane/status"
)

var (
	keychainInfo   = gauge("keychain_info", "Where a keychain's keys come from; always 1.", "keychain", "source", "from")
	keychainSealed = gauge("keychain_sealed", "1 while a keychain's keys are those that were sealed: its source has not been read since the start.", "keychain")
	keychainError  = gauge("keychain_error", "1 while a keychain's source could not be used at the last try; the keys before it go on.", "keychain")

	keyInfo      = gauge("key_info", "A key of a keychain, by its CKN, of a PSK its id (kind); always 1. The fingerprint names the octets without giving them away; a PSK that is text has none.", "keychain", "ckn", "kind", "fingerprint", "fallback", "pair")
	keyState     = gauge("key_state", "1 for the state that the key is in, by its window.", "keychain", "ckn", "state")
	keyNotBefore = gauge("key_not_before_timestamp_seconds", "When the key's window begins; absent if it says nothing.", "keychain", "ckn")
	keyExpires   = gauge("key_expires_timestamp_seconds", "When the key's window ends; absent if it does not.", "keychain", "ckn")
	keyLeft      = gauge("key_expiry_seconds", "How long until the key's window ends, by the clock that keys are chosen by; below 0: it has ended; absent if it does not.", "keychain", "ckn")
	keyAge       = gauge("key_age_seconds", "How long since the key's window began, or since this appliance first had it; below 0: it has not begun.", "keychain", "ckn")

	vaultFault   = gauge("keychain_fault", "Faults of a keychain's vault, or on the way there, that last now, by kind.", "keychain", "kind")
	vaultFaults  = counter("keychain_faults_total", "Faults of a keychain's vault that began, by kind: one for as long as it lasts.", "keychain", "kind")
	vaultPolls   = counter("keychain_polls_total", "How often a keychain's vault was asked.", "keychain")
	vaultFailed  = counter("keychain_poll_failures_total", "Polls of a keychain's vault that failed; the next one is sooner.", "keychain")
	vaultRefused = gauge("keychain_refused_pairs", "Pairs and versions in a keychain's vault that are not used.", "keychain")
	vaultRead    = gauge("keychain_last_success_timestamp_seconds", "When a keychain's vault was last read as a whole.", "keychain")
	vaultNext    = gauge("keychain_next_poll_timestamp_seconds", "When a keychain's vault will be asked again.", "keychain")

	rotations        = counter("rotations_total", "Rotations of a keychain since the start, by result: the traffic has moved (done), it failed, or another appliance has the keychain (refused).", "keychain", "result")
	rotationInfo     = gauge("rotation_info", "The rotation under way, by the phase that it has reached; always 1.", "keychain", "phase", "ckn")
	rotationBegan    = gauge("rotation_start_timestamp_seconds", "When the rotation under way began.", "keychain")
	rotationRetireAt = gauge("rotation_retire_timestamp_seconds", "When the old pairs of the rotation under way are retired.", "keychain")
	rotationNext     = gauge("rotation_next_timestamp_seconds", "When the next pair is written, by schedule.", "keychain")
	rotationError    = gauge("rotation_error", "1 while something keeps the schedule of a keychain's rotation.", "keychain")
)

// faultCounter is what the names of a vault's counters of faults begin with;
// the kind follows.
const faultCounter = "faults_"

var keyStates = []string{"active", "not_yet", "expired"}

// keychain writes a keychain; now is what its windows are held against.
func (w scrape) keychain(k *status.Keychain, now time.Time) {
	w.put(keychainInfo, 1, k.Name, k.Source, k.From)
	w.flag(keychainSealed, k.Sealed, k.Name)
	w.flag(keychainError, k.Error != "", k.Name)
	for i := range k.Keys {
		w.key(k.Name, &k.Keys[i], now)
	}
	if k.Vault != nil {
		w.vault(k.Name, k.Vault)
	}
	for _, result := range slices.Sorted(maps.Keys(k.Rotations)) {
		w.put(rotations, float64(k.Rotations[result]), k.Name, result)
	}
	if r := k.Rotation; r != nil {
		if r.Phase != "" {
			w.put(rotationInfo, 1, k.Name, r.Phase, cmp.Or(r.CKN, r.PSK))
		}
		w.at(rotationBegan, r.Since, k.Name)
		w.at(rotationRetireAt, r.RetireAt, k.Name)
		w.at(rotationNext, r.Next, k.Name)
	}
	w.flag(rotationError, k.Rotation != nil && k.Rotation.Error != "", k.Name)
}

func (w scrape) key(keychain string, k *status.Key, now time.Time) {
	name := k.Name()
	kind := "cak"
	if k.ID != "" {
		kind = "psk"
	}
	w.put(keyInfo, 1, keychain, name, kind, k.Fingerprint, strconv.FormatBool(k.Fallback), k.Pair)
	w.oneOf(keyState, k.State, keyStates, keychain, name)
	w.at(keyNotBefore, k.NotBefore, keychain, name)
	w.at(keyExpires, k.Expires, keychain, name)
	if k.Expires != nil {
		w.put(keyLeft, k.Expires.Sub(now).Seconds(), keychain, name)
	}
	began := k.NotBefore
	if began == nil {
		began = k.FirstSeen
	}
	w.ago(keyAge, now, began, keychain, name)
}

func (w scrape) vault(keychain string, v *status.Vault) {
	lasting := map[string]int{}
	for name := range v.Counters {
		if kind, ok := strings.CutPrefix(name, faultCounter); ok {
			lasting[kind] = 0
		}
	}
	for _, f := range v.Faults {
		lasting[f.Kind]++
	}
	for _, kind := range slices.Sorted(maps.Keys(lasting)) {
		w.put(vaultFault, float64(lasting[kind]), keychain, kind)
		w.put(vaultFaults, float64(v.Counters[faultCounter+kind]), keychain, kind)
	}
	w.put(vaultPolls, float64(v.Counters["polls"]), keychain)
	w.put(vaultFailed, float64(v.Counters["failures"]), keychain)
	w.put(vaultRefused, float64(len(v.Refused)), keychain)
	w.at(vaultRead, v.LastSuccess, keychain)
	w.at(vaultNext, v.NextPoll, keychain)
}
